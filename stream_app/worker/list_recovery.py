"""After an assignment: the memory of published lists, read back from the tail of its log.

The lists of a partition's shoppers and the rewards they got are on the topics ``lists`` and ``rewards``, in the same
partition, written by whoever owned it. The worker that owns it now reads the tail of both, as far back as the longest
window and as many lists as it may remember, before it takes events: what it attributes then is what the former owner
would have, and what was rewarded is not rewarded again.
"""

import logging
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import msgspec
from aiokafka.structs import TopicPartition

from state.list_store import ListMemory
from state.log_progress import Logged
from state.published_list import UNKNOWN, PublishedList, packed
from stream_app.kafka.log_consumer import log_consumer
from topics.catalog import LISTS, REWARDS
from topics.records import RecommendationList, Reward, RewardKind

_LOG: Final = logging.getLogger(__name__)
_SLICE: Final = 2_000
_REPORT_EVERY: Final = 5.0
_PATIENCE_MS: Final = 5_000
_SEARCH: Final = "recs:search:"

_list_decoder: Final = msgspec.json.Decoder(RecommendationList)
_reward_decoder: Final = msgspec.msgpack.Decoder(Reward)


class _Tail(NamedTuple):
    """The end of a partition: offsets of its first record and of what comes after its last."""

    tp: TopicPartition
    start: int
    end: int


class _Fate:
    """What the rewards of a list tell: what became of it, and the items that were reacted to.

    Parameters
    ----------
    first
        The first of its rewards that was read.
    """

    def __init__(self, first: Reward) -> None:
        self.partition: Final = first.partition
        self.found = False
        self._told: dict[int, Reward] = {}
        self._listed: Final = PublishedList(
            first.list_id, first.policy, first.ts - first.delay, (), search=first.search
        )

    def take(self, reward: Reward) -> None:
        """Take one more."""
        self._listed.mark(reward.kind, reward.position, reward.seen_positions, reward.ts)
        if reward.position >= 0:
            # what was seen with it is taken
            self._told[reward.position] = msgspec.structs.replace(
                reward, seen=(), seen_positions=(), seen_propensities=(), seen_features=b""
            )

    def befall(self, published: PublishedList) -> None:
        """Note on the list, which has been found, what became of it."""
        self.found = True
        published.seen |= self._listed.seen
        published.given = dict(self._listed.given or {})
        published.since = max(published.since, self._listed.since)

    def remnant(self) -> PublishedList | None:
        """What they tell of a list that was not found; None where nobody reacted to it."""
        if not self._told:
            return None
        first, places = next(iter(self._told.values())), range(max(self._told) + 1)
        told = [self._told.get(at) for at in places]
        whole = self._listed
        whole.items = tuple([UNKNOWN if each is None else each.item_id for each in told])
        whole.propensities = packed([1.0 if each is None else each.propensity for each in told])
        nothing = bytes(len(first.features))
        whole.features = b"".join([nothing if each is None else each.features for each in told])
        whole.since = max(whole.since, whole.at)
        return whole.remnant()


_Fates = dict[str, dict[str, _Fate]]
"""By shopper and list."""


class Recall:
    """Reads the memory of lists back.

    Parameters
    ----------
    memory, logged
        What is filled.
    broker
        Bootstrap servers.
    limit
        Lists that are remembered in all.
    window
        Seconds that a list can be reacted to.
    clock
        Seconds since the epoch.
    """

    def __init__(
        self,
        memory: ListMemory,
        logged: Logged,
        *,
        broker: str,
        limit: int,
        window: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._memory = memory
        self._logged = logged
        self._broker = broker
        self._limit = limit
        self._window = window
        self._clock = clock

    async def read(self, partitions: Collection[int]) -> None:
        """Forget other partitions, and bring the memory of these up to the end of the log.

        Parameters
        ----------
        partitions
            Those that this worker owns now.
        """
        self._memory.keep(partitions)
        self._logged.keep(partitions)
        if not partitions:
            return
        consumer = log_consumer(self._broker)
        try:
            await consumer.start()
            lists = await self._starts(consumer, LISTS.name, partitions)
            rewards = await self._starts(
                consumer, REWARDS.name, partitions, since=await self._times(consumer, lists)
            )
            # First the rewards: which lists are worth keeping depends on what became of them.
            fates: _Fates = {}
            async for record in self._tail(consumer, rewards):
                self._take_reward(record, fates)
            async for record in self._tail(consumer, lists):
                self._take_list(record, fates)
            self._add_remnants(fates)
            for tail in (*rewards, *lists):
                # own records may have been delivered meanwhile
                at = tail.tp.topic, tail.tp.partition
                self._logged.positions[at] = max(tail.end, self._logged.positions.get(at, 0))
        finally:
            await consumer.stop()

    async def _tail(self, consumer: Any, tails: Sequence[_Tail]) -> AsyncIterator[Any]:
        """The records of the tails of one topic."""
        tails = [tail for tail in tails if tail.start < tail.end]
        if not tails:
            # An assignment that another follows at once has aiokafka's consumer wait for ever.
            return
        topic, ends = tails[0].tp.topic, {tail.tp: tail.end for tail in tails}
        consumer.assign(list(ends))
        for tail in tails:
            consumer.seek(tail.tp, tail.start)
        waiting = set(ends)
        total, read, told = sum(tail.end - tail.start for tail in tails), 0, time.monotonic()
        while waiting:
            for tp, records in (await consumer.getmany(timeout_ms=500, max_records=_SLICE)).items():
                for record in records:
                    if record.offset < ends[tp]:
                        yield record
                read += len(records)
            done = {tp for tp in waiting if await consumer.position(tp) >= ends[tp]}
            waiting -= done
            if waiting:
                consumer.pause(*done)
            if time.monotonic() - told > _REPORT_EVERY:
                told = time.monotonic()
                _LOG.info("%s: read %d of at most %d records back", topic, read, total)
        if read:
            _LOG.info("%s: read %d records back, %d lists are remembered", topic, read, len(self._memory))

    async def _starts(
        self,
        consumer: Any,
        topic: str,
        partitions: Collection[int],
        since: Mapping[int, int] = MappingProxyType({}),
    ) -> list[_Tail]:
        """From where a topic is read: from where this worker knows it, or from as far back as it counts.

        Parameters
        ----------
        consumer, topic, partitions
            What is read.
        since
            Times, ms since the epoch, by partition, from which on all is read, however much there is.
        """
        tps = [TopicPartition(topic, partition) for partition in sorted(partitions)]
        consumer.assign(tps)
        ends = await consumer.end_offsets(tps)
        beginnings = await consumer.beginning_offsets(tps)
        oldest = int((self._clock() - self._window) * 1000)
        in_time = await consumer.offsets_for_times(dict.fromkeys(tps, oldest))
        needed = await consumer.offsets_for_times(
            {tp: since[tp.partition] for tp in tps if tp.partition in since}
        )
        share = self._limit // len(tps) + 1
        tails = []
        for tp in tps:
            at = needed.get(tp)
            start = max(
                beginnings[tp],
                self._logged.positions.get((tp.topic, tp.partition), 0),
                in_time[tp].offset if in_time.get(tp) is not None else ends[tp],
                min(ends[tp] - share, ends[tp] if at is None else at.offset),
            )
            tails.append(_Tail(tp, start, max(start, ends[tp])))
        return tails

    async def _times(self, consumer: Any, tails: Sequence[_Tail]) -> dict[int, int]:
        """The broker's time of the first record of each tail, ms since the epoch, by partition."""
        times: dict[int, int] = {}
        for tail in tails:
            if tail.start < tail.end:
                consumer.assign([tail.tp])
                consumer.seek(tail.tp, tail.start)
                found = await consumer.getmany(timeout_ms=_PATIENCE_MS, max_records=1)
                # where none comes, as many rewards as lists are read
                times |= {tp.partition: records[0].timestamp for tp, records in found.items() if records}
        return times

    def _take_reward(self, record: Any, fates: _Fates) -> None:
        try:
            reward = _reward_decoder.decode(record.value)
        except (msgspec.DecodeError, UnicodeDecodeError, TypeError) as error:
            _LOG.warning("passing over rewards[%s]@%s: %s", record.partition, record.offset, error)
            return
        place, line = (reward.source, reward.partition), (reward.offset, reward.line)
        self._logged.rewarded[place] = max(line, self._logged.rewarded.get(place, line))
        # Events up to here were taken: which lists may go depends on it.
        self._memory.take_event(record.partition, reward.ts)
        if reward.kind is RewardKind.ERASURE:
            # The lists of an erased shopper are forgotten by what ends them on the topic of lists.
            fates.pop(reward.user_id, None)
            return
        if self._memory.find(reward.user_id, reward.list_id) is not None:
            self._memory.take(reward)
            return
        of_shopper = fates.setdefault(reward.user_id, {})
        fate = of_shopper.get(reward.list_id)
        if fate is None:
            fate = of_shopper[reward.list_id] = _Fate(reward)
        fate.take(reward)

    def _take_list(self, record: Any, fates: _Fates) -> None:
        user_id = (record.key or b"").decode("utf-8", "replace")
        if record.value is None:
            self._memory.forget(user_id)
            return
        try:
            published = remembered(_list_decoder.decode(record.value))
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
            _LOG.warning("passing over lists[%s]@%s: %s", record.partition, record.offset, error)
            return
        fate = fates.get(user_id, {}).get(published.list_id)
        if fate is not None:
            fate.befall(published)
        self._memory.add(user_id, record.partition, published)

    def _add_remnants(self, fates: _Fates) -> None:
        """Remember of lists from further back than their log was read what their rewards tell."""
        self._memory.add_earlier(
            (user_id, fate.partition, remnant)
            for user_id, lists in fates.items()
            for fate in lists.values()
            if not fate.found and (remnant := fate.remnant()) is not None
        )


def remembered(listed: RecommendationList) -> PublishedList:
    """A list of the log as the memory holds it.

    Raises
    ------
    ValueError
        If its time cannot be read.
    """
    return PublishedList(
        listed.list_id,
        listed.policy,
        datetime.fromisoformat(listed.generated_at).timestamp(),
        tuple([item.id for item in listed.items]),
        packed([item.propensity for item in listed.items]),
        listed.features,
        listed.key.startswith(_SEARCH),
    )

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
from typing import Any, Final, NamedTuple

import msgspec
from aiokafka.structs import TopicPartition

from state.duplicates import Place
from state.lists import ListMemory
from state.published_list import PublishedList, packed
from stream_app.log_consumer import log_consumer
from topics.catalogue import LISTS, REWARDS
from topics.records import RecommendationList, Reward, RewardKind, Source

_LOG: Final = logging.getLogger(__name__)
_SLICE: Final = 2_000
_REPORT_EVERY: Final = 5.0
_SEARCH: Final = "recs:search:"

_list_decoder: Final = msgspec.json.Decoder(RecommendationList)
_reward_decoder: Final = msgspec.msgpack.Decoder(Reward)


class Logged:
    """How far the log of lists and rewards is known to this worker: what was read from it and what was delivered."""

    def __init__(self) -> None:
        self.positions: dict[tuple[str, int], int] = {}
        """Next offset to read, by topic and partition."""
        self.rewarded: dict[tuple[Source, int], tuple[int, int]] = {}
        """Offset and line of the newest event that has its reward in the log, by its source and partition."""

    def delivered(self, topic: str, partition: int, offset: int) -> None:
        """Note the offset of the newest of this worker's own records that Kafka has.

        One that is told of when its partition has gone to another worker says nothing of what that one writes.
        """
        known = self.positions.get((topic, partition))
        if known is not None:
            self.positions[topic, partition] = max(known, offset + 1)

    def first_line(self, place: Place) -> int | None:
        """The first line of an event that may lack its reward; None where none does."""
        offset, line = self.rewarded.get((place.source, place.partition), (-1, -1))
        if place.offset > offset:
            return 0
        return line + 1 if place.offset == offset else None

    def keep(self, partitions: Collection[int]) -> None:
        """Know nothing of all other partitions any more."""
        self.positions = {at: offset for at, offset in self.positions.items() if at[1] in partitions}
        self.rewarded = {at: line for at, line in self.rewarded.items() if at[1] in partitions}


class _Mark(NamedTuple):
    """What is kept of a reward until its list is read, or to know what it was by."""

    partition: int
    kind: RewardKind
    position: int
    seen: tuple[int, ...]
    ts: float
    item_id: str
    propensity: float
    features: bytes
    policy: str
    published_at: float
    search: bool


_Marks = dict[str, dict[str, list[_Mark]]]
"""By shopper and list, in the order of the log."""


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
            # First the rewards: which lists are worth keeping depends on what became of them.
            marks: _Marks = {}
            async for record in self._tail(consumer, REWARDS.name, partitions):
                self._take_reward(record, marks)
            async for record in self._tail(consumer, LISTS.name, partitions):
                self._take_list(record, marks)
            self._add_remnants(marks)
        finally:
            await consumer.stop()

    async def _tail(self, consumer: Any, topic: str, partitions: Collection[int]) -> AsyncIterator[Any]:
        """The records from where this worker knows the log, or from as far back as they count, to its end."""
        tps = [TopicPartition(topic, partition) for partition in partitions]
        consumer.assign(tps)
        ends = await consumer.end_offsets(tps)
        starts = await self._starts(consumer, tps, ends)
        for tp, start in starts.items():
            consumer.seek(tp, start)
        waiting = {tp for tp in tps if starts[tp] < ends[tp]}
        consumer.pause(*(tp for tp in tps if tp not in waiting))
        total, read, told = sum(ends[tp] - starts[tp] for tp in waiting), 0, time.monotonic()
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
        for tp in tps:
            self._logged.positions[topic, tp.partition] = max(starts[tp], ends[tp])
        if read:
            _LOG.info("%s: read %d records back, %d lists are remembered", topic, read, len(self._memory))

    async def _starts(
        self, consumer: Any, tps: list[TopicPartition], ends: Mapping[TopicPartition, int]
    ) -> dict[TopicPartition, int]:
        oldest = int((self._clock() - self._window) * 1000)
        beginnings = await consumer.beginning_offsets(tps)
        in_time = await consumer.offsets_for_times(dict.fromkeys(tps, oldest))
        share = self._limit // len(tps) + 1
        return {
            tp: max(
                beginnings[tp],
                self._logged.positions.get((tp.topic, tp.partition), 0),
                in_time[tp].offset if in_time.get(tp) is not None else ends[tp],
                # A list may have several rewards, but few have any.
                ends[tp] - share,
            )
            for tp in tps
        }

    def _take_reward(self, record: Any, marks: _Marks) -> None:
        try:
            reward = _reward_decoder.decode(record.value)
        except (msgspec.DecodeError, UnicodeDecodeError, TypeError) as error:
            _LOG.warning("passing over rewards[%s]@%s: %s", record.partition, record.offset, error)
            return
        place, line = (reward.source, reward.partition), (reward.offset, reward.line)
        self._logged.rewarded[place] = max(line, self._logged.rewarded.get(place, line))
        if reward.kind is RewardKind.ERASURE:
            # The lists of an erased shopper are forgotten by what ends them on the topic of lists.
            marks.pop(reward.user_id, None)
            return
        if self._memory.find(reward.user_id, reward.list_id) is not None:
            self._memory.take(reward)
        else:
            mark = _Mark(
                reward.partition,
                reward.kind,
                reward.position,
                reward.seen_positions,
                reward.ts,
                reward.item_id,
                reward.propensity,
                reward.features,
                reward.policy,
                reward.ts - reward.delay,
                reward.search,
            )
            marks.setdefault(reward.user_id, {}).setdefault(reward.list_id, []).append(mark)

    def _take_list(self, record: Any, marks: _Marks) -> None:
        user_id = (record.key or b"").decode("utf-8", "replace")
        if record.value is None:
            self._memory.forget(user_id)
            return
        try:
            published = remembered(_list_decoder.decode(record.value))
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
            _LOG.warning("passing over lists[%s]@%s: %s", record.partition, record.offset, error)
            return
        for mark in marks.get(user_id, {}).pop(published.list_id, ()):
            published.mark(mark.kind, mark.position, mark.seen, mark.ts)
        self._memory.add(user_id, record.partition, published)

    def _add_remnants(self, marks: _Marks) -> None:
        """Remember of lists further back than their log is read what their rewards tell; the newest first."""
        left = [
            (user_id, remnant(list_id, told), told[0].partition)
            for user_id, lists in marks.items()
            for list_id, told in lists.items()
            if any(mark.position >= 0 for mark in told)
        ]
        for user_id, published, partition in sorted(left, key=lambda each: -each[1].at):
            self._memory.add_earlier(user_id, partition, published)


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


def remnant(list_id: str, marks: Sequence[_Mark]) -> PublishedList:
    """What the rewards of a list tell of it: the items that were reacted to, which later steps are matched with.

    The other places hold nothing, and count as seen: nobody knows what stood there.
    """
    told = {mark.position: mark for mark in marks if mark.position >= 0}
    first = next(iter(told.values()))
    places = range(max(told) + 1)
    nothing = bytes(len(first.features))
    published = PublishedList(
        list_id,
        first.policy,
        first.published_at,
        tuple([told[at].item_id if at in told else "" for at in places]),
        packed([told[at].propensity if at in told else 1.0 for at in places]),
        b"".join([told[at].features if at in told else nothing for at in places]),
        first.search,
        seen=sum(1 << at for at in places if at not in told),
    )
    for mark in marks:
        published.mark(mark.kind, mark.position, mark.seen, mark.ts)
    return published

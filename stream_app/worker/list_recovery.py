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

from state.list_store import PublishedListStore
from state.log_progress import LogProgress
from state.published_list import UNKNOWN_ITEM, PublishedList, pack_propensities
from stream_app.kafka.log_consumer import decode_or_warn, log_consumer
from topics.catalog import LISTS, REWARDS
from topics.records import RecommendationList, Reward, RewardKind

_LOG: Final = logging.getLogger(__name__)
_FETCH_RECORDS: Final = 2_000
_REPORT_INTERVAL: Final = 5.0
_FETCH_TIMEOUT_MS: Final = 5_000
_SEARCH_KEY_PREFIX: Final = "recs:search:"

_list_decoder: Final = msgspec.json.Decoder(RecommendationList)
_reward_decoder: Final = msgspec.msgpack.Decoder(Reward)


class _LogTail(NamedTuple):
    """The end of a partition: offsets of its first record and of what comes after its last."""

    tp: TopicPartition
    start: int
    end: int


class _ListOutcomes:
    """What the rewards of a list tell: what became of it, and the items that were reacted to.

    Parameters
    ----------
    first
        The first of its rewards that was read.
    """

    def __init__(self, first: Reward) -> None:
        self.partition: Final = first.partition
        self.found = False
        self._rewards_by_rank: dict[int, Reward] = {}
        self._outcome: Final = PublishedList(
            first.list_id, first.policy, first.ts - first.delay, (), search=first.search
        )

    def apply_outcome(self, reward: Reward) -> None:
        """Take one more."""
        self._outcome.apply_outcome(reward.kind, reward.position, reward.seen_positions, reward.ts)
        if reward.position >= 0:
            # what was seen with it is taken
            self._rewards_by_rank[reward.position] = msgspec.structs.replace(
                reward, seen=(), seen_positions=(), seen_propensities=(), seen_features=b""
            )

    def apply_outcomes(self, published: PublishedList) -> None:
        """Note on the list, which has been found, what became of it."""
        self.found = True
        published.seen |= self._outcome.seen
        published.rewarded = dict(self._outcome.rewarded or {})
        published.window_start = max(published.window_start, self._outcome.window_start)

    def truncated(self) -> PublishedList | None:
        """What they tell of a list that was not found; None where nobody reacted to it."""
        if not self._rewards_by_rank:
            return None
        first, ranks = next(iter(self._rewards_by_rank.values())), range(max(self._rewards_by_rank) + 1)
        told = [self._rewards_by_rank.get(at) for at in ranks]
        partial_list = self._outcome
        partial_list.items = tuple([UNKNOWN_ITEM if each is None else each.item_id for each in told])
        partial_list.propensities = pack_propensities(
            [1.0 if each is None else each.propensity for each in told]
        )
        zero_row = bytes(len(first.features))
        partial_list.features = b"".join([zero_row if each is None else each.features for each in told])
        partial_list.window_start = max(partial_list.window_start, partial_list.at)
        return partial_list.truncate()


_OutcomesByUser = dict[str, dict[str, _ListOutcomes]]
"""By shopper and list."""


class ListRecovery:
    """Reads the memory of lists back.

    Parameters
    ----------
    memory, log_progress
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
        memory: PublishedListStore,
        log_progress: LogProgress,
        *,
        broker: str,
        limit: int,
        window: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._memory = memory
        self._log_progress = log_progress
        self._broker = broker
        self._limit = limit
        self._window = window
        self._clock = clock

    async def recover(self, partitions: Collection[int]) -> None:
        """Forget other partitions, and bring the memory of these up to the end of the log.

        Parameters
        ----------
        partitions
            Those that this worker owns now.
        """
        self._memory.retain_partitions(partitions)
        self._log_progress.retain_partitions(partitions)
        if not partitions:
            return
        consumer = log_consumer(self._broker)
        try:
            await consumer.start()
            lists = await self._find_tails(consumer, LISTS.name, partitions)
            rewards = await self._find_tails(
                consumer, REWARDS.name, partitions, since=await self._first_timestamps(consumer, lists)
            )
            # First the rewards: which lists are worth keeping depends on what became of them.
            outcomes_by_user: _OutcomesByUser = {}
            async for record in self._read_tail(consumer, rewards):
                self._apply_reward(record, outcomes_by_user)
            async for record in self._read_tail(consumer, lists):
                self._restore_list(record, outcomes_by_user)
            self._add_truncated(outcomes_by_user)
            for tail in (*rewards, *lists):
                # own records may have been delivered meanwhile
                at = tail.tp.topic, tail.tp.partition
                self._log_progress.positions[at] = max(tail.end, self._log_progress.positions.get(at, 0))
        finally:
            await consumer.stop()

    async def _read_tail(self, consumer: Any, tails: Sequence[_LogTail]) -> AsyncIterator[Any]:
        """The records of the tails of one topic."""
        tails = [tail for tail in tails if tail.start < tail.end]
        if not tails:
            # An assignment that another follows at once has aiokafka's consumer wait for ever.
            return
        topic, ends = tails[0].tp.topic, {tail.tp: tail.end for tail in tails}
        consumer.assign(list(ends))
        for tail in tails:
            consumer.seek(tail.tp, tail.start)
        unfinished = set(ends)
        total, recover, told = sum(tail.end - tail.start for tail in tails), 0, time.monotonic()
        while unfinished:
            for tp, records in (await consumer.getmany(timeout_ms=500, max_records=_FETCH_RECORDS)).items():
                for record in records:
                    if record.offset < ends[tp]:
                        yield record
                recover += len(records)
            done = {tp for tp in unfinished if await consumer.position(tp) >= ends[tp]}
            unfinished -= done
            if unfinished:
                consumer.pause(*done)
            if time.monotonic() - told > _REPORT_INTERVAL:
                told = time.monotonic()
                _LOG.info("%s: read %d of at most %d records back", topic, recover, total)
        if recover:
            _LOG.info("%s: read %d records back, %d lists are remembered", topic, recover, len(self._memory))

    async def _find_tails(
        self,
        consumer: Any,
        topic: str,
        partitions: Collection[int],
        since: Mapping[int, int] = MappingProxyType({}),
    ) -> list[_LogTail]:
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
        window_offsets = await consumer.offsets_for_times(dict.fromkeys(tps, oldest))
        needed_offsets = await consumer.offsets_for_times(
            {tp: since[tp.partition] for tp in tps if tp.partition in since}
        )
        partition_limit = self._limit // len(tps) + 1
        tails = []
        for tp in tps:
            at = needed_offsets.get(tp)
            start = max(
                beginnings[tp],
                self._log_progress.positions.get((tp.topic, tp.partition), 0),
                window_offsets[tp].offset if window_offsets.get(tp) is not None else ends[tp],
                min(ends[tp] - partition_limit, ends[tp] if at is None else at.offset),
            )
            tails.append(_LogTail(tp, start, max(start, ends[tp])))
        return tails

    async def _first_timestamps(self, consumer: Any, tails: Sequence[_LogTail]) -> dict[int, int]:
        """The broker's time of the first record of each tail, ms since the epoch, by partition."""
        times: dict[int, int] = {}
        for tail in tails:
            if tail.start < tail.end:
                consumer.assign([tail.tp])
                consumer.seek(tail.tp, tail.start)
                found = await consumer.getmany(timeout_ms=_FETCH_TIMEOUT_MS, max_records=1)
                # where none comes, as many rewards as lists are read
                times |= {tp.partition: records[0].timestamp for tp, records in found.items() if records}
        return times

    def _apply_reward(self, record: Any, outcomes_by_user: _OutcomesByUser) -> None:
        reward = decode_or_warn(_reward_decoder, record, REWARDS.name)
        if reward is None:
            return
        record_id, line = (reward.source, reward.partition), (reward.offset, reward.line)
        self._log_progress.last_rewarded[record_id] = max(
            line, self._log_progress.last_rewarded.get(record_id, line)
        )
        # Events up to here were taken: which lists may go depends on it.
        self._memory.advance_watermark(record.partition, reward.ts)
        if reward.kind is RewardKind.ERASURE:
            # The lists of an erased shopper are forgotten by what ends them on the topic of lists.
            outcomes_by_user.pop(reward.user_id, None)
            return
        if self._memory.find(reward.user_id, reward.list_id) is not None:
            self._memory.apply_outcome(reward)
            return
        user_outcomes = outcomes_by_user.setdefault(reward.user_id, {})
        outcomes = user_outcomes.get(reward.list_id)
        if outcomes is None:
            outcomes = user_outcomes[reward.list_id] = _ListOutcomes(reward)
        outcomes.apply_outcome(reward)

    def _restore_list(self, record: Any, outcomes_by_user: _OutcomesByUser) -> None:
        user_id = (record.key or b"").decode("utf-8", "replace")
        if record.value is None:
            self._memory.forget(user_id)
            return
        try:
            published = to_published_list(_list_decoder.decode(record.value))
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
            _LOG.warning("passing over lists[%s]@%s: %s", record.partition, record.offset, error)
            return
        outcomes = outcomes_by_user.get(user_id, {}).get(published.list_id)
        if outcomes is not None:
            outcomes.apply_outcomes(published)
        self._memory.add(user_id, record.partition, published)

    def _add_truncated(self, outcomes_by_user: _OutcomesByUser) -> None:
        """Remember of lists from further back than their log was read what their rewards tell."""
        self._memory.add_truncated(
            (user_id, outcomes.partition, truncated)
            for user_id, lists in outcomes_by_user.items()
            for outcomes in lists.values()
            if not outcomes.found and (truncated := outcomes.truncated()) is not None
        )


def to_published_list(listed: RecommendationList) -> PublishedList:
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
        pack_propensities([item.propensity for item in listed.items]),
        listed.features,
        listed.key.startswith(_SEARCH_KEY_PREFIX),
    )

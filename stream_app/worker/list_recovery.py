"""Restores the store of published lists after an assignment, from the tail of its log.

The lists of a partition's users and their rewards are on the topics ``lists`` and ``rewards``, in the same partition,
written by its former owners. Before the new owner processes events, it reads the tail of both:

1. The tail of the lists covers the longest attribution window, and at most as many lists as the store holds; after a
   crash with a backlog of events, also the lists whose reactions may be in it, as the store does
   (`state.list_store`). The tail of the rewards starts no later than the first of these lists.
2. Rewards first: retention depends on the outcomes of a list, so they must be known when the list is added.
3. Then the lists, each with its outcomes. A tombstone removes the lists of an erased user.
4. Rewards of lists outside the tail become truncated lists, which hold only the items with a reaction.

After that, attribution continues as on the former owner, and no reaction is rewarded twice.
"""

import logging
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, Final

import msgspec
from aiokafka.structs import TopicPartition

from state.list_store import MAX_BACKLOG_FACTOR, PublishedListStore
from state.log_progress import LogProgress
from state.published_list import UNKNOWN_ITEM, PublishedList, pack_propensities
from stream_app.kafka.availability import retry_while_unavailable
from stream_app.kafka.log_consumer import decode_or_warn, log_consumer
from stream_app.kafka.range_reader import LogRange, RangeReader
from stream_app.publishing.list_documents import to_published_list
from topics.catalog import LISTS, REWARDS
from topics.kafka_connection import Broker
from topics.log_keys import SEPARATOR, user_of
from topics.records import RecommendationList, Reward, RewardKind

_LOG: Final = logging.getLogger(__name__)
_FETCH_TIMEOUT_MS: Final = 5_000

_list_decoder: Final = msgspec.json.Decoder(RecommendationList)
_reward_decoder: Final = msgspec.msgpack.Decoder(Reward)


class _ListOutcomes:
    """The outcomes of one list according to its rewards.

    Parameters
    ----------
    first
        The first reward of the list in the tail.
    """

    def __init__(self, first: Reward) -> None:
        self.partition: Final = first.partition
        self.found = False
        self._rewards_by_rank: dict[int, Reward] = {}
        self._outcome: Final = PublishedList(
            first.list_id, first.policy, first.ts - first.delay, (), search=first.search
        )

    def apply_outcome(self, reward: Reward) -> None:
        """Apply one reward."""
        self._outcome.apply_outcome(reward.kind, reward.position, reward.seen_positions, reward.ts)
        if reward.position >= 0:
            # The seen items were applied above; without them the stored reward is small.
            self._rewards_by_rank[reward.position] = msgspec.structs.replace(
                reward, seen=(), seen_positions=(), seen_propensities=(), seen_features=b""
            )

    def apply_outcomes(self, published: PublishedList) -> None:
        """Apply the outcomes to the list after it was found."""
        self.found = True
        published.seen |= self._outcome.seen
        published.rewarded = dict(self._outcome.rewarded or {})
        published.window_start = max(published.window_start, self._outcome.window_start)

    def truncated(self) -> PublishedList | None:
        """The truncated list, if the list itself was not found; None if it has no reaction."""
        if not self._rewards_by_rank:
            return None
        first, ranks = next(iter(self._rewards_by_rank.values())), range(max(self._rewards_by_rank) + 1)
        rewards = [self._rewards_by_rank.get(rank) for rank in ranks]
        partial_list = self._outcome
        partial_list.items = tuple([UNKNOWN_ITEM if each is None else each.item_id for each in rewards])
        partial_list.propensities = pack_propensities(
            [1.0 if each is None else each.propensity for each in rewards]
        )
        zero_row = bytes(len(first.features))
        partial_list.features = b"".join([zero_row if each is None else each.features for each in rewards])
        partial_list.window_start = max(partial_list.window_start, partial_list.at)
        return partial_list.truncate()


_OutcomesByUser = dict[str, dict[str, _ListOutcomes]]
"""Outcomes by user and list."""


async def _offsets_at(
    consumer: Any, ranges: Sequence[LogRange], times: Mapping[int, int]
) -> dict[TopicPartition, int]:
    """The offset of the first record at or after a time, ms since the epoch, of the partitions that have one."""
    found = await consumer.offsets_for_times(
        {each.tp: times[each.tp.partition] for each in ranges if each.tp.partition in times}
    )
    return {tp: at.offset for tp, at in found.items() if at is not None}


class ListRecovery:
    """Restores the published lists.

    Parameters
    ----------
    limit
        Maximum number of lists in the store.
    window
        The longest attribution window, in seconds.
    clock
        Seconds since the epoch.
    """

    def __init__(
        self,
        list_store: PublishedListStore,
        log_progress: LogProgress,
        *,
        broker: Broker,
        limit: int,
        window: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._list_store = list_store
        self._log_progress = log_progress
        self._broker = broker
        self._limit = limit
        self._window = window
        self._clock = clock

    async def recover(
        self,
        partitions: Collection[int],
        known_ends: Mapping[tuple[str, int], int] = MappingProxyType({}),
        without_rewards: Collection[int] = frozenset(),
    ) -> None:
        """Remove the lists of other partitions, and restore those of these up to the end of the log.

        Parameters
        ----------
        partitions
            The partitions that this worker owns now.
        known_ends
            Offsets by topic and partition that the ends of the logs are not before, whatever their leaders report.
        without_rewards
            Partitions of which rewards were dropped when they were revoked. The outcomes in memory have them, so that
            their events, which are read again, would earn nothing: all of these lists are read from the log.
        """
        retained = set(partitions).difference(without_rewards)
        self._list_store.retain_partitions(retained)
        self._log_progress.retain_partitions(retained)
        if not partitions:
            return
        # Repeatable: a list or a reward that is read twice changes nothing.
        restore = partial(self._restore, sorted(partitions), known_ends)
        await retry_while_unavailable(restore, "recovery of the lists")

    async def _restore(self, partitions: Sequence[int], known_ends: Mapping[tuple[str, int], int]) -> None:
        consumer = log_consumer(self._broker)
        try:
            await consumer.start()
            all_lists, all_rewards = [
                await self._find_ranges(consumer, topic, partitions, known_ends)
                for topic in (LISTS.name, REWARDS.name)
            ]
            lists = self._newest(all_lists)
            # Rewards first: retention depends on outcomes.
            outcomes_by_user = await self._read_rewards(consumer, all_rewards, lists)
            tails = await self._with_backlog(consumer, all_lists, lists)
            if tails != lists:
                lists = tails
                outcomes_by_user = await self._read_rewards(consumer, all_rewards, lists)
            async for record in self._read(consumer, lists):
                self._restore_list(record, outcomes_by_user)
            self._add_truncated(outcomes_by_user)
            for each in (*all_rewards, *all_lists):
                # This worker's own records may have been acknowledged in the meantime.
                at = each.tp.topic, each.tp.partition
                self._log_progress.positions[at] = max(each.end, self._log_progress.positions.get(at, 0))
        finally:
            await consumer.stop()

    async def _read_rewards(
        self, consumer: Any, available: Sequence[LogRange], lists: Sequence[LogRange]
    ) -> _OutcomesByUser:
        """The outcomes of lists, by the rewards since the first of them was published."""
        since = await self._first_timestamps(consumer, lists)
        first_offsets = await _offsets_at(consumer, available, since)
        outcomes_by_user: _OutcomesByUser = {}
        async for record in self._read(consumer, self._newest(available, first_offsets)):
            self._apply_reward(record, outcomes_by_user)
        return outcomes_by_user

    async def _read(self, consumer: Any, tails: Sequence[LogRange]) -> AsyncIterator[Any]:
        """Yield the records of the tails of one topic."""
        topic = tails[0].tp.topic

        def report(n_read: int, total: int) -> None:
            _LOG.info("restoring lists: read %d of at most %d records of %s", n_read, total, topic)

        reader = RangeReader(consumer, tails, report)
        async for records in reader.read():
            for record in records:
                yield record
        if reader.n_read:
            _LOG.info(
                "restoring lists: read %d records of %s; %d lists in memory",
                reader.n_read,
                topic,
                len(self._list_store),
            )

    async def _find_ranges(
        self,
        consumer: Any,
        topic: str,
        partitions: Sequence[int],
        known_ends: Mapping[tuple[str, int], int],
    ) -> list[LogRange]:
        """The records of a topic from this worker's progress on, or as far back as lists can be attributed."""
        tps = [TopicPartition(topic, partition) for partition in partitions]
        consumer.assign(tps)
        ends = await consumer.end_offsets(tps)
        beginnings = await consumer.beginning_offsets(tps)
        oldest = int((self._clock() - self._window) * 1000)
        window_offsets = await consumer.offsets_for_times(dict.fromkeys(tps, oldest))
        ranges = []
        for tp in tps:
            at = window_offsets.get(tp)
            end = max(ends[tp], known_ends.get((topic, tp.partition), 0))
            position = self._log_progress.positions.get((topic, tp.partition), 0)
            start = max(beginnings[tp], position, end if at is None else at.offset)
            ranges.append(LogRange(tp, start, max(start, end)))
        return ranges

    def _newest(
        self,
        available: Sequence[LogRange],
        first_offsets: Mapping[TopicPartition, int] = MappingProxyType({}),
    ) -> list[LogRange]:
        """The tails of ranges within the limit of the store.

        Parameters
        ----------
        first_offsets
            Records from there on are included even beyond the limit.
        """
        limit = self._limit // len(available) + 1
        return [
            each._replace(start=max(each.start, min(each.end - limit, first_offsets.get(each.tp, each.end))))
            for each in available
        ]

    async def _with_backlog(
        self, consumer: Any, available: Sequence[LogRange], tails: Sequence[LogRange]
    ) -> list[LogRange]:
        """Tails extended by the lists that were published since the newest reward: reactions to them may be unread.

        All of them are read up to the bound of the store, and beyond it the same share of each partition.
        """
        since = {
            each.tp.partition: int(1000 * max(0.0, self._list_store.read_until(each.tp.partition)))
            for each, tail in zip(available, tails, strict=True)
            if each.start < tail.start
        }
        first_offsets = await _offsets_at(consumer, available, since)
        counts = [each.end - max(each.start, first_offsets.get(each.tp, each.end)) for each in available]
        share = min(1.0, MAX_BACKLOG_FACTOR * self._limit / max(1, sum(counts)))
        return [
            tail._replace(start=min(tail.start, tail.end - int(share * count)))
            for tail, count in zip(tails, counts, strict=True)
        ]

    async def _first_timestamps(self, consumer: Any, tails: Sequence[LogRange]) -> dict[int, int]:
        """The broker's timestamp of the first record of each tail, ms since the epoch, by partition."""
        times: dict[int, int] = {}
        for tail in tails:
            if tail.start < tail.end:
                consumer.assign([tail.tp])
                consumer.seek(tail.tp, tail.start)
                found = await consumer.getmany(timeout_ms=_FETCH_TIMEOUT_MS, max_records=1)
                # Without a timestamp, as many rewards as lists are read.
                times |= {tp.partition: records[0].timestamp for tp, records in found.items() if records}
        return times

    def _apply_reward(self, record: Any, outcomes_by_user: _OutcomesByUser) -> None:
        if record.value is None:
            return  # a marker of an owner, or the tombstone of a reward of an erased user
        reward = decode_or_warn(_reward_decoder, record, REWARDS.name)
        if reward is None:
            return
        record_id, line = (reward.source, reward.partition), (reward.offset, reward.line)
        self._log_progress.last_rewarded[record_id] = max(
            line, self._log_progress.last_rewarded.get(record_id, line)
        )
        # Events up to here were processed: retention depends on this watermark.
        self._list_store.advance_watermark(record.partition, reward.ts)
        if reward.kind is RewardKind.ERASURE:
            # The tombstone on the topic of lists removes the lists of the erased user.
            outcomes_by_user.pop(reward.user_id, None)
            return
        if self._list_store.find(reward.user_id, reward.list_id) is not None:
            self._list_store.apply_outcome(reward)
            return
        user_outcomes = outcomes_by_user.setdefault(reward.user_id, {})
        outcomes = user_outcomes.get(reward.list_id)
        if outcomes is None:
            outcomes = user_outcomes[reward.list_id] = _ListOutcomes(reward)
        outcomes.apply_outcome(reward)

    def _restore_list(self, record: Any, outcomes_by_user: _OutcomesByUser) -> None:
        key: bytes = record.key or b""
        user_id = user_of(key).decode("utf-8", "replace")
        if record.value is None:
            # The bare user id marks an erasure of the user. Another key is that of one list, which the sweep of
            # erasures has removed: the user may have returned since.
            if SEPARATOR not in key:
                self._list_store.forget(user_id)
            return
        try:
            published = to_published_list(_list_decoder.decode(record.value))
        except (msgspec.DecodeError, ValueError, OverflowError, RecursionError) as error:
            _LOG.warning("ignoring invalid record lists[%s]@%s: %s", record.partition, record.offset, error)
            return
        outcomes = outcomes_by_user.get(user_id, {}).get(published.list_id)
        if outcomes is not None:
            outcomes.apply_outcomes(published)
        self._list_store.add(user_id, record.partition, published)

    def _add_truncated(self, outcomes_by_user: _OutcomesByUser) -> None:
        """Add truncated lists for rewards of lists outside the tail (step 4)."""
        self._list_store.add_truncated(
            (user_id, outcomes.partition, truncated)
            for user_id, lists in outcomes_by_user.items()
            for outcomes in lists.values()
            if not outcomes.found and (truncated := outcomes.truncated()) is not None
        )

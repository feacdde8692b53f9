"""The model replica of a worker: folds interactions, rewards and catalog items into the models; writes snapshots.

A replica is a fold over a log. It starts from a snapshot (`stream_app.worker.model_loading`) and reads the rest of
the log: first interactions and catalog up to the current end, then also the rewards, since the policies cannot learn
the reward of an unknown item. Interactions and rewards of this worker's own events are folded at once
(`Replica.fold_local`, `Replica.fold_local_reward`), so that a list reflects the event that caused it. They are not
read from Kafka again: the replica does not read the partitions that this worker owns
(`Replica.set_owned_partitions`).
"""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from aiokafka.structs import TopicPartition

from state.snapshots.model_store import ModelStore
from stream_app.kafka.availability import retry_while_unavailable
from stream_app.kafka.log_consumer import log_consumer, stop_consumer_task
from stream_app.metrics import Metrics
from stream_app.models.affected_lists import affected_lists, affected_segments
from stream_app.models.model_set import ModelSet
from stream_app.stage_metrics import WorkStage
from stream_app.worker.learned_topic import LearnedTopic, fold_catalog
from stream_app.worker.log_fold import model_partitions
from stream_app.worker.model_loading import snapshot_state
from stream_app.worker.relearning import Positions, Relearning
from stream_app.worker.skipped_records import report_skipped
from topics.catalog import CATALOG_ITEMS, INTERACTIONS, REWARDS
from topics.codec import Limits
from topics.events import CatalogItem
from topics.kafka_connection import Broker
from topics.records import Interaction, Kind, Reward

_LOG: Final = logging.getLogger(__name__)
_FETCH_RECORDS: Final = 100
"""Records folded before other tasks run: 100 x 40 µs keeps lists fresh while the replica catches up."""

_N_NEIGHBORS: Final = 20
"""Neighbors per model whose item lists become stale when the availability of an item changes."""

_REPORT_INTERVAL: Final = 5.0

_OWNER_WRITTEN_TOPICS: Final = (INTERACTIONS.name, REWARDS.name)
"""Topics on which the owner of a partition writes all records of that partition."""


class StaleLists(NamedTuple):
    """Shared lists that no longer reflect the models.

    Attributes
    ----------
    query
        The query whose list is stale; empty if none is.
    withdrawn_queries
        Queries whose lists must be deleted.
    """

    items: Collection[str] = ()
    segments: Collection[str] = ()
    query: str = ""
    withdrawn_queries: Collection[str] = ()


class Replica:
    """Models that follow the log.

    Parameters
    ----------
    positions
        Next offsets to read.
    limits
        Bounds of event time, equal to those of the agents: a record that is a dead letter there must not be learned
        here. An item's description may have any age.
    on_stale
        Called with items and segments whose shared lists became stale by records of other workers: the segments of
        an interaction (no items), and items and segments when the availability of an item changes.
    on_withdrawn
        Called with queries whose lists must be deleted because of erasures by other workers.
    clock
        Seconds since the epoch, for the lag in seconds.
    relearning
        Parts of the models to learn from the log before it is followed; no snapshot is written until then.

    Attributes
    ----------
    topic_ids
        Id by topic, for snapshots.
    fingerprint
        Fingerprint of the configuration of the models, for snapshots.
    """

    def __init__(
        self,
        models: ModelSet,
        positions: Positions,
        store: ModelStore,
        metrics: Metrics,
        *,
        broker: Broker,
        limits: Limits,
        on_stale: Callable[[Collection[str], Collection[str]], None] = lambda _items, _segments: None,
        on_withdrawn: Callable[[Collection[str]], None] = lambda _queries: None,
        clock: Callable[[], float] = time.time,
        relearning: Relearning | None = None,
    ) -> None:
        self.models: Final = models
        self.store: Final = store
        self._metrics = metrics
        self._broker = broker
        self._limits = limits.without_max_age
        self._on_stale = on_stale
        self._on_withdrawn = on_withdrawn
        self._clock = clock
        self._positions = dict(positions)
        self.topic_ids: Mapping[str, str] = {}
        self.fingerprint = ""
        self._relearning = relearning
        self._interactions = LearnedTopic(
            INTERACTIONS.name,
            Interaction,
            models.learn,
            metrics.interactions_folded,
            metrics.interactions_dropped,
            self._on_interaction,
        )
        self._rewards = LearnedTopic(
            REWARDS.name, Reward, models.learn_reward, metrics.rewards_folded, metrics.rewards_dropped
        )
        self._fold_batch: Final[dict[str, Callable[[Sequence[Any]], None]]] = {
            INTERACTIONS.name: self._interactions.fold_batch,
            REWARDS.name: self._rewards.fold_batch,
            CATALOG_ITEMS.name: self._fold_catalog,
        }
        self._consumer: Any = None
        self._assigned: Sequence[TopicPartition] = ()
        self._owned: set[TopicPartition] = set()
        self._unlearned_reported = 0
        self._rewards_wait_for: dict[TopicPartition, int] | None = None
        self._advanced = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> "asyncio.Task[None]":
        """Connect and start to follow the log; the returned task ends only when stopped, or with an error."""
        consumer = self._consumer = log_consumer(self._broker)
        consumer.on_removed = self._on_removed
        await consumer.start()
        self._assigned = partitions = await model_partitions(self._broker)
        consumer.assign(partitions)
        rewards = [tp for tp in partitions if tp.topic == REWARDS.name]
        consumer.pause(*rewards)
        beginnings = await consumer.beginning_offsets(partitions)
        for tp in partitions:
            read, beginning = self._positions.get((tp.topic, tp.partition)), beginnings[tp]
            if read is not None and read < beginning:
                report_skipped(self._metrics, tp.topic, tp.partition, read, beginning)
            position = max(read or 0, beginning)
            self._positions[tp.topic, tp.partition] = position
            consumer.seek(tp, position)
        self._rewards_wait_for = await consumer.end_offsets([tp for tp in partitions if tp not in rewards])
        self._resume_rewards()
        self._task = asyncio.create_task(self._follow(), name="replica")
        return self._task

    async def stop(self) -> None:
        """Stop following."""
        task, consumer, self._task, self._consumer = self._task, self._consumer, None, None
        await stop_consumer_task(task, consumer)

    async def catch_up(
        self,
        progress: Callable[[int, int], None] | None = None,
        *,
        known_ends: Mapping[tuple[str, int], int] = MappingProxyType({}),
    ) -> None:
        """Wait until all parts of the models are learned, and the log is folded up to its current end.

        Parameters
        ----------
        progress
            Called with the number of folded records and the total.
        known_ends
            Offsets by topic and partition that the ends are not before, whatever the leaders report. The others may
            be too low for a moment, which is harmless: this worker writes no records there that would come first.
        """
        tps = list(self._consumer.assignment())
        ends = await self._consumer.end_offsets(tps)
        ends = {tp: max(end, known_ends.get((tp.topic, tp.partition), 0)) for tp, end in ends.items()}
        start = self._lag(ends)
        async with self._advanced:
            while (lag := self._lag(ends)) > 0 or self._relearning is not None:
                if self._task is not None and self._task.done():
                    self._task.result()
                if progress is not None:
                    progress(start - lag, start)
                await self._advanced.wait()

    async def interaction_ends(self) -> dict[int, int]:
        """The offset after the last interaction of each partition."""
        tps = [tp for tp in self._assigned if tp.topic == INTERACTIONS.name]
        ends: dict[TopicPartition, int] = await self._consumer.end_offsets(tps)
        return {tp.partition: end for tp, end in ends.items()}

    async def wait_until_passed(self, offsets: Sequence[int]) -> None:
        """Wait until all interactions before these offsets, one a partition, are folded."""
        async with self._advanced:
            while not all(self._has_passed(partition, offset) for partition, offset in enumerate(offsets)):
                await self._advanced.wait()

    def _has_passed(self, partition: int, offset: int) -> bool:
        # This worker has folded all interactions of partitions that it owns, though some are not acknowledged yet.
        is_owned = TopicPartition(INTERACTIONS.name, partition) in self._owned
        return is_owned or self._positions.get((INTERACTIONS.name, partition), 0) >= offset

    def set_owned_partitions(self, partitions: Collection[int]) -> None:
        """Stop reading interactions and rewards of partitions that this worker owns: it writes all of them.

        Their positions follow `on_delivered`. Records that a former owner had in flight belong to events that were
        not committed; this worker processes these events again.
        """
        owned = {
            tp for tp in self._assigned if tp.topic in _OWNER_WRITTEN_TOPICS and tp.partition in partitions
        }
        for tp in self._owned - owned:
            self._consumer.seek(tp, self._positions[tp.topic, tp.partition])
            self._consumer.resume(tp)
        for tp in owned - self._owned:
            self._consumer.pause(tp)
        self._owned = owned

    def on_delivered(self, partition: int, offset: int, topic: str = INTERACTIONS.name) -> None:
        """Record the offset of this worker's newest acknowledged interaction or reward."""
        topic_partition = (topic, partition)
        self._positions[topic_partition] = max(self._positions.get(topic_partition, 0), offset + 1)

    def fold_local(self, interaction: Interaction) -> StaleLists:
        """Fold an interaction of this worker's own events, without waiting for Kafka to acknowledge it."""
        self._interactions.fold(interaction)
        if interaction.kind is Kind.ERASE:
            return StaleLists(withdrawn_queries=self.models.pop_withdrawn_queries())
        query = interaction.query or self.models.tracker.query(interaction.user_id, interaction.ts)
        if not interaction.lines:
            return StaleLists(query=query)
        items = [line.item_id for line in interaction.lines]
        return StaleLists(items, affected_segments(self.models, interaction), query)

    def fold_local_reward(self, reward: Reward) -> None:
        """Fold a reward of this worker's own events, without waiting for Kafka to acknowledge it."""
        self._rewards.fold(reward)

    def set_overloaded(self, overloaded: bool) -> None:
        """Let models whose learning costs much learn a sample while the worker is overloaded."""
        self.models.is_overloaded = overloaded
        n_unlearned = self.models.n_unlearned
        self._metrics.interactions_unlearned.inc(n_unlearned - self._unlearned_reported)
        self._unlearned_reported = n_unlearned

    def snapshot_state(self) -> dict[str, Any]:
        """Models and positions at one point in time, as data that shares no memory with them."""
        return snapshot_state(self.models, self._positions, self.topic_ids)

    async def snapshot(self) -> str:
        """Write a snapshot and return its name; encoding and writing run in another thread."""
        started = time.perf_counter()
        state = self.snapshot_state()
        name = await asyncio.to_thread(self.store.save, state, self.fingerprint)
        self._metrics.snapshot_seconds.observe(time.perf_counter() - started)
        return name

    async def try_snapshot(self) -> None:
        """Write a snapshot; if the disk is full or the store is unavailable, the next one is tried later."""
        if self._relearning is not None:
            # It would lack parts, and be the newest.
            return
        try:
            await self.snapshot()
        except OSError as error:
            self._metrics.snapshot_failures.inc()
            _LOG.error("could not write a snapshot of the models: %s", error)

    def _lag(self, ends: dict[Any, int]) -> int:
        return sum(max(0, end - self._positions.get((tp.topic, tp.partition), 0)) for tp, end in ends.items())

    async def _follow(self) -> None:
        try:
            if self._relearning is not None:
                await retry_while_unavailable(
                    partial(self._relearn, self._relearning), "learning of the models"
                )
                self._relearning = None
                await self._notify()
            while True:
                await self._read_batch()
        finally:
            # Tasks that wait in `catch_up` must see that this task has ended.
            await self._notify()

    async def _notify(self) -> None:
        async with self._advanced:
            self._advanced.notify_all()

    async def _relearn(self, relearning: Relearning) -> None:
        reported = time.monotonic()

        def report(n_read: int, total: int) -> None:
            nonlocal reported
            if time.monotonic() > reported + _REPORT_INTERVAL:
                reported = time.monotonic()
                _LOG.info("learning models from the log: read %d of at most %d records", n_read, total)

        consumer = log_consumer(self._broker)
        await consumer.start()
        try:
            await relearning.run(
                consumer, self._assigned, self._positions, self._limits, report, self._on_removed_again
            )
        finally:
            await consumer.stop()

    async def _read_batch(self) -> None:
        batches = await self._consumer.getmany(timeout_ms=500, max_records=_FETCH_RECORDS)
        newest = 0.0
        for tp, records in batches.items():
            started = time.perf_counter()
            self._fold_batch[tp.topic](records)
            self._metrics.stage_times[WorkStage.LEARN] += time.perf_counter() - started
            self._positions[tp.topic, tp.partition] = records[-1].offset + 1
            newest = max(newest, records[-1].timestamp / 1000.0)
        await self._pass_invisible_records()
        self._resume_rewards()
        self._report_lag(newest)
        await self._notify()
        await asyncio.sleep(0)

    async def _pass_invisible_records(self) -> None:
        """Advance over records that no consumer sees: ends of transactions, aborted and compacted records."""
        for tp in self._assigned:
            if tp not in self._owned:
                at = (tp.topic, tp.partition)
                self._positions[at] = max(self._positions[at], await self._consumer.position(tp))

    def _on_removed(self, tp: TopicPartition, read: int, beginning: int) -> None:
        if tp not in self._owned:  # this worker learned its own records without reading them
            report_skipped(self._metrics, tp.topic, tp.partition, read, beginning)

    def _on_removed_again(self, tp: TopicPartition, read: int, beginning: int) -> None:
        """Report records that the parts lack; those that the replica has not read itself it reports later."""
        left = min(beginning, self._positions[tp.topic, tp.partition])
        if left > read:
            report_skipped(self._metrics, tp.topic, tp.partition, read, left)

    def _resume_rewards(self) -> None:
        """Start to read rewards once interactions and catalog are folded up to their ends at the start."""
        if self._rewards_wait_for is not None and not self._lag(self._rewards_wait_for):
            self._rewards_wait_for = None
            paused = {tp for tp in self._assigned if tp.topic == REWARDS.name}
            self._consumer.resume(*(paused - self._owned))

    def _on_interaction(self, interaction: Interaction) -> None:
        if interaction.kind is Kind.ERASE:
            self._on_withdrawn(self.models.pop_withdrawn_queries())
        if interaction.lines:
            self._on_stale((), affected_segments(self.models, interaction))

    def _fold_catalog(self, records: Sequence[Any]) -> None:
        fold_catalog(records, self._limits, self._learn_catalog_item)

    def _learn_catalog_item(self, event: CatalogItem) -> None:
        if self.models.learn_catalog(event):
            self._on_stale(*affected_lists(self.models, event.item_id, _N_NEIGHBORS))

    def _report_lag(self, newest: float) -> None:
        lag = 0
        for tp in self._consumer.assignment():
            highwater = self._consumer.highwater(tp)
            if highwater is not None and tp not in self._owned:
                lag += max(0, highwater - self._positions[tp.topic, tp.partition])
        self._metrics.replica_lag_messages.set(lag)
        if lag == 0:
            self._metrics.replica_lag_seconds.set(0)
        elif newest:
            self._metrics.replica_lag_seconds.set(max(0.0, self._clock() - newest))

"""The worker: a Faust application around the components of `stream_app.worker.bootstrap`.

Nothing is built at import time.
"""

import asyncio
import gc
import logging
from collections.abc import Collection, Coroutine
from functools import partial
from typing import Any, Final

import faust
from aiokafka.errors import ProducerFenced

from state.snapshots.model_store import ModelStore
from state.user_rows import DamagedStoreError
from state.user_table import FaustUserRows, users_table
from stream_app.kafka.batch_producer import BatchProducer
from stream_app.kafka.event_logs import TopicIncarnations
from stream_app.kafka.group_lease import GroupLease
from stream_app.kafka.partition_fence import PartitionFence
from stream_app.kafka.partitioning import UserPartitions
from stream_app.metrics import Metrics
from stream_app.publishing.publisher import Publisher
from stream_app.publishing.sentinel import Sentinel
from stream_app.settings import Settings
from stream_app.stage_metrics import WorkStage
from stream_app.worker.agents.catalog import declare_catalog_agent
from stream_app.worker.agents.users import declare_users_agent
from stream_app.worker.bootstrap import Ports, build_components
from stream_app.worker.catch_up_barrier import CatchUpBarrier
from stream_app.worker.dead_letter_writer import DeadLetterWriter
from stream_app.worker.direct_stream import is_current
from stream_app.worker.erasures import WorkerErasures
from stream_app.worker.event_forwarder import EventForwarder
from stream_app.worker.faust_app import make_faust_app
from stream_app.worker.faust_transport import use_direct_transport
from stream_app.worker.full_republication import FullRepublication, Pace
from stream_app.worker.gauges import report_regularly
from stream_app.worker.model_stores import make_model_store
from stream_app.worker.ownership import WorkerOwnership, renew_regularly
from stream_app.worker.position_log import PositionLog
from stream_app.worker.republication import republish_recent_users
from stream_app.worker.skipped_records import report_skipped
from stream_app.worker.store_retry import StoreRetry
from stream_app.worker.table_recovery import TableRecovery
from stream_app.worker.topic_watch import TopicWatch
from stream_app.worker.worker_status import Stage, WorkerStatus
from topics.catalog import CLICKS, INTERACTIONS, LISTS, REWARDS, changelog

_LOG: Final = logging.getLogger(__name__)


class Worker:
    """One worker.

    Attributes
    ----------
    catch_up_barrier
        Open while events may be handled.
    is_fenced
        Whether Kafka refused a record of this worker, because another worker has taken over its partition.
    topic_watch
        Notices topics of user events that are made anew.
    """

    def __init__(
        self,
        settings: Settings,
        publisher: Publisher,
        *,
        partitions: int,
        metrics: Metrics | None = None,
        store: ModelStore | None = None,
        table_store: str = "rocksdb://",
        incarnations: TopicIncarnations = TopicIncarnations(),  # noqa: B008  # immutable
        sentinel: Sentinel | None = None,
        status: WorkerStatus | None = None,
    ) -> None:
        self.settings: Final = settings
        self.metrics: Final = metrics if metrics is not None else Metrics()
        self.publisher: Final = publisher
        self.status: Final = status or WorkerStatus(lambda: True)
        self.app: Final = make_faust_app(settings, partitions, table_store, self.metrics)
        self.fence: Final = self._make_fence()
        self.batch_producer: Final = BatchProducer(
            self._producer,
            settings.producer_linger,
            self._stop_on_lost_batch,
            self.fence,
            self.metrics.records_dropped.inc,
        )
        table = users_table(
            self.app, self.batch_producer.append, partitions, settings.capacities.row_store_bytes
        )
        table.on_set_aside = self.metrics.local_state_set_aside.labels("table").inc
        self.rows: Final = FaustUserRows(table, partitions)
        self.lease: Final = GroupLease(settings.session_timeout)
        publisher.ownership = WorkerOwnership(self.fence, self.lease, self.batch_producer, self.metrics)
        self._table_recovery: Final = TableRecovery(
            table, self.fence, self.batch_producer, self.metrics, settings.kafka
        )
        self.positions: Final = PositionLog(table, self.batch_producer, incarnations.event_logs)
        self._partition_of: Final = UserPartitions(partitions)
        ports = Ports(
            self.rows,
            self.batch_producer.append,
            publisher,
            store or make_model_store(settings, self.metrics.local_state_set_aside.labels("snapshot").inc),
            self.metrics,
            partition_of=self._partition_of,
            incarnations=incarnations,
            forwarded=self.positions,
        )
        self.components: Final = build_components(settings, ports)
        self.catch_up_barrier: Final = CatchUpBarrier(lambda: self.app.consumer.suspend_flow)
        ready = self.catch_up_barrier.is_set
        self.erasures: Final = WorkerErasures(
            self.rows,
            self.fence,
            self.batch_producer,
            self.components,
            settings,
            self.metrics,
            ready,
            incarnations.event_logs,
        )
        self._forwarder: Final = EventForwarder(
            self._producer,
            self._partition_of,
            DeadLetterWriter(self.batch_producer.append, self.metrics),
            incarnations.event_logs,
        )
        self.is_fenced = False
        self.topic_watch: Final = TopicWatch(settings.kafka, incarnations.event_logs, self._crash)
        self.components.policies.on_event_logs = self.topic_watch.compare
        self.store_retry: Final = StoreRetry(lambda: table.data, self.metrics, ready, self._crash)
        self._recovered: Final = asyncio.Event()
        self._sentinel = self.erasures.sentinel = sentinel
        self._owned: frozenset[int] = frozenset()
        self._background: set[asyncio.Task[Any]] = set()
        self._running: asyncio.Task[Any] | None = None
        self._declare()

    def _make_fence(self) -> PartitionFence:
        log_topics = (changelog(self.settings.app_id), INTERACTIONS, LISTS, REWARDS)
        return PartitionFence(
            lambda: self._producer().client, self.settings.app_id, [spec.name for spec in log_topics]
        )

    @property
    def must_restart(self) -> bool:
        """Whether the process must start again by itself."""
        return self.is_fenced or self.topic_watch.is_outdated or self.store_retry.is_damaged

    def _crash(self, error: BaseException) -> None:
        self._background.add(asyncio.ensure_future(self.app.crash(error)))

    def _producer(self) -> Any:
        return self.app.producer._ensure_producer()  # noqa: SLF001  # Faust has no public way to it

    def _stop_on_lost_batch(self, topic: str, partition: int, error: Exception) -> None:
        if isinstance(error, ProducerFenced):
            self.is_fenced = True
            _LOG.error(
                "partition %s[%s] was taken over by another worker while this one did not answer; restarting",
                topic,
                partition,
            )
            self._crash(error)
            return
        _LOG.error(
            "Kafka did not acknowledge a batch of %s[%s]; stopping, so that its events are consumed again: %s",
            topic,
            partition,
            error,
        )
        self._crash(error)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        task.add_done_callback(self._on_task_done)

    def _on_task_done(self, task: "asyncio.Task[Any]") -> None:
        """End the worker when a component failed: the others would consume events and not publish lists."""
        if not task.cancelled() and (error := task.exception()) is not None:
            if isinstance(error, DamagedStoreError):
                self.store_retry.restart_without(error)
            elif not self.is_fenced:  # the restart is logged, and ends all tasks that append records
                _LOG.error("the worker's task %r failed; stopping", task.get_name(), exc_info=error)
                self._crash(error)

    def _declare(self) -> None:
        app, components = self.app, self.components
        use_direct_transport(
            app,
            self.batch_producer,
            self.settings.kafka,
            partial(report_skipped, self.metrics),
            self.positions,
            partial(self.metrics.stage_times.__setitem__, WorkStage.FETCH),
            self.topic_watch.on_lost,
        )
        app.tables.recover = self._recover_table
        declare_users_agent(
            app,
            components.user_events,
            components.queue,
            self.catch_up_barrier,
            self._forward,
            self.store_retry,
            partial(is_current, app),
        )
        declare_catalog_agent(app, components.catalog_events)
        app.on_partitions_revoked.connect(self._on_revoked, weak=False)
        app.on_partitions_assigned.connect(self._on_assigned, weak=False)
        app.on_before_shutdown.connect(self._on_before_shutdown, weak=False)
        app.task(self._run)

    async def _forward(self, message: Any, user_id: str) -> None:
        try:
            await self.app.producer.forwarded.add(await self._forwarder.forward(message, user_id))
        except Exception as error:
            # Faust commits the event in any case: it is consumed again only if the worker stops now.
            await self.app.crash(error)
            raise

    async def _recover_table(self, partitions: Collection[int]) -> None:
        self.status.enter(Stage.RECOVERING)
        await self.store_retry.run(lambda: self._recover_rows(partitions))
        generation = self.fence.generation
        await self.topic_watch.record(self.positions.later_event_logs())
        # The partitions may have been revoked meanwhile: Faust ends this call with the next assignment.
        if await self.topic_watch.verify() and self.fence.generation == generation:
            self._recovered.set()

    async def _recover_rows(self, partitions: Collection[int]) -> None:
        await self._table_recovery.recover(partitions)
        self.positions.load(partitions)

    async def _on_revoked(self, *_: Any, **__: Any) -> None:
        self.catch_up_barrier.clear()
        self.status.enter(Stage.JOINING)
        self._recovered.clear()
        self._owned = frozenset()
        self.fence.release()
        self.positions.clear()
        self._forwarder.clear()
        # The first call precedes the first request to join: the lease follows all heartbeats.
        self.lease.follow(self.app.consumer._thread._consumer._coordinator)  # noqa: SLF001  # no public way
        self.metrics.ready.set(0)
        self.rows.clear_cache()
        self.components.queue.hold_users()
        self.components.queue.drop_erasures()
        self.erasures.clear()
        self.components.replica.set_owned_partitions(())

    async def _on_assigned(self, *_: Any, **__: Any) -> None:
        self.catch_up_barrier.clear()
        self.metrics.ready.set(0)
        self.metrics.rebalances.inc()

    async def _run(self) -> None:
        """Start the components; then, for each assignment, catch up with the log and open the barrier."""
        self._running = asyncio.current_task()
        # Policies first: the comparison counts rewards from the effective time of the assignment.
        components = self.components
        self._spawn(self.status.run(), "status")
        await self.erasures.forget_since_snapshot()
        for task in (
            await components.policies.start(),
            await components.replica.start(),
            components.flush_loop.start(),
            *(await components.checkpoints.start() if components.checkpoints is not None else ()),
        ):
            task.add_done_callback(self._on_task_done)
        for work, name in self.erasures.tasks(self.store_retry.run):
            self._spawn(work, name)
        self._spawn(
            report_regularly(components, self.rows, self.metrics, self.app.monitor.copy_to_metrics),
            "guardrail and gauges",
        )
        self._spawn(self._snapshot_regularly(), "snapshots")
        self._spawn(renew_regularly(self.fence, self.batch_producer), "renewal of the fence")
        self._spawn(self.topic_watch.run(), "topic ids")
        if self._sentinel is not None:
            self._spawn(self._full_republication(self._sentinel).run(), "full republication")
        while True:
            # The table is recovered first: it says who was erased and what was bought, and its fence ends the logs
            # that are read next.
            await self._recovered.wait()
            if not self._recovered.is_set():
                # Revoked before this task ran.
                continue
            self._recovered.clear()
            generation, ends = self.fence.generation, self._table_recovery.log_ends
            self.status.enter(Stage.CATCHING_UP)
            # The previous owners' interactions must be folded before ours, which have later offsets.
            await components.replica.catch_up(known_ends=ends)
            if self.fence.generation != generation:
                continue
            owned = {tp.partition for tp in self.app.consumer.assignment() if tp.topic == CLICKS.name}
            self.status.enter(Stage.RESTORING)
            # The previous owners had the published lists of these users, and the outcomes, in memory.
            dropped = self.batch_producer.take_dropped_logs()
            without_rewards = {partition for topic, partition in dropped if topic == REWARDS.name}
            await components.list_recovery.recover(owned, ends, without_rewards)
            if components.checkpoints is not None:
                self.status.enter(Stage.LOADING)
                await components.checkpoints.wait_until_loaded()
            if self.fence.generation != generation:
                # The partitions were revoked: the barrier opens after the next recovery of the table.
                continue
            self.rows.clear_cache()
            components.replica.set_owned_partitions(owned)
            # Objects from before this point are long-lived: exclude them from garbage collection.
            gc.collect()
            gc.freeze()
            components.queue.release_users()
            self.catch_up_barrier.set()
            self._owned = frozenset(owned)
            self.metrics.ready.set(1)
            self.status.enter(Stage.READY)
            self._spawn(self._republish(), "republication")

    def _full_republication(self, sentinel: Sentinel) -> FullRepublication:
        components, settings = self.components, self.settings
        republication = FullRepublication(
            sentinel,
            self.rows,
            components.flush_loop,
            components.models,
            self.metrics,
            lambda: self._owned,
            Pace(settings.republish_rate, max_pending=max(1, settings.flush_users // 2)),
        )
        republication.on_complete = self.erasures.request_removal
        return republication

    async def _republish(self) -> None:
        n_rows = await self.store_retry.run(
            lambda: republish_recent_users(
                self.rows,
                self.components.queue,
                self.components.models.newest - self.settings.republish_window,
                is_interrupted=lambda: not self.catch_up_barrier.is_set(),
            )
        )
        if n_rows is not None:
            self.rows.set_count(n_rows)
            self.status.log_ready(len(self._owned), n_rows)
            self.erasures.request_removal()

    async def _snapshot_regularly(self) -> None:
        while True:
            await asyncio.sleep(self.settings.snapshot_interval)
            await self.components.replica.try_snapshot()

    async def _on_before_shutdown(self, *_: Any, **__: Any) -> None:
        if self._running is not None:
            # A recovery in progress would use what is stopped here.
            self._running.cancel()
            await asyncio.wait({self._running})
        self.metrics.ready.set(0)
        components = self.components
        await components.flush_loop.stop()
        for task in tuple(self._background):
            task.cancel()
        await components.policies.stop()
        if components.checkpoints is not None:
            await components.checkpoints.stop()
        await components.replica.stop()
        await self.batch_producer.flush()
        await self.components.replica.try_snapshot()
        await self.publisher.close()
        if self._sentinel is not None:
            await self._sentinel.close()


def create_app(settings: Settings, publisher: Publisher, *, partitions: int, **ports: Any) -> faust.App:
    """Create the Faust application of a worker.

    Parameters
    ----------
    partitions
        Partition count of the user event topics on the broker.
    **ports
        Other ports of `Worker`: ``metrics``, ``store``, ``table_store``, ``sentinel``, ``status``.

    Returns
    -------
    faust.App
        With its `Worker` as ``app.headrace_worker``.
    """
    worker = Worker(settings, publisher, partitions=partitions, **ports)
    worker.app.headrace_worker = worker
    return worker.app

"""The composition root: settings and ports in, a Faust application out.

Nothing is made at import time. `create_app` wires the pure parts to Kafka, Redis and the disk; tests hand in
other ports.
"""

import asyncio
import gc
import logging
from collections.abc import Awaitable
from functools import partial
from typing import Any, Final

import faust

from state.list_store import PublishedListStore
from state.log_progress import LogProgress
from state.model_store import DirectoryModelStore, ModelStore
from state.user_table import ChangelogTable, FaustUserRows, users_table
from stream_app.experiment.comparison import PolicyComparison
from stream_app.experiment.live_policies import LivePolicies
from stream_app.kafka.batch_producer import BatchProducer
from stream_app.metrics import Metrics
from stream_app.publishing.flusher import Flusher
from stream_app.publishing.prequential import PrequentialEvaluator
from stream_app.publishing.publisher import Publisher
from stream_app.ranking.assembly import make_models, make_ranker
from stream_app.settings import Settings
from stream_app.worker.agents.catalog import CatalogEventHandler, declare_catalog_agent
from stream_app.worker.agents.users import UserEventHandler, declare_users_agent
from stream_app.worker.dead_letter_writer import DeadLetterWriter
from stream_app.worker.faust_monitor import ScrapedMonitor
from stream_app.worker.faust_transport import use_direct_transport
from stream_app.worker.list_recovery import ListRecovery
from stream_app.worker.policy_controller import PolicyController
from stream_app.worker.record_order import BrokerTimeOrder
from stream_app.worker.replica import Replica, load_models
from stream_app.worker.reward_attributor import RewardAttributor
from topics.catalog import CLICKS

_LOG: Final = logging.getLogger(__name__)
_BATCH_BYTES: Final = 2 * 1024 * 1024
_REQUEST_BYTES: Final = 8 * 1024 * 1024
_GAUGE_INTERVAL: Final = 1.0
_SCAN_BATCH: Final = 200


class Components:
    """The parts of one worker, wired.

    Attributes
    ----------
    app
        The Faust application.
    replica, flusher, rows, lists, metrics, batch_producer
        What it runs.
    catch_up_barrier
        Open while events may be taken.
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
    ) -> None:
        self.settings: Final = settings
        self.metrics: Final = metrics if metrics is not None else Metrics()
        self.publisher: Final = publisher
        self.app: Final = _faust_app(settings, partitions, table_store, self.metrics)
        self.batch_producer: Final = BatchProducer(
            self._producer, settings.producer_linger, self._stop_on_lost_batch
        )
        store = store or DirectoryModelStore(settings.data_dir / "models", settings.max_snapshots)
        models, positions = load_models(partial(make_models, settings), store)
        self.replica: Final = Replica(
            models,
            positions,
            store,
            self.metrics,
            broker=settings.broker,
            limits=settings.limits,
            on_stale=lambda items, segments: self.flusher.invalidate(items, segments),  # noqa: PLW0108  # made below
        )
        self.rows: Final = FaustUserRows(
            users_table(self.app, self.batch_producer.append, partitions), partitions
        )
        memory = PublishedListStore(settings.retained_lists, settings.list_retention)
        self.lists: Final = PrequentialEvaluator(self.metrics, memory)
        rules = settings.attribution_rules
        log_progress = LogProgress()
        self._list_recovery = ListRecovery(
            memory,
            log_progress,
            broker=settings.broker,
            limit=settings.retained_lists,
            window=rules.longest_window,
        )
        self._rewards = RewardAttributor(
            memory, log_progress, self.replica, self.batch_producer.append, self.metrics, rules
        )
        self.flusher: Final = Flusher(
            make_ranker(models, settings),
            self.rows,
            publisher,
            self.lists,
            self.batch_producer.append,
            self.metrics,
            settings,
            log_progress=log_progress,
        )
        live, comparison = models.learner(LivePolicies), models.learner(PolicyComparison)
        assert live is not None and comparison is not None, "make_models adds both"  # noqa: PT018, S101
        self.policies: Final = PolicyController(
            live,
            comparison,
            self.metrics,
            self.batch_producer.append,
            control=settings.control_policy,
            margin=settings.guardrail_margin,
            broker=settings.broker,
        )
        self.catch_up_barrier: Final = asyncio.Event()
        self._assigned: Final = asyncio.Event()
        self._background: set[asyncio.Task[Any]] = set()
        self._declare()

    def _producer(self) -> Any:
        return self.app.producer._ensure_producer()  # noqa: SLF001  # Faust has no public way to it

    def _stop_on_lost_batch(self, error: Exception) -> None:
        _LOG.error("Kafka did not take a batch; stopping, so that its events are read again: %s", error)
        self._background.add(asyncio.ensure_future(self.app.crash(error)))

    def _spawn(self, work: Awaitable[Any]) -> None:
        task = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        task.add_done_callback(self._on_task_done)

    def _on_task_done(self, task: "asyncio.Future[Any]") -> None:
        """A part that failed ends the worker: half a worker would take events and not publish them."""
        if not task.cancelled() and (error := task.exception()) is not None:
            _LOG.error("a part of the worker failed", exc_info=error)
            crash_task = asyncio.ensure_future(self.app.crash(error))
            self._background.add(crash_task)

    def _declare(self) -> None:
        app, settings = self.app, self.settings
        batch_producer = self.batch_producer
        use_direct_transport(app, batch_producer)
        dead_letters = DeadLetterWriter(batch_producer.append, self.metrics)
        events = UserEventHandler(
            self.rows,
            self.replica,
            self.flusher,
            self.lists,
            self._rewards,
            batch_producer.append,
            dead_letters,
            self.metrics,
            limits=settings.limits,
            session_gap=settings.session_gap,
        )
        declare_users_agent(
            app, events, self.flusher, self.catch_up_barrier, self._forward, self._is_current_assignment
        )
        declare_catalog_agent(app, CatalogEventHandler(dead_letters, self.metrics, settings.limits))
        app.on_partitions_revoked.connect(self._on_revoked, weak=False)
        app.on_partitions_assigned.connect(self._on_assigned, weak=False)
        app.on_before_shutdown.connect(self._on_before_shutdown, weak=False)
        app.task(self._run)

    def _is_current_assignment(self, message: Any) -> bool:
        return bool(message.generation_id == self.app.consumer_generation_id)

    async def _forward(self, topic: str, key: bytes, value: bytes) -> None:
        try:
            await self._producer().send_and_wait(topic, value, key=key)
        except Exception as error:
            # Faust acknowledges the event whatever happens to it; only a worker that ends reads it again.
            await self.app.crash(error)
            raise

    async def _on_revoked(self, *_: Any, **__: Any) -> None:
        self.catch_up_barrier.clear()
        self.metrics.ready.set(0)
        self.rows.clear_cache()
        self.flusher.drop_pending_erasures()
        self.replica.set_owned_partitions(())

    async def _on_assigned(self, *_: Any, **__: Any) -> None:
        self.catch_up_barrier.clear()
        self.metrics.ready.set(0)
        self.metrics.rebalances.inc()
        self._assigned.set()

    async def _run(self) -> None:
        """What a worker does beside its agents."""
        # The split first: what the replica folds is compared from the time on at which it last changed.
        for task in (await self.policies.start(), await self.replica.start(), self.flusher.start()):
            task.add_done_callback(self._on_task_done)
        self._spawn(self._report_gauges())
        self._spawn(self._snapshot_regularly())
        while True:
            await self._assigned.wait()
            self._assigned.clear()
            # Interactions that the partitions' owners before sent must be folded before ours overtake them.
            await self.replica.catch_up()
            if self._assigned.is_set():
                continue
            owned = {tp.partition for tp in self.app.consumer.assignment() if tp.topic == CLICKS.name}
            # What their shoppers were shown, and what came of it, is known to the owners before.
            await self._list_recovery.recover(owned)
            if self._assigned.is_set():
                continue
            self.rows.clear_cache()
            self.replica.set_owned_partitions(owned)
            # What is there now stays: the collector need not look at it again and again.
            gc.collect()
            gc.freeze()
            self.catch_up_barrier.set()
            self.metrics.ready.set(1)
            self._spawn(self._republish_recent_users())

    async def _republish_recent_users(self) -> None:
        """Publish recently active shoppers again: their lists may have been lost with a crash or by Redis."""
        n_rows = 0
        oldest = self.replica.models.newest - self.settings.republish_window
        for user_id, row in self.rows.scan():
            n_rows += 1
            if row.last_ts >= oldest and row.counts.total:
                self.flusher.mark_pending(user_id)
                self.flusher.invalidate([entry.item_id for entry in row.recent], row.segments)
            elif not row.counts.total and not self.rows.get(user_id).counts.total:
                # A row without events is one that was erased: their lists may have outlived the worker that did it.
                # Whoever came back while the rows are gone through has a list by now.
                self.flusher.resume_erasure(user_id)
            if n_rows % _SCAN_BATCH == 0:
                await self.flusher.wait_for_capacity()
                await asyncio.sleep(0)
            if not self.catch_up_barrier.is_set():
                return
        self.rows.set_count(n_rows)

    async def _report_gauges(self) -> None:
        models = self.replica.models
        while True:
            for name, size in models.memory().items():
                self.metrics.model_bytes.labels(name).set(size)
            self.metrics.model_items.set(len(models.index))
            self.metrics.model_users.set(len(models.tracker))
            self.metrics.purchase_outliers.set(models.outliers.flagged)
            self.metrics.pending.items.set(self.flusher.stale_items)
            self.metrics.table_users.set(self.rows.count)
            self.app.monitor.copy_to_metrics()
            self.lists.report_catalog_coverage(len(models.index))
            self.lists.report_memory()
            self.policies.apply_guardrail()
            self.policies.report()
            await asyncio.sleep(_GAUGE_INTERVAL)

    async def _snapshot_regularly(self) -> None:
        while True:
            await asyncio.sleep(self.settings.snapshot_interval)
            await self.replica.snapshot()

    async def _on_before_shutdown(self, *_: Any, **__: Any) -> None:
        self.metrics.ready.set(0)
        await self.flusher.stop()
        for task in tuple(self._background):
            task.cancel()
        await self.policies.stop()
        await self.replica.stop()
        await self.batch_producer.flush()
        await self.replica.snapshot()
        await self.publisher.close()


def create_app(settings: Settings, publisher: Publisher, *, partitions: int, **ports: Any) -> faust.App:
    """Wire a worker.

    Parameters
    ----------
    settings
        All of them.
    publisher
        Where lists go.
    partitions
        Partition count of the shoppers' topics on the broker.
    **ports
        Other ports, see `Components`: ``metrics``, ``store``, ``table_store``.

    Returns
    -------
    faust.App
        With its parts as ``app.components``.
    """
    components = Components(settings, publisher, partitions=partitions, **ports)
    components.app.components = components
    return components.app


def _faust_app(settings: Settings, partitions: int, table_store: str, metrics: Metrics) -> faust.App:
    folder = settings.data_dir / "table"
    folder.mkdir(parents=True, exist_ok=True)
    app = faust.App(
        settings.app_id,
        broker=";".join(f"kafka://{host}" for host in settings.broker.split(",")),
        store=table_store,
        datadir=folder,
        autodiscover=False,
        web_enabled=False,
        topic_partitions=partitions,
        topic_allow_declare=False,
        topic_disable_leader=True,
        Table=ChangelogTable,
        ConsumerScheduler=BrokerTimeOrder,
        consumer_auto_offset_reset="earliest",
        # A killed worker holds its partitions until the broker gives it up; Faust's own minute is long.
        broker_session_timeout=settings.session_timeout,
        broker_heartbeat_interval=settings.session_timeout / 4,
        broker_commit_interval=1.0,
        producer_linger=settings.producer_linger,
        producer_max_batch_size=_BATCH_BYTES,
        producer_max_request_size=_REQUEST_BYTES,
        producer_acks=-1,
        table_standby_replicas=0,
    )
    app.monitor = ScrapedMonitor(metrics.registry)
    return app

"""The parts of a worker that remove what is left of erased users, wired."""

import asyncio
import logging
import shutil
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from state.erased_rows import ErasedRows
from state.row_store import RowStore
from state.user_table import ChangelogTable, FaustUserRows
from stream_app.kafka.batch_producer import BatchProducer
from stream_app.kafka.event_logs import EventLogs, bases
from stream_app.kafka.partition_fence import PartitionFence
from stream_app.metrics import Metrics
from stream_app.publishing.publisher import PublisherUnavailableError
from stream_app.publishing.sentinel import Sentinel
from stream_app.settings import Settings
from stream_app.worker.bootstrap import Components
from stream_app.worker.erased_since_snapshot import forget_erased_users
from stream_app.worker.erasure_completion import ErasureCompletion
from stream_app.worker.erasure_sweep import ErasureSweep, SweepConfig
from stream_app.worker.restored_lists import erase_restored_lists, withdraw_private_queries

_LOG: Final = logging.getLogger(__name__)

SNAPSHOT_SECONDS: Final = 30 * 86_400.0
"""How long snapshots that were not superseded are kept, except for the newest: they may hold erased users."""

SET_ASIDE_SECONDS: Final = 7 * 86_400.0
"""How long damaged files that were set aside are kept: they may hold rows or models with erased users."""

_MAX_CHECK_SECONDS: Final = 300.0
_CHECKS_PER_INTERVAL: Final = 10
_REMOVAL_RETRY_SECONDS: Final = 5.0


class WorkerErasures:
    """Completes erasures in the table, sweeps the logs, and removes old files.

    Parameters
    ----------
    is_ready
        Whether the partitions are recovered and events may be handled.
    event_logs
        The incarnations of the topics of events.

    Attributes
    ----------
    sentinel
        Knows the users with a list in the store; None if there is no store to look into.
    """

    def __init__(
        self,
        rows: FaustUserRows,
        fence: PartitionFence,
        producer: BatchProducer,
        components: Components,
        settings: Settings,
        metrics: Metrics,
        is_ready: Callable[[], bool],
        event_logs: EventLogs,
    ) -> None:
        self.sentinel: Sentinel | None = None
        self._removal_due: Final = asyncio.Event()
        self._is_ready = is_ready
        self._table: ChangelogTable = rows.table
        self._rows = rows
        self._models = components.models
        self._queue = components.queue
        self._is_public = components.flush_loop.is_public
        self._snapshots = components.replica.store
        self._settings = settings
        erased_rows = ErasedRows(rows.table, rows)
        self.completion: Final = ErasureCompletion(
            erased_rows, fence, producer.flush, components.queue.is_erasure_pending
        )
        components.flush_loop.on_erased = self.completion.on_erased
        self.sweep: Final = ErasureSweep(
            erased_rows, producer, fence, metrics, sweep_config(settings, event_logs), self._purge, is_ready
        )

    def clear(self) -> None:
        """Drop what was pending, after partitions were revoked: their next owner goes on."""
        self.completion.clear()

    async def forget_since_snapshot(self) -> None:
        """Make the models of the snapshot forget users who were erased since; call it before they read the logs."""
        await forget_erased_users(self._models, self._settings.kafka)

    def request_removal(self) -> None:
        """Have `remove_stored_lists` called as soon as Redis is available: after an assignment or a loss."""
        self._removal_due.set()

    async def remove_stored_lists(self) -> None:
        """Delete lists in Redis of erased users and of private queries.

        Raises
        ------
        PublisherUnavailableError
            If Redis is unavailable.
        StoreError
            If the local store cannot be read.
        """
        if self.sentinel is None:
            return
        sentinel, queue = self.sentinel, self._queue

        def is_interrupted() -> bool:
            return not self._is_ready()

        await erase_restored_lists(sentinel, self._rows, queue, is_interrupted)
        await withdraw_private_queries(sentinel, self._is_public, queue, is_interrupted)

    def tasks(
        self, run_with_store: Callable[[Callable[[], Awaitable[None]]], Awaitable[None]]
    ) -> list[tuple[Coroutine[Any, Any, None], str]]:
        """The work of these parts, with names; each task runs for ever.

        Parameters
        ----------
        run_with_store
            Repeats work until the local store does not fail.
        """
        return [
            (self._remove_when_requested(run_with_store), "removal of lists of erased users"),
            (self.completion.run(), "completion of erasures"),
            (self.sweep.run(), "sweep of erasures"),
            (self._remove_old_files(), "removal of files set aside"),
        ]

    async def _remove_when_requested(
        self, run_with_store: Callable[[Callable[[], Awaitable[None]]], Awaitable[None]]
    ) -> None:
        while True:
            await self._removal_due.wait()
            self._removal_due.clear()
            try:
                await run_with_store(self.remove_stored_lists)
            except PublisherUnavailableError:
                # The flush loop reports it, or the sentinel.
                self._removal_due.set()
                await asyncio.sleep(_REMOVAL_RETRY_SECONDS)

    async def _purge(self, partitions: Collection[int]) -> None:
        store = self._table.data
        if isinstance(store, RowStore):
            for partition in sorted(partitions):
                await asyncio.to_thread(store.purge, partition)

    async def _remove_old_files(self) -> None:
        interval = min(SET_ASIDE_SECONDS / _CHECKS_PER_INTERVAL, self._settings.erasure_sweep_interval)
        while True:
            now = time.time()
            await asyncio.to_thread(remove_set_aside, self._settings.data_dir, now - SET_ASIDE_SECONDS)
            try:
                await asyncio.to_thread(self._snapshots.remove_older_than, now - SNAPSHOT_SECONDS)
            except OSError as error:
                _LOG.info("old snapshots could not be removed; next attempt in %d s: %s", interval, error)
            await asyncio.sleep(interval)


def sweep_config(settings: Settings, event_logs: EventLogs) -> SweepConfig:
    """When and how fast a worker with these settings sweeps."""
    return SweepConfig(
        settings.kafka,
        settings.erasure_sweep_interval,
        settings.erasure_sweep_rate,
        # Longer than Kafka keeps the events: it deletes whole segments, of a day.
        (settings.event_retention_days + 2) * 86_400.0,
        min(_MAX_CHECK_SECONDS, settings.erasure_sweep_interval / _CHECKS_PER_INTERVAL),
        bases(event_logs),
    )


def remove_set_aside(folder: Path, before: float) -> None:
    """Remove damaged files and folders that were set aside, or last written, before a time.

    Parameters
    ----------
    folder
        The worker's data folder.
    before
        Seconds since the epoch.
    """
    for path in folder.glob("**/*.damaged*"):
        with suppress(OSError):
            if _set_aside_at(path) >= before:
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _set_aside_at(path: Path) -> float:
    """The time in the name of a folder of the table (`state.row_store`), else that of the last change."""
    nanoseconds = path.name.rpartition(".damaged-")[2]
    return int(nanoseconds) / 1e9 if nanoseconds.isdecimal() else path.stat().st_mtime

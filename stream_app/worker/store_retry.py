"""Holds events back while the local store fails, so that none is lost for a reason of ours."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from state.row_store import RowStore
from state.user_rows import DamagedStoreError, StoreError, StuckStoreError
from stream_app.metrics import WorkerMetrics
from stream_app.worker import process

_LOG: Final = logging.getLogger(__name__)
_ResultT = TypeVar("_ResultT")

RETRY_SECONDS: Final = 1.0


class StoreRetry:
    """Waits until the local store works again.

    Parameters
    ----------
    store
        Returns the store; one that is not a `RowStore` is in memory and cannot fail.
    is_open
        Whether events may be handled once the store works.
    crash
        Ends the worker with an error.
    restart
        Replaces the process at once, without an end.

    Attributes
    ----------
    failing
        Whether the last operation failed.
    is_damaged
        Whether files are damaged: the worker must start again, which sets them aside.
    """

    def __init__(
        self,
        store: Callable[[], object],
        metrics: WorkerMetrics,
        is_open: Callable[[], bool],
        crash: Callable[[Exception], None],
        retry_seconds: float = RETRY_SECONDS,
        restart: Callable[[], object] = process.restart,
    ) -> None:
        self.failing = False
        self.is_damaged = False
        self._store = store
        self._metrics = metrics
        self._is_open = is_open
        self._crash = crash
        self._retry_seconds = retry_seconds
        self._restart = restart

    async def wait(self, error: StoreError) -> None:
        """Wait before the operation that failed with `error` is tried again.

        Raises
        ------
        DamagedStoreError
            If the error is one: another attempt cannot succeed.
        """
        self._metrics.store_errors.inc()
        self._metrics.ready.set(0)
        if isinstance(error, DamagedStoreError):
            self.restart_without(error)
            raise error
        if not self.failing:
            self.failing = True
            _LOG.error("the local store failed; taking no events until it works again: %s", error)
        # The frames of the error hold the database, and with it its lock: it could not be opened again.
        error.__traceback__ = error.__cause__ = error.__context__ = None
        await asyncio.sleep(self._retry_seconds)
        store = self._store()
        if isinstance(store, RowStore) and store.has_room():
            try:
                store.reopen()
            except StuckStoreError as stuck:
                # As after a crash: nothing is lost. An orderly end would wait for the store, too.
                _LOG.error("the local store cannot be closed; restarting: %s", stuck)
                self._restart()
            except StoreError:
                # The next attempt of the operation fails, and waits here again.
                pass

    async def run(self, work: Callable[[], Awaitable[_ResultT]]) -> _ResultT:
        """Repeat work until the store does not fail."""
        while True:
            try:
                result = await work()
            except StoreError as error:
                await self.wait(error)
            else:
                self.on_success()
                return result

    def restart_without(self, error: DamagedStoreError) -> None:
        """End the worker; the next start sets the damaged files aside."""
        self.is_damaged = True
        store = self._store()
        if isinstance(store, RowStore):
            store.mark_damaged(error.partition)
        _LOG.error("files of the local store are damaged; restarting without them: %s", error)
        self._crash(error)

    def on_success(self) -> None:
        """Note that an operation succeeded."""
        if self.failing:
            self.failing = False
            _LOG.warning("the local store works again; taking events")
            self._metrics.ready.set(float(self._is_open()))

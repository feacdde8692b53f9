"""A local store that cannot be closed after a full disk restarts the worker."""

import threading
from typing import Any

import pytest

from state import row_store
from state.row_store import RowStore
from state.user_rows import StoreError
from stream_app.metrics import Metrics
from stream_app.worker.store_retry import StoreRetry


class StuckDatabase:
    """A database that does not end to close before it is released."""

    def __init__(self) -> None:
        self.released = threading.Event()

    def __del__(self) -> None:
        self.released.wait(30)


def store_with(databases: dict[int, Any]) -> RowStore:
    store = object.__new__(RowStore)
    store._dbs, store._to_reopen = databases, set()
    store.has_room = lambda: True  # type: ignore[method-assign]  # the disk is not full
    return store


async def test_a_worker_whose_store_cannot_be_closed_restarts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_store, "CLOSE_SECONDS", 0.05)
    database = StuckDatabase()
    released = database.released
    store = store_with({0: database})
    del database
    restarts: list[str] = []
    retry = StoreRetry(
        lambda: store,
        Metrics(),
        lambda: True,
        lambda _: None,
        retry_seconds=0.0,
        restart=lambda: restarts.append("restart"),
    )
    await retry.wait(StoreError("No space left on device"))
    assert restarts == ["restart"]
    released.set()

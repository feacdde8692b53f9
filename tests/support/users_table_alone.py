"""The users table of an application that does not run, on disk or in memory, and what it appends to its changelog."""

import weakref
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import faust
from faust.streams import _current_event
from faust.types import TP

from state.row_store import RowStore
from state.user_table import ChangelogTable, users_table

CHANGELOG = "shop-users-changelog"


class UsersTableAlone:
    """A table, of whose partitions the worker owns some.

    Attributes
    ----------
    appended
        Partition, key and value of each record of the changelog.
    delivered
        The callbacks of these records, which take an offset.
    n_set_aside
        How often damaged files were set aside.
    """

    def __init__(self, folder: Path, owned: Collection[int] = range(4), *, on_disk: bool = True) -> None:
        self.app = faust.App(
            "shop",
            broker="kafka://127.0.0.1:1",
            datadir=str(folder),
            store="rocksdb://" if on_disk else "memory://",
            Table=ChangelogTable,
        )
        self.appended: list[tuple[int, bytes | None, bytes | None]] = []
        self.delivered: list[Callable[[int], None]] = []
        self.table = users_table(self.app, self._append, 4)
        self.table.on_set_aside()
        self.table.on_set_aside = self._on_set_aside
        self.n_set_aside = 0
        self.app.assignor = SimpleNamespace(
            assigned_actives=lambda: {TP(CHANGELOG, each) for each in owned},
            assigned_standbys=set,
        )

    @property
    def store(self) -> RowStore:
        store: RowStore = self.table.data
        assert isinstance(store, RowStore)
        return store

    def _append(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        on_delivered: Callable[[int], None],
    ) -> None:
        assert topic == CHANGELOG
        self.appended.append((partition, key, value))
        self.delivered.append(on_delivered)

    def _on_set_aside(self) -> None:
        self.n_set_aside += 1


class _Event:
    def __init__(self, partition: int) -> None:
        self.message = SimpleNamespace(partition=partition)


@contextmanager
def event_in(partition: int) -> Iterator[None]:
    """An event of a partition is processed."""
    event: Any = _Event(partition)
    token = _current_event.set(weakref.ref(event))
    try:
        yield
    finally:
        _current_event.reset(token)

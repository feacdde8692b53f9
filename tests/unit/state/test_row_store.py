"""The local store of rows by itself: what it reads, writes, goes through, marks and sets aside."""

import gc
import os
import shutil
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from faust.stores import rocksdb as faust_rocksdb
from faust.types import TP

from state import row_store
from state.row_store import RowStore, store_error
from state.user_rows import DamagedStoreError, StoreError, StuckStoreError
from tests.support.users_table_alone import CHANGELOG, UsersTableAlone, event_in


@pytest.fixture
def table(tmp_path: Path) -> UsersTableAlone:
    return UsersTableAlone(tmp_path, owned=(0, 1, 2))


@pytest.fixture
def store(table: UsersTableAlone) -> RowStore:
    return table.store


def fill(store: RowStore, partition: int, n_rows: int) -> list[bytes]:
    keys = [b"u%d-%04d" % (partition, number) for number in range(n_rows)]
    for key in keys:
        store.put(partition, key, b"row of " + key)
    return keys


def close(store: RowStore) -> None:
    store._dbs.clear()
    gc.collect()


class FakeDatabase:
    """The methods of both bindings of RocksDB, on a dict."""

    def __init__(self, rows: dict[bytes, bytes] | None = None) -> None:
        self.rows = rows or {}
        self.called: list[tuple[Any, ...]] = []
        self.error: Exception | None = None

    def _record(self, *call: Any) -> None:
        self.called.append(call)
        if self.error is not None:
            raise self.error

    def get(self, key: bytes, **options: Any) -> bytes | None:
        self._record("get", key, options)
        return self.rows.get(key)

    def put(self, key: bytes, value: bytes) -> None:
        self._record("put", key)
        self.rows[key] = value

    def delete(self, key: bytes) -> None:
        self._record("delete", key)
        self.rows.pop(key, None)

    def flush(self) -> None:
        self._record("flush")

    def compact_range(self, *bounds: Any) -> None:
        self._record("compact_range", *bounds)

    def items(self, *, from_key: bytes | None) -> Iterator[tuple[bytes, bytes]]:
        self._record("items", from_key)
        return iter([item for item in sorted(self.rows.items()) if from_key is None or item[0] >= from_key])

    def iteritems(self, **options: Any) -> "FakeCursor":
        self._record("iteritems", options)
        return FakeCursor(sorted(self.rows.items()))


class FakeCursor:
    """Has no place before it is told one."""

    def __init__(self, items: list[tuple[bytes, bytes]]) -> None:
        self._all, self._left = items, list[tuple[bytes, bytes]]()

    def seek_to_first(self) -> None:
        self._left = list(self._all)

    def seek(self, key: bytes) -> None:
        self._left = [item for item in self._all if item[0] >= key]

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        return iter(self._left)


@pytest.mark.parametrize("is_rocksdict", [False, True])
def test_both_bindings_read_with_checksums_and_purge_all(store: RowStore, is_rocksdict: bool) -> None:
    store.use_rocksdict = is_rocksdict
    database = store._dbs[0] = FakeDatabase({b"a": b"1", b"b": b"2", b"c": b"3"})
    assert store.read(0, b"a") == b"1"
    assert database.called == [("get", b"a", {} if is_rocksdict else {"verify_checksums": True})]
    assert list(store.items_from(None)) == [(0, b"a", b"1"), (0, b"b", b"2"), (0, b"c", b"3")]
    assert list(store.items_from(b"b")) == [(0, b"c", b"3")]
    walks = [call for call in database.called if call[0] in {"items", "iteritems"}]
    assert walks[0] == (("items", None) if is_rocksdict else ("iteritems", {"verify_checksums": True}))
    database.called.clear()
    store.purge(0)
    assert database.called == (
        [("flush",), ("compact_range", None, None)] if is_rocksdict else [("compact_range",)]
    )
    store.purge(1)
    database.error = OSError("Corruption: bad block")
    with pytest.raises(DamagedStoreError) as damaged:
        store.purge(0)
    assert damaged.value.partition == 0


def test_rows_are_gone_through_by_partition_in_portions_of_a_hundred(store: RowStore) -> None:
    keys = [(partition, key) for partition in (0, 2) for key in fill(store, partition, 250)]
    fill(store, 3, 5)
    found = list(store.items_from(None))
    # Partition 3 belongs to another worker.
    assert [(partition, key) for partition, key, _ in found] == keys
    assert found[0][2] == b"row of u0-0000"
    assert [key for key, _ in store._iteritems()] == [key for _, key in keys]
    assert [key for _, key, _ in store.items_from(b"u0-0247")] == [
        b"u0-0248",
        b"u0-0249",
        *[key for partition, key in keys if partition == 2],
    ]
    assert len(store._portion(0, None)) == 100


def test_the_offset_of_the_changelog_is_no_row(store: RowStore) -> None:
    tp = TP(CHANGELOG, 0)
    assert store.persisted_offset(tp) is None
    store.put(0, b"ann", b"1")
    store.set_persisted_offset(tp, 41)
    assert store.persisted_offset(tp) == 41
    assert list(store.items_from(None)) == [(0, b"ann", b"1")]


@pytest.mark.parametrize("is_number", [True, False])
def test_files_whose_offset_cannot_be_read_are_set_aside(
    table: UsersTableAlone, store: RowStore, caplog: pytest.LogCaptureFixture, is_number: bool
) -> None:
    tp = TP(CHANGELOG, 0)
    fill(store, 0, 800)
    fill(store, 1, 1)
    store.put(0, store.offset_key, b"7" if is_number else b"no number")
    store.purge(0)
    if is_number:
        # one byte of the block that has the offset: the database opens all the same
        close(store)
        for path in store.partition_path(0).glob("*.sst"):
            content = bytearray(path.read_bytes())
            content[40] ^= 0xFF
            path.write_bytes(content)
    assert store.persisted_offset(tp) is None
    assert table.n_set_aside == 1
    assert "the offset of partition 0 of the users table is damaged" in caplog.text
    # the partition is empty, and can be written to
    assert store.read(0, b"u0-0000") is None
    store.set_persisted_offset(tp, 3)
    assert store.persisted_offset(tp) == 3
    assert store.read(1, b"u1-0000") is not None


def test_rows_of_a_partition_that_is_revoked_meanwhile_are_left_out(store: RowStore) -> None:
    fill(store, 0, 150)
    rest = fill(store, 1, 3)
    scan = store.items_from(None)
    first = [next(scan) for _ in range(10)]
    assert {partition for partition, _, _ in first} == {0}
    store.revoke_partitions(store.table, {TP(CHANGELOG, 0)})
    assert [key for _, key, _ in scan] == rest


def test_a_key_is_found_in_any_partition_and_first_where_it_was_found_before(store: RowStore) -> None:
    databases = [FakeDatabase({b"ann": b"0"} if at == 1 else {}) for at in range(3)]
    store._dbs.update(enumerate(databases))
    for n_lookups in (1, 2):
        assert store._get(b"ann") == b"0"
        assert [len(each.called) for each in databases] == [1, n_lookups, 0]
    assert store._get(b"bob") is None
    assert store._contains(b"ann")
    assert not store._contains(b"bob")
    # The partition of the event in processing alone.
    with event_in(2):
        assert store._get(b"ann") is None
    # It was moved away: the others are asked.
    store._dbs[3] = FakeDatabase({b"ann": b"3"})
    del store._dbs[1]
    assert store._get(b"ann") == b"3"


def test_a_row_that_was_put_is_looked_up_in_its_partition(store: RowStore) -> None:
    databases = [FakeDatabase() for _ in range(3)]
    store._dbs.update(enumerate(databases))
    store.put(2, b"ann", b"1")
    assert store._get(b"ann") == b"1"
    assert [len(each.called) for each in databases] == [0, 0, 2]


def test_a_row_is_changed_while_no_event_is_processed(store: RowStore) -> None:
    store.put(0, b"ann", b"1")
    store.change(0, b"ann", b"2")
    assert store._get(b"ann") == b"2"
    store.change(0, b"ann", None)
    assert store._get(b"ann") is None
    with pytest.raises(StoreError, match="partition 1 of the users table is not open"):
        store.change(1, b"ann", b"2")


def test_a_row_is_set_in_the_partition_of_the_event(store: RowStore) -> None:
    with event_in(1):
        store._set(b"ann", b"1")
        assert store._get(b"ann") == b"1"
    assert [(partition, key) for partition, key, _ in store.items_from(None)] == [(1, b"ann")]


ACTIONS: dict[str, Callable[[RowStore], Any]] = {
    "get": lambda store: store._get(b"ann"),
    "set": lambda store: store._set(b"ann", b"2"),
    "put": lambda store: store.put(2, b"ann", b"2"),
    "change": lambda store: store.change(2, b"ann", b"2"),
    "walk": lambda store: list(store.items_from(None)),
    "offset": lambda store: store.set_persisted_offset(TP(CHANGELOG, 2), 7),
}


@pytest.mark.parametrize("action", ACTIONS.values(), ids=ACTIONS.keys())
def test_an_error_of_the_database_names_the_partition(
    store: RowStore, action: Callable[[RowStore], Any]
) -> None:
    database = store._dbs[2] = FakeDatabase({b"ann": b"1"})
    database.error = OSError("Corruption: block checksum mismatch")
    with event_in(2), pytest.raises(DamagedStoreError, match="partition 2 of the users table") as damaged:
        action(store)
    assert damaged.value.partition == 2


def test_an_error_outside_of_an_event_may_be_of_any_partition(store: RowStore) -> None:
    with pytest.raises(StoreError, match="partition -1 of the users table"):
        store._set(b"ann", b"1")
    assert isinstance(store_error(OSError("Corruption")), DamagedStoreError)
    found = store_error(OSError("Corruption: bad"))
    assert isinstance(found, DamagedStoreError)
    assert (found.partition, str(found)) == (-1, "partition -1 of the users table: Corruption: bad")
    assert store_error(found, 3) is found


@pytest.mark.parametrize(
    ("text", "is_damaged"),
    [
        ("Corruption: bad magic", True),
        ("IO error: No such file or directory: 000003.sst", True),
        ("IO error: No space left on device: No such file or directory", False),
        ("IO error: Disk quota exceeded", False),
        ("IO error: Input/output error", False),
    ],
)
def test_a_full_disk_damages_nothing(text: str, is_damaged: bool) -> None:
    assert isinstance(store_error(OSError(text)), DamagedStoreError) == is_damaged


def test_marked_partitions_are_set_aside_at_their_next_opening(
    table: UsersTableAlone, store: RowStore
) -> None:
    for partition in (0, 1, 2):
        fill(store, partition, 1)
    store.mark_damaged(1)
    close(store)
    assert [store.read(partition, b"u%d-0000" % partition) is None for partition in (0, 1, 2)] == [
        False,
        True,
        False,
    ]
    assert table.n_set_aside == 1
    # The mark is gone: what is written from now on stays.
    fill(store, 1, 1)
    close(store)
    assert store.read(1, b"u1-0000") is not None
    store.mark_damaged(0)
    close(store)
    assert store.read(0, b"u0-0000") is None
    for partition in (0, 1, 2):
        fill(store, partition, 1)
    # It is not known which.
    store.mark_damaged(-1)
    close(store)
    assert [store.read(partition, b"u%d-0000" % partition) for partition in (0, 1, 2)] == [None] * 3
    assert table.n_set_aside == 5


def test_a_cleared_partition_is_empty_and_can_be_written_to(table: UsersTableAlone, store: RowStore) -> None:
    for partition in (0, 1):
        fill(store, partition, 3)
        store.set_persisted_offset(TP("users", partition), 7)
    store.clear(0)
    store.clear(2)  # it was never written to
    assert store.read(0, b"u0-0000") is None
    assert store.persisted_offset(TP("users", 0)) is None
    assert store.persisted_offset(TP("users", 1)) == 7
    assert store.read(1, b"u1-0002") is not None
    fill(store, 0, 1)
    close(store)
    assert store.read(0, b"u0-0000") is not None
    assert table.n_set_aside == 0
    assert not list(store.path.glob("*.is-damaged"))
    assert not list(store.path.glob("*.damaged-*"))


def test_a_partition_that_was_half_cleared_is_set_aside(
    table: UsersTableAlone, store: RowStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store, 0, 3)

    def fail(_path: Path) -> None:
        raise OSError("Input/output error")

    monkeypatch.setattr(shutil, "rmtree", fail)
    with pytest.raises(StoreError, match=r"partition 0 .*Input/output"):
        store.clear(0)
    monkeypatch.undo()
    assert store.read(0, b"u0-0000") is None
    assert table.n_set_aside == 1


def test_a_marked_partition_without_files_is_opened(table: UsersTableAlone, store: RowStore) -> None:
    store.mark_damaged(0)
    assert store.read(0, b"ann") is None
    assert table.n_set_aside == 1
    assert not list(store.path.glob("*.is-damaged"))


@pytest.mark.parametrize("name", ["CURRENT", "LOCK"])
def test_a_partition_whose_current_file_or_lock_is_no_file_is_set_aside(
    table: UsersTableAlone, store: RowStore, name: str
) -> None:
    fill(store, 0, 1)
    close(store)
    path = store.partition_path(0) / name
    path.unlink()
    path.mkdir()
    assert store.read(0, b"u0-0000") is None
    assert table.n_set_aside == 1
    fill(store, 0, 1)
    close(store)
    assert store.read(0, b"u0-0000") is not None


def test_a_partition_without_the_file_of_its_lock_keeps_its_rows(
    table: UsersTableAlone, store: RowStore
) -> None:
    fill(store, 0, 1)
    close(store)
    (store.partition_path(0) / "LOCK").unlink()
    assert store.read(0, b"u0-0000") is not None
    assert table.n_set_aside == 0


def test_the_newest_two_damaged_folders_stay_whatever_their_partition(
    store: RowStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = iter(range(100, 200))
    monkeypatch.setattr(time, "time_ns", lambda: next(numbers))
    for partition in (2, 0, 1, 0):
        fill(store, partition, 1)
        store.mark_damaged(partition)
        close(store)
        store._db_for_partition(partition)
        close(store)
    assert sorted(path.name for path in store.path.glob("*.damaged-*")) == [
        "users-0.db.damaged-103",
        "users-1.db.damaged-102",
    ]
    # A file of that name is removed as well.
    (store.path / "users-9.db.damaged-1").write_bytes(b"x")
    store.mark_damaged(0)
    store._db_for_partition(0)
    assert not (store.path / "users-9.db.damaged-1").exists()


def test_a_damaged_folder_that_cannot_be_removed_does_not_keep_the_store_from_opening(
    store: RowStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        (store.path / f"users-0.db.damaged-{number}").mkdir(parents=True)

    def fail(path: str, *_: Any, **__: Any) -> None:
        raise OSError(f"busy: {path}")

    store.mark_damaged(0)
    with monkeypatch.context() as patched:
        patched.setattr(os, "rmdir", fail)
        assert store.read(0, b"ann") is None


def test_damage_of_the_opening_is_set_aside_and_other_errors_are_raised(
    table: UsersTableAlone, store: RowStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store, 0, 1)
    close(store)
    errors: list[Exception] = []
    open_for_partition = faust_rocksdb.Store._open_for_partition

    def fail_first(self: Any, partition: int) -> Any:
        if errors:
            raise errors.pop(0)
        return open_for_partition(self, partition)

    monkeypatch.setattr(faust_rocksdb.Store, "_open_for_partition", fail_first)
    errors += [OSError("IO error: No space left on device")]
    with pytest.raises(StoreError, match="No space"):
        store.read(0, b"ann")
    errors += [OSError("IO error: lock hold by current process")]
    with pytest.raises(StoreError, match="lock hold"):
        store.read(0, b"ann")
    # There are no files that could be set aside.
    errors += [OSError("Corruption: no files")]
    with pytest.raises(DamagedStoreError):
        store.read(1, b"ann")
    assert table.n_set_aside == 0
    assert store.read(0, b"u0-0000") is not None
    close(store)
    errors += [OSError("Corruption: bad manifest")]
    assert store.read(0, b"u0-0000") is None
    assert table.n_set_aside == 1
    close(store)
    errors += [OSError("Corruption: bad manifest"), OSError("Corruption: again")]
    with pytest.raises(DamagedStoreError, match="again"):
        store.read(0, b"u0-0000")


def test_room_is_found_by_writing_four_mebibytes_that_are_removed_again(
    store: RowStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    synchronized: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synchronized.append(os.fstat(descriptor).st_size))
    assert store.has_room()
    assert synchronized == [4 * 1024 * 1024]
    assert not (store.path / ".room").exists()

    def fail(descriptor: int) -> None:
        raise OSError(f"No space left on device: {descriptor}")

    monkeypatch.setattr(os, "fsync", fail)
    assert not store.has_room()
    assert not (store.path / ".room").exists()


def test_a_reopened_store_has_new_databases_with_the_same_rows(
    store: RowStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store, 0, 1)
    fill(store, 1, 1)
    opened: list[int] = []
    open_for_partition = RowStore._open_for_partition

    def record(self: RowStore, partition: int) -> Any:
        opened.append(partition)
        return open_for_partition(self, partition)

    monkeypatch.setattr(RowStore, "_open_for_partition", record)
    store.reopen()
    assert opened == [0, 1]
    assert sorted(store._dbs) == [0, 1]
    assert store._get(b"u1-0000") is not None
    assert not store._to_reopen


def test_partitions_that_cannot_be_opened_again_are_opened_by_the_next_attempt(
    store: RowStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for partition in (0, 1, 2):
        fill(store, partition, 1)
    opened = RowStore._open_for_partition

    def fail(self: RowStore, partition: int) -> Any:
        if partition:
            raise OSError("IO error: No space left on device")
        return opened(self, partition)

    with monkeypatch.context() as patched:
        patched.setattr(RowStore, "_open_for_partition", fail)
        with pytest.raises(StoreError, match="partition 1 of the users table"):
            store.reopen()
    assert sorted(store._to_reopen) == [1, 2]
    with pytest.raises(StoreError, match="closed until they can be written to"):
        store._get(b"u1-0000")
    with pytest.raises(StoreError, match="partition 1 of the users table is closed"):
        list(store.items_from(None))
    # One of them was revoked meanwhile.
    store.revoke_partitions(store.table, {TP(CHANGELOG, 2)})
    store.reopen()
    assert sorted(store._dbs) == [0, 1]
    assert store._get(b"u1-0000") is not None


def test_a_store_that_is_not_closed_within_ten_seconds_is_stuck(
    store: RowStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[dict[str, Any]] = []
    waited: list[float | None] = []

    class StuckThread:
        def __init__(self, **options: Any) -> None:
            started.append(options)

        def start(self) -> None: ...

        def join(self, seconds: float | None) -> None:
            waited.append(seconds)

        def is_alive(self) -> bool:
            return True

    monkeypatch.setattr(threading, "Thread", StuckThread)
    store._dbs[0] = FakeDatabase()
    with pytest.raises(StuckStoreError, match="not closed within 10 s"):
        store.reopen()
    # The process can end all the same.
    assert started[0]["daemon"] is True
    assert waited == [10.0]


def test_a_cycle_of_references_does_not_keep_a_database_open(store: RowStore) -> None:
    database = FakeDatabase()
    database.rows = database  # type: ignore[assignment]
    reference = weakref.ref(database)
    gc.collect()
    gc.disable()
    try:
        databases = [database]
        del database
        row_store._close(databases)
        assert reference() is None
    finally:
        gc.enable()
    assert store.table is not None


def test_the_files_take_no_more_of_the_disk_than_the_rows_need(store: RowStore) -> None:
    """RocksDB would reserve a buffer of each partition ahead, which a full disk has no room for."""
    for partition in (0, 1, 2):
        fill(store, partition, 10)
    on_disk = sum(path.stat().st_blocks * 512 for path in store.path.rglob("*") if path.is_file())
    assert on_disk < 3_000_000
    assert store.memory() > 0

"""The local store of the users table: Faust's RocksDB store, whose failures are told apart from those of events.

RocksDB reports a full disk, a file that cannot be read and a damaged file by exceptions of one class, or of none; the
text tells which. Here they become `StoreError`: the event in processing is sound, and can be processed once the store
works again. Files that are damaged, or missing, become `DamagedStoreError`: they are set aside when the partition is
opened, and the rows are read again from the changelog.
"""

import gc
import logging
import os
import re
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, Final

from faust.stores import rocksdb as faust_rocksdb
from faust.streams import current_event
from faust.types import TP

from state.row_store_memory import memory_of
from state.user_rows import DamagedStoreError, StoreError, StuckStoreError

_LOG: Final = logging.getLogger(__name__)

MAX_SET_ASIDE: Final = 2
"""Damaged folders that are kept, the newest."""

_DAMAGED: Final = re.compile(
    r"Corruption|No such file or directory|not a directory|Not a directory|Invalid argument|IsADirectory"
)
_FULL: Final = re.compile(r"No space left|quota exceeded", re.IGNORECASE)
_LOCKED: Final = re.compile(r"lock file|lock hold by")
_PROBE_BYTES: Final = 4 * 1024 * 1024
CLOSE_SECONDS: Final = 10.0
"""Seconds until a database that is not closed counts as stuck."""

_PORTION_ROWS: Final = 100
"""Rows that are read at once while rows are gone through."""


def _close(databases: list[Any]) -> None:
    """Close databases: drop the last references to them.

    RocksDB waits without end if it is told to close while it recovers from a full disk by itself.
    """

    def drop() -> None:
        databases.clear()
        gc.collect()

    closing = threading.Thread(target=drop, name="closing the users table", daemon=True)
    closing.start()
    closing.join(CLOSE_SECONDS)
    if closing.is_alive():
        raise StuckStoreError(f"the users table was not closed within {CLOSE_SECONDS:g} s")


def store_error(error: Exception, partition: int = -1) -> StoreError:
    """The error of the store for an error of RocksDB.

    Examples
    --------
    >>> type(store_error(OSError("IO error: No space left on device"))).__name__
    'StoreError'
    >>> type(store_error(OSError("Corruption: block checksum mismatch"), 3)).__name__
    'DamagedStoreError'
    """
    if isinstance(error, StoreError):
        return error
    message = f"partition {partition} of the users table: {error}"
    # A full disk damages nothing: its text may name a file that could not be written whole.
    if _DAMAGED.search(str(error)) and not _FULL.search(str(error)):
        return DamagedStoreError(message, partition)
    return StoreError(message)


class RowStore(faust_rocksdb.Store):  # type: ignore[misc]
    """RocksDB databases of the assigned partitions."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._to_reopen: set[int] = set()

    # Opening

    def _open_for_partition(self, partition: int) -> Any:
        path = self.partition_path(partition)
        # RocksDB would create an empty database over the files that are left, and read their newest log into it: rows
        # would be missing, and the offset would say that all are there.
        if _mark(path).exists() or (path.exists() and not _is_database(path)):
            self._set_aside(partition)
        try:
            return super()._open_for_partition(partition)
        except Exception as error:
            if _LOCKED.search(str(error)):
                raise  # Faust tries again: the former owner of the lock is closing it
            failure = store_error(error, partition)
            if not isinstance(failure, DamagedStoreError) or not path.exists():
                raise failure from error
            _LOG.warning("the files of a partition of the users table are damaged: %s", failure)
        self._set_aside(partition)
        try:
            return super()._open_for_partition(partition)
        except Exception as error:
            raise store_error(error, partition) from error

    async def _try_open_db_for_partition(self, partition: int, *args: Any, **kwargs: Any) -> Any:
        """Open a partition after an assignment; recovery tries again if the store fails."""
        try:
            return await super()._try_open_db_for_partition(partition, *args, **kwargs)
        except StoreError as error:
            _LOG.warning("partition %d of the users table cannot be opened yet: %s", partition, error)
            return None

    def _set_aside(self, partition: int) -> None:
        path = self.partition_path(partition)
        kept = path.with_name(f"{path.name}.damaged-{time.time_ns()}")
        try:
            if path.exists():
                path.rename(kept)
            _mark(path).unlink(missing_ok=True)
            _keep_newest(path.parent)
        except OSError as error:
            raise StoreError(f"the damaged files {path} cannot be set aside: {error}") from error
        self.table.on_set_aside()
        _LOG.warning(
            "set aside the damaged files of partition %d of the users table as %s; reading its rows again",
            partition,
            kept,
        )

    def _close_partition(self, partition: int) -> None:
        # a variable would keep the database open
        _close([self._dbs.pop(partition, None)])

    def mark_damaged(self, partition: int) -> None:
        """Let the next start set aside the files of a partition; of all if it is not known (-1)."""
        for each in (partition,) if partition >= 0 else tuple(self._dbs):
            with suppress(OSError):
                _mark(self.partition_path(each)).touch()

    # Recovering from a full disk

    def has_room(self) -> bool:
        """Whether a few MiB can be written to the folder of the table."""
        probe = self.path / ".room"
        try:
            with probe.open("wb") as file:
                file.write(bytes(_PROBE_BYTES))
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            return False
        finally:
            with suppress(OSError):
                probe.unlink(missing_ok=True)
        return True

    def memory(self) -> int:
        """Bytes of the buffers, indexes and caches of all open databases."""
        return sum(map(memory_of, list(self._dbs.values())))

    def reopen(self) -> None:
        """Close all partitions and open them again: after a failed write RocksDB refuses all others.

        Raises
        ------
        StoreError
            If one cannot be opened; call it again.
        StuckStoreError
            If one cannot be closed: only another process can open it.
        """
        self._to_reopen.update(self._dbs)
        databases = list(self._dbs.values())
        self._dbs.clear()
        _close(databases)
        for partition in sorted(self._to_reopen):
            try:
                self._db_for_partition(partition)
            except Exception as error:
                raise store_error(error, partition) from error
            self._to_reopen.discard(partition)

    def revoke_partitions(self, table: Any, tps: set[TP]) -> None:
        """Close partitions that were revoked."""
        self._to_reopen.difference_update(tp.partition for tp in tps)
        super().revoke_partitions(table, tps)

    # Reading and writing

    def _get(self, key: bytes) -> bytes | None:
        event = current_event()
        if event is not None:
            return self.read(event.message.partition, key)
        try:
            known = self._key_index[key]
        except KeyError:
            known = -1
        for partition in (known,) if known in self._dbs else tuple(self._dbs):
            value = self.read(partition, key)
            if value is not None:
                self._key_index[key] = partition
                return value
        if self._to_reopen:
            raise StoreError("partitions of the users table are closed until they can be written to")
        return None

    def read(self, partition: int, key: bytes) -> bytes | None:
        """The value of a key of a partition; None if there is none.

        Raises
        ------
        StoreError
            If it cannot be read.
        """
        try:
            db = self._db_for_partition(partition)
            value: bytes | None = db.get(key) if self.use_rocksdict else db.get(key, verify_checksums=True)
        except Exception as error:
            raise store_error(error, partition) from error
        return value

    def _contains(self, key: bytes) -> bool:
        return self._get(key) is not None

    def _set(self, key: bytes, value: bytes | None) -> None:
        event = current_event()
        partition = -1 if event is None else event.message.partition
        try:
            super()._set(key, value)
        except Exception as error:
            raise store_error(error, partition) from error

    def put(self, partition: int, key: bytes, value: bytes) -> None:
        """Write a row of the partition of the event in processing.

        Raises
        ------
        StoreError
            If it cannot be written.
        """
        try:
            db = self._dbs.get(partition)
            if db is None:
                db = self._db_for_partition(partition)
            self._key_index[key] = partition
            db.put(key, value)
        except Exception as error:
            raise store_error(error, partition) from error

    def change(self, partition: int, key: bytes, value: bytes | None) -> None:
        """Write or delete a row while no event is processed.

        Raises
        ------
        StoreError
            If it cannot be written, or the partition is not open.
        """
        db = self._dbs.get(partition)
        if db is None:
            raise StoreError(f"partition {partition} of the users table is not open")
        try:
            if value is None:
                db.delete(key)
            else:
                db.put(key, value)
        except Exception as error:
            raise store_error(error, partition) from error

    def clear(self, partition: int) -> None:
        """Delete the files of a partition and open an empty one: its rows are read again from the changelog.

        Raises
        ------
        StoreError
            If they cannot be deleted or opened.
        StuckStoreError
            If the database cannot be closed.
        """
        path = self.partition_path(partition)
        try:
            # If the process is killed in between, the next start sets aside what is left.
            _mark(path).touch()
            self._close_partition(partition)
            if path.exists():
                shutil.rmtree(path)
            _mark(path).unlink()
            self._db_for_partition(partition)
        except Exception as error:
            raise store_error(error, partition) from error

    def purge(self, partition: int) -> None:
        """Rewrite the files of a partition without the rows that were deleted; it may take seconds.

        RocksDB keeps a deleted row in its files until it merges them.

        Raises
        ------
        StoreError
            If they cannot be rewritten.
        """
        db = self._dbs.get(partition)
        if db is None:
            return
        try:
            if self.use_rocksdict:
                db.flush()
                db.compact_range(None, None)
            else:
                db.compact_range()
        except Exception as error:
            raise store_error(error, partition) from error

    def _iteritems(self) -> Iterator[tuple[bytes, bytes]]:
        """All rows of this worker's partitions, in portions: a rebalance or a stop changes them meanwhile.

        The rows of a partition that is revoked are left out. A database that is closed and opened again is continued
        after the last row; while it is closed, `StoreError` is raised. Between two portions no database is held: it
        could not be opened again.
        """
        for _, key, value in self.items_from(None):
            yield key, value

    def items_from(self, first: bytes | None) -> Iterator[tuple[int, bytes, bytes]]:
        """Partition, key and value of all rows, or of those after the key `first`, as `_iteritems` yields them."""
        for partition in self._active_partitions():
            start = first
            while portion := self._portion(partition, start):
                start = portion[-1][0]
                for key, value in portion:
                    if partition not in self._dbs and partition not in self._to_reopen:
                        break
                    yield partition, key, value

    def _active_partitions(self) -> list[int]:
        active = self.app.assignor.assigned_actives()
        topic = self.table.changelog_topic_name
        return [each for each in (*self._dbs, *self._to_reopen) if TP(topic, each) in active]

    def _portion(self, partition: int, start: bytes | None) -> list[tuple[bytes, bytes]]:
        """The next rows of a partition after the key `start`; none after the last row, or if it was revoked."""
        if partition in self._to_reopen:
            raise StoreError(f"partition {partition} of the users table is closed until it can be written to")
        db = self._dbs.get(partition)
        if db is None:
            return []
        try:
            rows = (item for item in self._items_from(db, start) if item[0] not in {start, self.offset_key})
            return list(islice(rows, _PORTION_ROWS))
        except Exception as error:
            raise store_error(error, partition) from error

    def _items_from(self, db: Any, start: bytes | None) -> Iterator[tuple[bytes, bytes]]:
        if self.use_rocksdict:
            return db.items(from_key=start)  # type: ignore[no-any-return]  # rocksdict is untyped
        cursor: Any = db.iteritems(verify_checksums=True)
        if start is None:
            cursor.seek_to_first()
        else:
            cursor.seek(start)
        return cursor  # type: ignore[no-any-return]  # of bytes, as above

    # Recovery

    def persisted_offset(self, tp: TP) -> int | None:
        """Offset of the last record of the changelog in the store; None for an empty store.

        It is read after an assignment, before any row is. If it cannot be read, the files are set aside: the database
        opens although a block of it is damaged.
        """
        try:
            value = self.read(tp.partition, self.offset_key)
            return None if value is None else int(value)
        except (DamagedStoreError, ValueError) as error:
            # as text: the traceback of the error would keep the database open
            damage = str(error)
        _LOG.warning("the offset of partition %d of the users table is damaged: %s", tp.partition, damage)
        self._close_partition(tp.partition)
        self._set_aside(tp.partition)
        return None

    def set_persisted_offset(self, tp: TP, offset: int) -> None:
        """Store the offset of the last record of the changelog."""
        try:
            super().set_persisted_offset(tp, offset)
        except Exception as error:
            raise store_error(error, tp.partition) from error

    def apply_changelog_batch(self, batch: Any, to_key: Any, to_value: Any) -> None:
        """Write records of the changelog, and their newest offset."""
        try:
            super().apply_changelog_batch(batch, to_key, to_value)
        except Exception as error:
            raise store_error(error) from error


def _is_database(path: Path) -> bool:
    """Whether RocksDB can find a database in a folder, and lock it.

    If it cannot open the file of the lock, it counts the database as locked by this process until this process ends.
    """
    lock = path / "LOCK"
    return (path / "CURRENT").is_file() and (lock.is_file() or not lock.exists())


def _mark(path: Path) -> Path:
    return path.with_name(f"{path.name}.is-damaged")


def _keep_newest(folder: Path) -> None:
    for old in sorted(folder.glob("*.damaged-*"), key=lambda path: path.name.rsplit("-", 1)[1])[
        :-MAX_SET_ASIDE
    ]:
        if old.is_dir():
            shutil.rmtree(old, ignore_errors=True)
        else:
            old.unlink(missing_ok=True)

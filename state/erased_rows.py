"""The rows of erased users: what remains of them, under a one-way hash of the user id.

An erasure empties the row under the user id and marks it (`state.fold`). Once Redis has no list of the user, the
rest of the row (watermarks, hashes of event ids, the mark) is stored under the hash, and the row under the user id
is deleted from the store and, by a tombstone, from the changelog. A user without a row is looked up under the hash,
so that older events that are read again change nothing, and a user who returns starts from the watermarks. The
remainder is deleted when no event from before the erasure can be read any more.

The order of each change: the changelog first, then, when Kafka has acknowledged it, the local store. The store is
never ahead of the changelog in what no event would repeat.
"""

import asyncio
from collections.abc import Iterator
from typing import Any, Final, NamedTuple, Protocol

from msgspec import structs

from state.row import (
    EMPTY_ROW,
    ErasureMark,
    ErasureStage,
    RowFormatError,
    UserRow,
    decode_row,
    encode_row,
    watermark_of,
)
from topics.log_keys import HASH_BYTES, SEPARATOR, one_way_hash
from topics.records import Source

REMAINDER_PREFIX: Final = SEPARATOR
"""First byte of the key of a remainder: no user id begins with it."""


def remainder_key(user_id: str) -> bytes:
    """Key of the remainder of a user.

    Examples
    --------
    >>> key = remainder_key("ann")
    >>> is_remainder(key), is_remainder(b"ann"), len(key)
    (True, False, 33)
    """
    return REMAINDER_PREFIX + one_way_hash(user_id)


def is_remainder(key: bytes) -> bool:
    """Whether the key of a row is that of a remainder."""
    return len(key) == len(REMAINDER_PREFIX) + HASH_BYTES and key.startswith(REMAINDER_PREFIX)


class ChangelogStore(Protocol):
    """The part of `state.user_table.ChangelogTable` that is used."""

    data: Any

    def __getitem__(self, key: bytes) -> bytes:
        """The stored value of a key."""

    def append_change(self, key: bytes, value: bytes | None, partition: int) -> None:
        """Append a change to the changelog."""

    def apply_change(self, key: bytes, value: bytes | None, partition: int) -> None:
        """Make a change in the local store."""

    def remainders(self) -> Iterator[tuple[int, bytes, bytes]]:
        """Partition, key and value of each remainder of this worker's partitions."""


class CachedRows(Protocol):
    """The part of `state.user_table.FaustUserRows` that is used."""

    count: int

    def get(self, user_id: str) -> UserRow:
        """The user's row."""

    def forget(self, user_id: str) -> None:
        """Drop the cached row of a user."""

    def partition_of(self, user_id: str) -> int:
        """The partition of a user's events."""

    def watch(self, user_id: str) -> None:
        """Notice a write of the user's row from now on."""

    def was_written(self, user_id: str) -> bool:
        """Whether the row was written since `watch`."""


class Detachment(NamedTuple):
    """A row that is to be separated from its user id.

    Attributes
    ----------
    after
        The row under the user id as it is to be: None unless the user has returned.
    remainder
        The row under the hash.
    """

    user_id: str
    partition: int
    after: UserRow | None
    remainder: UserRow


class Remainder(NamedTuple):
    """A stored remainder."""

    partition: int
    key: bytes
    row: UserRow

    @property
    def user_hash(self) -> bytes:
        """The one-way hash of the user id."""
        return self.key[len(REMAINDER_PREFIX) :]


class ErasedRows:
    """Separates the rows of erased users from their ids.

    Parameters
    ----------
    table
        The users table.
    rows
        Its rows by user id.

    Attributes
    ----------
    lock
        Held from the append of changes until they are applied: meanwhile the store does not tell what the changelog
        has, and another change would be appended for a remainder that is not the newest.
    """

    def __init__(self, table: ChangelogStore, rows: CachedRows) -> None:
        self._table = table
        self._rows = rows
        self.lock: Final = asyncio.Lock()

    def append(self, user_id: str, now: float) -> Detachment | None:
        """Append the separation of a row to the changelog; None if there is nothing to separate.

        Parameters
        ----------
        now
            Seconds since the epoch: the time of an erasure by an earlier version, which left no mark.
        """
        row = self._rows.get(user_id)
        mark = row.erasure or _mark_of_earlier_version(row, now)
        if mark is None or mark.stage is not ErasureStage.PENDING:
            return None
        unswept = structs.replace(mark, stage=ErasureStage.UNSWEPT)
        partition = row.partition if row.partition >= 0 else self._rows.partition_of(user_id)
        if row.counts.total:
            # The user has returned: the row stays, and the remainder has the watermarks of the erasure.
            after = structs.replace(row, erasure=None)
            remainder = structs.replace(
                EMPTY_ROW, watermarks=mark.watermarks, partition=row.partition, erasure=unswept
            )
        else:
            after, remainder = None, structs.replace(row, erasure=unswept)
        self._rows.watch(user_id)
        self._table.append_change(remainder_key(user_id), encode_row(remainder), partition)
        self._table.append_change(user_id.encode(), None if after is None else encode_row(after), partition)
        return Detachment(user_id, partition, after, remainder)

    def apply(self, detachment: Detachment) -> bool:
        """Make the separation in the local store, once Kafka has acknowledged it.

        Returns
        -------
        bool
            Whether the row is separated. If an event has written it meanwhile, it is not: append it again. An event
            that is read again writes an equal row, which the changelog then has after the separation.

        Raises
        ------
        StoreError
            If the store cannot be written to; apply it again.
        """
        user_id, partition, after, remainder = detachment
        self._table.apply_change(remainder_key(user_id), encode_row(remainder), partition)
        if self._rows.was_written(user_id):
            return False
        self._table.apply_change(user_id.encode(), None if after is None else encode_row(after), partition)
        self._rows.forget(user_id)
        self._rows.count += after is not None
        return True

    def scan(self) -> Iterator[Remainder]:
        """The remainders in this worker's partitions; those that cannot be decoded are left out."""
        for partition, key, value in self._table.remainders():
            try:
                row = decode_row(value)
            except RowFormatError:
                continue
            if row.erasure is not None:
                yield Remainder(partition, key, row)

    def is_newest(self, remainder: Remainder) -> bool:
        """Whether a remainder is stored as it was read: no erasure or replay has changed it since.

        Raises
        ------
        StoreError
            If the store cannot be read.
        """
        try:
            return decode_row(self._table[remainder.key]) == remainder.row
        except (KeyError, RowFormatError):
            return False

    def append_row(self, remainder: Remainder, row: UserRow | None) -> None:
        """Append a new remainder to the changelog, or its deletion."""
        self._table.append_change(
            remainder.key, None if row is None else encode_row(row), remainder.partition
        )

    def apply_row(self, remainder: Remainder, row: UserRow | None) -> None:
        """Store a new remainder, or delete it, once Kafka has acknowledged it.

        Raises
        ------
        StoreError
            If the store cannot be written to.
        """
        self._table.apply_change(remainder.key, None if row is None else encode_row(row), remainder.partition)
        self._rows.count -= row is None


def _mark_of_earlier_version(row: UserRow, now: float) -> ErasureMark | None:
    """The mark of a row that an earlier version emptied; None for another row."""
    if row.counts.total or row.erasure is not None or row == EMPTY_ROW:
        return None
    offset = watermark_of(row.watermarks, Source.ERASURE)
    return ErasureMark(ErasureStage.PENDING, now, 0.0, offset, row.watermarks, "", b"")

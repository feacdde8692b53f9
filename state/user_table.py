"""The Faust table of the users' rows; its changelog is written in batches.

Faust sends each changelog record as a message of its own; `ChangelogTable` appends it to a batch producer instead
(`docs/decisions/` has measurements). Faust's guarantees stay: the store's persisted offset follows Kafka's
acknowledgements, and the batch producer is flushed before offsets are committed.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol

import faust
from aiokafka.partitioner import murmur2
from faust.streams import current_event
from faust.types import TP

from state.row import EMPTY_ROW, RowFormatError, UserRow, decode_row, encode_row
from topics.catalog import USERS_TABLE

_LOG: Final = logging.getLogger(__name__)

ChangelogAppender = Callable[[str, int, bytes | None, bytes | None, Callable[[int], None]], None]


class ChangelogTable(faust.Table):  # type: ignore[misc]
    """A table of raw bytes whose changelog is written by a batch producer."""

    append: ChangelogAppender
    """Appends topic, partition, key, value and a delivery callback; set by `users_table`."""

    _write_raw: Callable[[bytes, bytes], None] | None = None
    """The store's write method below its serializers, if it has one."""

    def write(self, key: bytes, value: bytes, partition: int) -> None:
        """Write a row and its changelog record: ``table[key] = value`` without Faust's codecs.

        Parameters
        ----------
        key, value
            Raw bytes.
        partition
            Partition of the event in processing.
        """
        # The store first: a write that fails must not be in the changelog.
        if self._write_raw is None:
            self._write_raw = getattr(self.data, "_set", None) or self.data.__setitem__
        self._write_raw(key, value)
        self.append(self.changelog_topic_name, partition, key, value, self._delivery_callback(partition))
        self._sensor_on_set(self, key, value)

    def on_key_set(self, key: bytes, value: bytes) -> None:
        """Write the change to the changelog."""
        self._log(key, value)
        self._sensor_on_set(self, key, value)

    def on_key_del(self, key: bytes) -> None:
        """Write the deletion to the changelog."""
        self._log(key, None)
        self._sensor_on_del(self, key)

    def _log(self, key: bytes, value: bytes | None) -> None:
        event = current_event()
        if event is None:
            raise TypeError("the users table can only be changed while an event is processed")
        partition = event.message.partition
        self.append(self.changelog_topic_name, partition, key, value, self._delivery_callback(partition))

    def _delivery_callback(self, partition: int) -> Callable[[int], None]:
        callbacks: dict[int, Callable[[int], None]] = self.__dict__.setdefault("_callbacks", {})
        if partition not in callbacks:
            tp = TP(self.changelog_topic_name, partition)

            def on_delivered(offset: int) -> None:
                # A batch may be acknowledged after its partition moved to another worker. Opening the partition's
                # database again would hold its lock.
                if partition in getattr(self.data, "_dbs", (partition,)):
                    self.data.set_persisted_offset(tp, offset)

            callbacks[partition] = on_delivered
        return callbacks[partition]


def users_table(app: Any, append: ChangelogAppender, partitions: int) -> ChangelogTable:
    """Declare the users table on an application created with ``Table=ChangelogTable``."""
    # With a schema alone the store would hold JSON: key and value types must be bytes.
    table: ChangelogTable = app.Table(USERS_TABLE, partitions=partitions, key_type=bytes, value_type=bytes)
    table.append = append
    return table


class UserRowStore(Protocol):
    """The rows of the users of this worker's partitions."""

    def get(self, user_id: str) -> UserRow:
        """The user's row; the empty row for a new user."""

    def put(self, user_id: str, row: UserRow, partition: int) -> None:
        """Store a row; allowed only while the event that changed it is processed."""

    def partition_of(self, user_id: str) -> int:
        """The partition of a user's events."""

    def scan(self) -> Iterator[tuple[str, UserRow]]:
        """All rows."""

    def clear_cache(self) -> None:
        """Drop cached rows, after partitions moved."""


class FaustUserRows:
    """Rows in a Faust table; recently used ones are cached decoded.

    Parameters
    ----------
    table
        A table of bytes.
    """

    def __init__(self, table: Any, partitions: int, cache_size: int = 20_000) -> None:
        self._table = table
        self._partitions = partitions
        self._cache_size: Final = cache_size
        self._cache: OrderedDict[str, tuple[UserRow, int]] = OrderedDict()
        self.count = 0
        """Number of rows: from the last scan, plus new rows since then."""

    def get(self, user_id: str) -> UserRow:
        """The user's row; the empty row for a new user.

        Raises
        ------
        RowFormatError
            If the stored bytes are not a row of a supported format.
        """
        hit = self._cache.get(user_id)
        if hit is not None:
            self._cache.move_to_end(user_id)
            return hit[0]
        try:
            return decode_row(self._table[user_id.encode()])
        except KeyError:
            return EMPTY_ROW

    def put(self, user_id: str, row: UserRow, partition: int) -> None:
        """Store a row; allowed only while the event that changed it is processed."""
        key = user_id.encode()
        # Only a row of at most one event can be new; it is not new if that event is replayed.
        is_new = row.counts.total <= 1 and user_id not in self._cache and key not in self._table
        self._table.write(key, encode_row(row), partition)
        self.count += is_new
        self._cache[user_id] = (row, partition)
        self._cache.move_to_end(user_id)
        if len(self._cache) > self._cache_size:
            self._cache.popitem(last=False)

    def partition_of(self, user_id: str) -> int:
        """The partition of a user's events: of the last stored row, or by Kafka's default partitioner."""
        hit = self._cache.get(user_id)
        if hit is not None:
            return hit[1]
        partition: int = (murmur2(user_id.encode()) & 0x7FFFFFFF) % self._partitions
        return partition

    def scan(self) -> Iterator[tuple[str, UserRow]]:
        """All rows of this worker's partitions."""
        for key, raw in self._table.items():
            try:
                yield key.decode(), decode_row(raw)
            except RowFormatError as error:
                _LOG.warning("ignoring the invalid row of user %r: %s", key, error)

    def set_count(self, count: int) -> None:
        """Set the number of rows that a scan found."""
        self.count = count

    def clear_cache(self) -> None:
        """Drop cached rows, after partitions moved."""
        self._cache.clear()

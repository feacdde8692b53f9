"""The Faust table of the users' rows; its changelog is written in batches.

Faust sends each changelog record as a message of its own; `ChangelogTable` appends it to a batch producer instead
(`docs/decisions/` has measurements). Faust's guarantees stay: the store's persisted offset follows Kafka's
acknowledgements, and the batch producer is flushed before offsets are committed.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from typing import Any, Final

import faust
from aiokafka.partitioner import murmur2
from faust.streams import current_event
from faust.types import TP
from yarl import URL

from state.erased_rows import REMAINDER_PREFIX, is_remainder, remainder_key
from state.positions import is_positions
from state.row import EMPTY_ROW, RowFormatError, UserRow, decode_row, encode_row
from state.row_store import RowStore
from state.row_store_memory import DEFAULT_MEMORY, store_options
from state.user_rows import StoreError, UnreadableRow
from topics.catalog import USERS_TABLE

_LOG: Final = logging.getLogger(__name__)

_SAMPLED_ROWS: Final = 20
_DECODED_RATIO: Final = 4.6
"""Memory of a decoded row, in lengths of its JSON: measured with rows of 20 events."""

_ENTRY_BYTES: Final = 250

ChangelogAppender = Callable[[str, int, bytes | None, bytes | None, Callable[[int], None]], None]


class ChangelogTable(faust.Table):  # type: ignore[misc]
    """A table of raw bytes whose changelog is written by a batch producer."""

    append: ChangelogAppender
    """Appends topic, partition, key, value and a delivery callback; set by `users_table`."""

    on_set_aside: Callable[[], None]
    """Called when damaged files of a partition were set aside; set by `users_table`, and by the worker."""

    _put: Callable[[int, bytes, bytes], None] | None = None
    """The store's method that writes a row of a partition."""

    def _new_store_by_url(self, url: str | URL) -> Any:
        if URL(url).scheme != "rocksdb":
            return super()._new_store_by_url(url)
        return RowStore(
            url,
            self.app,
            self,
            table_name=self.name,
            key_type=self.key_type,
            key_serializer=self.key_serializer,
            value_serializer=self.value_serializer,
            value_type=self.value_type,
            loop=self.loop,
            options=self.options,
        )

    def write(self, key: bytes, value: bytes, partition: int) -> None:
        """Write a row and its changelog record: ``table[key] = value`` without Faust's codecs.

        Parameters
        ----------
        key, value
            Raw bytes.
        partition
            Partition of the event in processing.

        Raises
        ------
        StoreError
            If the store cannot be written to; nothing was appended to the changelog.
        """
        # The store first: a write that fails must not be in the changelog.
        if self._put is None:
            store = self.data
            self._put = store.put if isinstance(store, RowStore) else _put_without_partition(store)
        self._put(partition, key, value)
        self.append(self.changelog_topic_name, partition, key, value, self._delivery_callback(partition))
        self._sensor_on_set(self, key, value)

    def read(self, key: bytes, partition: int) -> bytes | None:
        """The stored value of a key of a partition; None if there is none.

        Raises
        ------
        StoreError
            If the store cannot be read.
        """
        store = self.data
        value: bytes | None = store.read(partition, key) if isinstance(store, RowStore) else store.get(key)
        return value

    def append_change(self, key: bytes, value: bytes | None, partition: int) -> None:
        """Append a change to the changelog that no event has caused; follow with `apply_change`."""
        self.append(self.changelog_topic_name, partition, key, value, self._delivery_callback(partition))

    def apply_change(self, key: bytes, value: bytes | None, partition: int) -> None:
        """Make a change in the local store, after Kafka has acknowledged it.

        Raises
        ------
        StoreError
            If the store cannot be written to, or has not opened the partition.
        """
        store = self.data
        if isinstance(store, RowStore):
            store.change(partition, key, value)
        elif value is None:
            store.pop(key, None)
        else:
            store[key] = value

    def clear_partition(self, partition: int) -> None:
        """Delete the rows of a partition from the local store, to read them again from the changelog.

        Raises
        ------
        StoreError
            If the store cannot be written to.
        """
        store = self.data
        if isinstance(store, RowStore):
            store.clear(partition)

    def remainders(self) -> Iterator[tuple[int, bytes, bytes]]:
        """Partition, key and value of each remainder of an erased user."""
        store = self.data
        if isinstance(store, RowStore):
            items = store.items_from(REMAINDER_PREFIX)
        else:
            items = ((0, key, value) for key, value in list(store.items()))
        yield from (item for item in items if is_remainder(item[1]))

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
                    # After an error the offset stays behind: a recovery reads more than it needs.
                    with suppress(StoreError):
                        self.data.set_persisted_offset(tp, offset)

            callbacks[partition] = on_delivered
        return callbacks[partition]


def _put_without_partition(store: Any) -> Callable[[int, bytes, bytes], None]:
    def put(_partition: int, key: bytes, value: bytes) -> None:
        store[key] = value

    return put


def users_table(
    app: Any, append: ChangelogAppender, partitions: int, store_memory: int = DEFAULT_MEMORY
) -> ChangelogTable:
    """Declare the users table on an application created with ``Table=ChangelogTable``.

    Parameters
    ----------
    store_memory
        Bytes for the buffers of its local store.
    """
    # With a schema alone the store would hold JSON: key and value types must be bytes.
    table: ChangelogTable = app.Table(
        USERS_TABLE,
        partitions=partitions,
        key_type=bytes,
        value_type=bytes,
        options=store_options(store_memory, partitions),
    )
    table.append = append
    table.on_set_aside = lambda: None
    return table


class FaustUserRows:
    """Rows in a Faust table; recently used ones are cached decoded.

    Parameters
    ----------
    table
        A table of bytes.
    """

    def __init__(self, table: Any, partitions: int, cache_size: int = 20_000) -> None:
        self.table: Final = table
        self._table = table
        self._partitions = partitions
        self._cache_size: Final = cache_size
        self._cache: OrderedDict[str, tuple[UserRow, int]] = OrderedDict()
        self.on_unreadable: Callable[[UnreadableRow], None] = lambda _row: None
        self._reported: set[bytes] = set()
        self.count = 0
        """Number of rows, remainders of erased users included: from the last scan, plus new rows since then."""
        self._n_remainders = 0
        self._watched: set[str] = set()

    def get(self, user_id: str) -> UserRow:
        """The user's row; the empty row for a new user, and for one whose stored row cannot be decoded.

        Of an erased user it is the remainder (`state.erased_rows`), a row without events.

        Raises
        ------
        StoreError
            If the store cannot be read.
        """
        hit = self._cache.get(user_id)
        if hit is not None:
            self._cache.move_to_end(user_id)
            return hit[0]
        key = user_id.encode()
        raw = self._read(key)
        if raw is None:
            raw = self._read(remainder_key(user_id))
            if raw is None:
                return EMPTY_ROW
        try:
            return decode_row(raw)
        except RowFormatError as error:
            self._report(key, raw, error)
            return EMPTY_ROW

    def _read(self, key: bytes) -> bytes | None:
        try:
            raw: bytes = self._table[key]
        except KeyError:
            return None
        return raw

    def _report(self, key: bytes, raw: bytes, error: ValueError) -> None:
        """Report a row that cannot be decoded, once; the user's next event replaces it."""
        if key in self._reported:
            return
        if len(self._reported) >= self._cache_size:
            self._reported.clear()
        _LOG.warning("set aside the invalid row of user %r: %s", key, error)
        topic, partition = self._table.changelog_topic_name, self._default_partition(key)
        self.on_unreadable(UnreadableRow(topic, partition, key, raw, str(error)))
        self._reported.add(key)

    def put(self, user_id: str, row: UserRow, partition: int) -> None:
        """Store a row; allowed only while the event that changed it is processed."""
        key = user_id.encode()
        self._watched.discard(user_id)
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
        return self._default_partition(user_id.encode())

    def _default_partition(self, key: bytes) -> int:
        partition: int = (murmur2(key) & 0x7FFFFFFF) % self._partitions
        return partition

    def scan(self) -> Iterator[tuple[str, UserRow]]:
        """All rows of this worker's partitions that can be decoded, without the remainders of erased users."""
        n_remainders = 0
        for key, raw in self._table.items():
            if is_positions(key):
                continue
            if is_remainder(key):
                n_remainders += 1
                continue
            try:
                user_id, row = key.decode(), decode_row(raw)
            except (RowFormatError, UnicodeDecodeError) as error:
                self._report(key, raw, error)
            else:
                yield user_id, row
        self._n_remainders = n_remainders

    def is_erased(self, user_id: str) -> bool:
        """Whether a user of this worker's partitions was erased lately, and has not returned.

        Raises
        ------
        StoreError
            If the store cannot be read.
        """
        return self._read(remainder_key(user_id)) is not None and not self.get(user_id).counts.total

    def forget(self, user_id: str) -> None:
        """Drop the cached row of a user."""
        self._cache.pop(user_id, None)

    def watch(self, user_id: str) -> None:
        """Notice a write of the user's row from now on."""
        self._watched.add(user_id)

    def was_written(self, user_id: str) -> bool:
        """Whether the user's row was written since `watch`, or the partitions moved; ends the watch."""
        is_watched = user_id in self._watched
        self._watched.discard(user_id)
        return not is_watched

    def memory(self) -> int:
        """Bytes of the cached rows and of the buffers of the local store, to within some percent."""
        sampled = list(islice(reversed(self._cache.values()), _SAMPLED_ROWS))
        encoded = sum(len(encode_row(row)) for row, _ in sampled) / max(1, len(sampled))
        cached = int(len(self._cache) * (encoded * _DECODED_RATIO + _ENTRY_BYTES))
        store = self.table.data
        return cached + (store.memory() if isinstance(store, RowStore) else 0)

    def set_count(self, count: int) -> None:
        """Set the number of rows that a scan has found; it has counted the remainders itself."""
        self.count = count + self._n_remainders

    def clear_cache(self) -> None:
        """Drop cached rows, after partitions moved."""
        self._cache.clear()
        self._reported.clear()
        self._watched.clear()

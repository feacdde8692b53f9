"""The users table by itself: its changelog, and the rows that are cached, counted, reported and watched."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka.partitioner import DefaultPartitioner
from faust.types import TP

from state.erased_rows import remainder_key
from state.positions import positions_key
from state.row import EMPTY_ROW, EventCounts, UserRow, encode_row
from state.row_store import RowStore
from state.user_rows import UnreadableRow
from state.user_table import FaustUserRows
from tests.support.users_table_alone import CHANGELOG, UsersTableAlone, event_in


@pytest.fixture(params=["disk", "memory"])
def table(request: pytest.FixtureRequest, tmp_path: Path) -> UsersTableAlone:
    return UsersTableAlone(tmp_path, on_disk=request.param == "disk")


@pytest.fixture
def on_disk(tmp_path: Path) -> UsersTableAlone:
    return UsersTableAlone(tmp_path)


def test_a_table_on_disk_has_the_store_of_rows_and_its_name(on_disk: UsersTableAlone, tmp_path: Path) -> None:
    assert isinstance(on_disk.table.data, RowStore)
    assert on_disk.store.table_name == "users"
    assert not isinstance(UsersTableAlone(tmp_path, on_disk=False).table.data, RowStore)


def test_a_row_is_written_to_the_store_and_to_the_changelog_of_its_partition(table: UsersTableAlone) -> None:
    with event_in(2):
        table.table.write(b"ann", b"1", 2)
        table.table.write(b"bob", b"2", 2)
        assert (table.table[b"ann"], table.table[b"bob"]) == (b"1", b"2")
    assert table.appended == [(2, b"ann", b"1"), (2, b"bob", b"2")]


def test_writes_are_counted_by_the_monitor(table: UsersTableAlone) -> None:
    seen: list[tuple[bytes, bytes]] = []
    deleted: list[bytes] = []
    table.table._sensor_on_set = lambda _table, key, value: seen.append((key, value))
    table.table._sensor_on_del = lambda _table, key: deleted.append(key)
    with event_in(1):
        table.table.write(b"ann", b"1", 1)
        table.table.on_key_set(b"bob", b"2")
        table.table.on_key_del(b"ann")
    assert seen == [(b"ann", b"1"), (b"bob", b"2")]
    assert deleted == [b"ann"]
    assert table.appended == [(1, b"ann", b"1"), (1, b"bob", b"2"), (1, b"ann", None)]
    with pytest.raises(TypeError, match="only be changed while an event is processed"):
        table.table.on_key_set(b"a", b"1")
    with pytest.raises(TypeError, match="only be changed while an event is processed"):
        table.table.on_key_del(b"a")


def test_a_write_that_fails_is_not_in_the_changelog(
    on_disk: UsersTableAlone, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(on_disk.store, "put", fail)
    with pytest.raises(OSError, match="the disk is full"):
        on_disk.table.write(b"ann", b"1", 1)
    assert on_disk.appended == []


def test_a_change_without_an_event_is_appended_and_then_applied(table: UsersTableAlone) -> None:
    with event_in(1):
        table.table.write(b"ann", b"1", 1)
    table.table.append_change(b"ann", b"2", 1)
    table.table.append_change(b"ann", None, 1)
    assert table.appended[1:] == [(1, b"ann", b"2"), (1, b"ann", None)]
    with event_in(1):
        assert table.table[b"ann"] == b"1"
        table.table.apply_change(b"ann", b"2", 1)
        assert table.table[b"ann"] == b"2"
        for _ in range(2):
            table.table.apply_change(b"ann", None, 1)
        assert b"ann" not in table.table.data
    assert len(table.appended) == 3


def test_the_offset_of_the_store_follows_the_acknowledgements_of_open_partitions(
    on_disk: UsersTableAlone,
) -> None:
    for partition in (1, 2, 1):
        on_disk.table.write(b"ann", b"1", partition)
    for on_delivered, offset in zip(on_disk.delivered, (41, 7, 42), strict=True):
        on_delivered(offset)
    store = on_disk.store
    assert [store.persisted_offset(TP(CHANGELOG, partition)) for partition in (1, 2)] == [42, 7]
    assert on_disk.delivered[0] is on_disk.delivered[2]
    # It moved away: to open it again would hold its lock.
    del store._dbs[1]
    on_disk.delivered[0](99)
    assert 1 not in store._dbs


def test_an_offset_that_cannot_be_stored_stays_behind(
    on_disk: UsersTableAlone, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_disk.table.write(b"ann", b"1", 1)

    def fail(*_: Any) -> None:
        raise OSError("Corruption: the offset")

    with monkeypatch.context() as patched:
        patched.setattr(on_disk.store, "_db_for_partition", fail)
        on_disk.delivered[0](41)
    assert on_disk.store.persisted_offset(TP(CHANGELOG, 1)) is None


def test_remainders_are_the_rows_under_hashes(table: UsersTableAlone) -> None:
    rows = {b"ann": b"1", remainder_key("bob"): b"2", b"\xff": b"3", remainder_key("eve"): b"4"}
    with event_in(0):
        for key, value in rows.items():
            table.table.write(key, value, 0)
    assert sorted(table.table.remainders()) == sorted(
        (0, remainder_key(user), value) for user, value in (("bob", b"2"), ("eve", b"4"))
    )


class DictTable:
    """A table in a dict that counts its reads."""

    changelog_topic_name = CHANGELOG

    def __init__(self) -> None:
        self.rows: dict[bytes, bytes] = {}
        self.reads: list[bytes] = []
        self.written: list[tuple[bytes, int]] = []

    def __getitem__(self, key: bytes) -> bytes:
        self.reads.append(key)
        return self.rows[key]

    def __contains__(self, key: object) -> bool:
        return key in self.rows

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        return iter(list(self.rows.items()))

    def write(self, key: bytes, value: bytes, partition: int) -> None:
        self.rows[key] = value
        self.written.append((key, partition))


def row_of(n_events: int, ts: float = 1.0) -> UserRow:
    return UserRow(counts=EventCounts(clicks=n_events), first_ts=ts)


@pytest.fixture
def stored() -> DictTable:
    return DictTable()


@pytest.fixture
def rows(stored: DictTable) -> FaustUserRows:
    return FaustUserRows(stored, 4, cache_size=2)


def test_the_rows_of_the_users_seen_last_are_not_read_again(rows: FaustUserRows, stored: DictTable) -> None:
    for user in ("ann", "bob"):
        rows.put(user, row_of(1), 3)
    assert rows.get("ann") == row_of(1)
    assert stored.reads == []
    rows.put("cem", row_of(1), 3)
    assert rows.get("ann") == row_of(1)
    assert stored.reads == []
    assert rows.get("bob") == row_of(1)
    assert stored.reads == [b"bob"]
    # Another write is the newest use.
    rows.put("ann", row_of(2), 3)
    rows.put("bob", row_of(2), 3)
    assert rows.get("ann") == row_of(2)
    assert stored.reads == [b"bob"]
    rows.forget("ann")
    rows.forget("nobody")
    assert rows.get("ann") == row_of(2)
    assert stored.reads == [b"bob", b"ann"]


def test_twenty_thousand_rows_are_cached(stored: DictTable) -> None:
    assert FaustUserRows(stored, 4)._cache_size == 20_000


def test_a_user_without_a_row_has_the_remainder_of_the_erased_row_or_none(
    rows: FaustUserRows, stored: DictTable
) -> None:
    stored.rows[remainder_key("ann")] = encode_row(UserRow(ring=b"x"))
    assert rows.get("ann").ring == b"x"
    assert rows.get("bob") is EMPTY_ROW
    assert (rows.is_erased("ann"), rows.is_erased("bob")) == (True, False)
    stored.rows[b"ann"] = encode_row(row_of(1))
    assert rows.get("ann") == row_of(1)
    # The user has returned.
    assert not rows.is_erased("ann")


def test_new_rows_are_counted_once(rows: FaustUserRows) -> None:
    assert rows.count == 0
    rows.put("ann", row_of(1), 0)
    rows.put("bob", row_of(0), 0)
    assert rows.count == 2
    # Read again after a crash: cached, and stored.
    rows.put("ann", row_of(1), 0)
    rows.clear_cache()
    rows.put("ann", row_of(1), 0)
    assert rows.count == 2
    # A row with more events was counted before.
    rows.put("cem", row_of(2), 0)
    assert rows.count == 2


def test_remainders_count_as_rows_but_are_not_gone_through(rows: FaustUserRows, stored: DictTable) -> None:
    rows.set_count(7)
    assert rows.count == 7
    for user in ("ann", "bob"):
        stored.rows[remainder_key(user)] = encode_row(EMPTY_ROW)
    stored.rows[b"cem"] = encode_row(row_of(1))
    for _ in range(2):
        assert list(rows.scan()) == [("cem", row_of(1))]
        rows.set_count(1)
        assert rows.count == 3


def test_positions_are_no_rows_and_end_no_scan(rows: FaustUserRows, stored: DictTable) -> None:
    # Each partition has its positions; the rows of the next one follow them.
    for user, partition in (("ann", 0), ("bob", 1)):
        stored.rows[positions_key(partition)] = b"positions"
        stored.rows[user.encode()] = encode_row(row_of(1))
    assert list(rows.scan()) == [("ann", row_of(1)), ("bob", row_of(1))]
    rows.set_count(2)
    assert rows.count == 2


def test_a_row_that_cannot_be_decoded_is_reported_once(rows: FaustUserRows, stored: DictTable) -> None:
    reported: list[UnreadableRow] = []
    rows.on_unreadable = reported.append
    stored.rows = {b"a": b"\xc1", b"b": b"\xc1", b"c": b"\xc1", b"\xff": encode_row(EMPTY_ROW)}
    for _ in range(2):
        assert rows.get("a") is EMPTY_ROW
    [first] = reported
    partition = DefaultPartitioner()(b"a", list(range(4)), list(range(4)))
    assert first[:4] == (CHANGELOG, partition, b"a", b"\xc1")
    assert "cannot be decoded" in first.detail
    # As many users are remembered as rows are cached.
    for user in ("b", "b", "a"):
        rows.get(user)
    assert [each.key for each in reported] == [b"a", b"b"]
    for user in ("c", "c", "b"):
        rows.get(user)
    assert [each.key for each in reported] == [b"a", b"b", b"c", b"b"]
    rows.clear_cache()
    assert list(rows.scan()) == []
    # At the third one the bound is reached once more.
    assert [each.key for each in reported[4:]] == [b"a", b"b", b"c", b"\xff"]


def test_a_user_has_the_partition_of_the_row_and_else_that_of_kafka(rows: FaustUserRows) -> None:
    kafka, partitions = DefaultPartitioner(), list(range(4))
    users = [f"user {number}" for number in range(200)]
    assert [rows.partition_of(user) for user in users] == [
        kafka(user.encode(), partitions, partitions) for user in users
    ]
    rows.put("user 7", row_of(1), 9)
    assert rows.partition_of("user 7") == 9


def test_a_watch_ends_with_a_write_a_look_or_a_move_of_partitions(rows: FaustUserRows) -> None:
    rows.watch("ann")
    assert not rows.was_written("ann")
    assert rows.was_written("ann"), "the watch has ended"
    rows.watch("ann")
    rows.put("bob", row_of(1), 0)
    rows.put("ann", row_of(1), 0)
    assert rows.was_written("ann")
    rows.watch("ann")
    rows.clear_cache()
    assert rows.was_written("ann")

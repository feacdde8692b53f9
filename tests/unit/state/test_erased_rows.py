"""Rows of erased users are moved under a hash, by the changelog first and then in the store."""

from collections.abc import Iterator
from typing import Any

import pytest
from msgspec import structs

from state.erased_rows import ErasedRows, Remainder, is_remainder, remainder_key
from state.row import EMPTY_ROW, ErasureMark, ErasureStage, EventCounts, UserRow, decode_row, encode_row
from topics.log_keys import one_way_hash
from topics.records import Source

MARK = ErasureMark(ErasureStage.PENDING, 5.0, 4.0, 7, (1, -1, -1, -1, -1, 7), "e", b"hash")
ERASED = UserRow(watermarks=(3, -1, -1, -1, -1, 7), ring=b"ring", partition=2, erasure=MARK, erased_until=4.0)


class Table:
    """The changelog and the store."""

    def __init__(self) -> None:
        self.data: Any = None
        self.stored: dict[bytes, bytes] = {}
        self.steps: list[tuple[str, bytes, UserRow | None, int]] = []

    def __getitem__(self, key: bytes) -> bytes:
        return self.stored[key]

    def append_change(self, key: bytes, value: bytes | None, partition: int) -> None:
        self.steps.append(("append", key, None if value is None else decode_row(value), partition))

    def apply_change(self, key: bytes, value: bytes | None, partition: int) -> None:
        self.steps.append(("apply", key, None if value is None else decode_row(value), partition))
        if value is None:
            self.stored.pop(key, None)
        else:
            self.stored[key] = value

    def remainders(self) -> Iterator[tuple[int, bytes, bytes]]:
        return iter([(3, key, value) for key, value in self.stored.items() if is_remainder(key)])


class Rows:
    """The rows by user id."""

    def __init__(self) -> None:
        self.count = 10
        self.rows: dict[str, UserRow] = {}
        self.watched: list[str] = []
        self.forgotten: list[str] = []
        self.written: set[str] = set()

    def get(self, user_id: str) -> UserRow:
        return self.rows.get(user_id, EMPTY_ROW)

    def forget(self, user_id: str) -> None:
        self.forgotten.append(user_id)

    def partition_of(self, user_id: str) -> int:
        return len(user_id)

    def watch(self, user_id: str) -> None:
        self.watched.append(user_id)

    def was_written(self, user_id: str) -> bool:
        return user_id in self.written


@pytest.fixture
def table() -> Table:
    return Table()


@pytest.fixture
def rows() -> Rows:
    return Rows()


@pytest.fixture
def erased(table: Table, rows: Rows) -> ErasedRows:
    return ErasedRows(table, rows)


UNSWEPT = structs.replace(ERASED, erasure=structs.replace(MARK, stage=ErasureStage.UNSWEPT))


def test_a_row_is_moved_under_the_hash_of_the_user(erased: ErasedRows, table: Table, rows: Rows) -> None:
    rows.rows["ann"] = ERASED
    detachment = erased.append("ann", 9.0)
    assert detachment is not None
    assert detachment._asdict() == {"user_id": "ann", "partition": 2, "after": None, "remainder": UNSWEPT}
    assert rows.watched == ["ann"]
    assert table.steps == [
        ("append", remainder_key("ann"), UNSWEPT, 2),
        ("append", b"ann", None, 2),
    ]
    table.steps.clear()
    assert erased.apply(detachment)
    assert table.steps == [("apply", remainder_key("ann"), UNSWEPT, 2), ("apply", b"ann", None, 2)]
    assert rows.forgotten == ["ann"]
    # One row was, and one is.
    assert rows.count == 10


def test_a_user_who_has_returned_keeps_the_row_without_the_mark(
    erased: ErasedRows, table: Table, rows: Rows
) -> None:
    returned = structs.replace(ERASED, counts=EventCounts(clicks=1))
    rows.rows["ann"] = returned
    detachment = erased.append("ann", 9.0)
    assert detachment is not None
    after = structs.replace(returned, erasure=None)
    remainder = UserRow(watermarks=MARK.watermarks, partition=2, erasure=UNSWEPT.erasure)
    assert detachment._asdict() == {
        "user_id": "ann",
        "partition": 2,
        "after": after,
        "remainder": remainder,
    }
    assert table.steps == [("append", remainder_key("ann"), remainder, 2), ("append", b"ann", after, 2)]
    assert erased.apply(detachment)
    assert table.steps[3] == ("apply", b"ann", after, 2)
    assert rows.count == 11


def test_a_row_that_an_event_has_written_meanwhile_is_not_moved(
    erased: ErasedRows, table: Table, rows: Rows
) -> None:
    rows.rows["ann"] = ERASED
    detachment = erased.append("ann", 9.0)
    assert detachment is not None
    table.stored[b"ann"] = encode_row(ERASED)
    rows.written.add("ann")
    assert not erased.apply(detachment)
    assert b"ann" in table.stored
    assert (rows.forgotten, rows.count) == ([], 10)


@pytest.mark.parametrize(
    "row",
    [
        EMPTY_ROW,
        UserRow(counts=EventCounts(clicks=1)),
        UNSWEPT,
        structs.replace(ERASED, erasure=structs.replace(MARK, stage=ErasureStage.SWEPT)),
    ],
)
def test_other_rows_are_not_moved(erased: ErasedRows, table: Table, rows: Rows, row: UserRow) -> None:
    rows.rows["ann"] = row
    assert erased.append("ann", 9.0) is None
    assert (table.steps, rows.watched) == ([], [])


@pytest.mark.parametrize(("partition", "target"), [(-1, 3), (0, 0), (1, 1)])
def test_a_row_of_an_unknown_partition_goes_to_that_of_the_user(
    erased: ErasedRows, rows: Rows, partition: int, target: int
) -> None:
    rows.rows["ann"] = structs.replace(ERASED, partition=partition)
    detachment = erased.append("ann", 9.0)
    assert detachment is not None
    assert detachment.partition == target


def test_a_row_that_an_earlier_version_emptied_gets_a_mark(erased: ErasedRows, rows: Rows) -> None:
    emptied = UserRow(watermarks=(3, -1, -1, -1, -1, 8), ring=b"ring", partition=2)
    rows.rows["ann"] = emptied
    detachment = erased.append("ann", 9.0)
    assert detachment is not None
    assert detachment.remainder.erasure == ErasureMark(
        ErasureStage.UNSWEPT, 9.0, 0.0, emptied.watermarks[Source.ERASURE], emptied.watermarks, "", b""
    )


def test_remainders_that_can_be_decoded_are_found(erased: ErasedRows, table: Table) -> None:
    table.stored = {
        b"ann": encode_row(ERASED),
        remainder_key("bad"): b"\xc1",
        remainder_key("old"): encode_row(EMPTY_ROW),
        remainder_key("ann"): encode_row(UNSWEPT),
    }
    [found] = erased.scan()
    assert found == Remainder(3, remainder_key("ann"), UNSWEPT)
    assert found.user_hash == one_way_hash("ann")


def test_a_remainder_is_the_newest_if_it_is_stored_as_it_was_read(erased: ErasedRows, table: Table) -> None:
    remainder = Remainder(3, remainder_key("ann"), UNSWEPT)
    assert not erased.is_newest(remainder)
    for stored, is_newest in ((encode_row(UNSWEPT), True), (encode_row(ERASED), False), (b"\xc1", False)):
        table.stored[remainder.key] = stored
        assert erased.is_newest(remainder) == is_newest


def test_a_remainder_is_replaced_and_at_last_deleted(erased: ErasedRows, table: Table, rows: Rows) -> None:
    remainder = Remainder(3, remainder_key("ann"), UNSWEPT)
    swept = structs.replace(ERASED, erasure=structs.replace(MARK, stage=ErasureStage.SWEPT))
    for row in (swept, None):
        erased.append_row(remainder, row)
        erased.apply_row(remainder, row)
    assert table.steps == [
        (step, remainder.key, row, 3) for row in (swept, None) for step in ("append", "apply")
    ]
    assert rows.count == 9


@pytest.mark.parametrize(
    ("key", "is_one"),
    [
        (remainder_key("ann"), True),
        (remainder_key("ann") + b"x", False),
        (remainder_key("ann")[:-1], False),
        (b"a" * len(remainder_key("ann")), False),
        (b"\xff", False),
    ],
)
def test_the_key_of_a_remainder_begins_with_a_byte_of_no_user_id(key: bytes, is_one: bool) -> None:
    assert is_remainder(key) == is_one

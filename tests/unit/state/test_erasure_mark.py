"""The mark of an erasure in a row: what is stored of it, and whether lists of the user must still be deleted."""

import msgspec
import pytest

from state.row import EMPTY_ROW, ErasureMark, ErasureStage, EventCounts, UserRow, decode_row, encode_row


def mark(stage: ErasureStage) -> ErasureMark:
    return ErasureMark(stage, 1.5, 1.0, 7, (7, -1), "e", b"hash")


def test_the_stages_have_the_same_numbers_as_ever() -> None:
    stored = {
        stage.name: msgspec.msgpack.decode(msgspec.msgpack.encode(mark(stage))) for stage in ErasureStage
    }
    assert {name: fields[0] for name, fields in stored.items()} == {"PENDING": 0, "UNSWEPT": 1, "SWEPT": 2}
    assert stored["PENDING"] == [0, 1.5, 1.0, 7, [7, -1], "e", b"hash", 0]


@pytest.mark.parametrize("stage", ErasureStage)
def test_a_row_keeps_its_mark(stage: ErasureStage) -> None:
    row = UserRow(erasure=mark(stage), erased_until=1.0)
    assert decode_row(encode_row(row)) == row


@pytest.mark.parametrize(
    ("row", "is_to_be_erased"),
    [
        (EMPTY_ROW, False),
        (UserRow(counts=EventCounts(clicks=1)), False),
        (UserRow(erasure=mark(ErasureStage.PENDING)), True),
        (UserRow(erasure=mark(ErasureStage.UNSWEPT)), False),
        (UserRow(erasure=mark(ErasureStage.SWEPT)), False),
        # The user has returned.
        (UserRow(erasure=mark(ErasureStage.PENDING), counts=EventCounts(clicks=1)), False),
    ],
)
def test_lists_of_an_erased_user_are_to_be_deleted_until_they_are_or_the_user_returns(
    row: UserRow, is_to_be_erased: bool
) -> None:
    assert row.is_to_be_erased == is_to_be_erased

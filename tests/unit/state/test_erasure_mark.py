"""The mark of an erasure in a row: what is stored of it, and whether lists of the user must still be deleted."""

import msgspec
import pytest

from state.dedup import RecordId
from state.fold import fold
from state.row import EMPTY_ROW, ErasureMark, ErasureStage, EventCounts, UserRow, decode_row, encode_row
from topics.events import Erasure
from topics.log_keys import one_way_hash
from topics.records import Source


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


@pytest.mark.parametrize(("event_id", "kept"), [("request 7", "request 7"), ("erase-ann", "")])
def test_the_mark_has_the_id_of_the_request_unless_it_names_the_user(event_id: str, kept: str) -> None:
    request = Erasure(event_id=event_id, user_id="ann", ts=1_541_599_523_000)
    found = fold(EMPTY_ROW, request, RecordId(Source.ERASURE, 0, 7), 1800.0).row.erasure
    assert found is not None
    assert (found.event_id, found.event_hash) == (kept, one_way_hash(event_id))
    assert (found.at, found.requested_at) == (0.0, 1_541_599_523.0)


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

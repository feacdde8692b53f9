"""Which records are of an erased user, and from before the erasure."""

from types import SimpleNamespace
from typing import Any

import pytest

from state.row import ErasureMark, ErasureStage
from stream_app.worker.log_erasure import ErasedUser, ObsoleteRecords
from topics.catalog import DEAD_LETTERS, INTERACTIONS, LISTS, REWARDS
from topics.log_keys import event_key, letter_key, list_key, one_way_hash, reward_key
from topics.records import Source

AT = 1_000.0
# clicks up to 7, searches up to 3, the erasure at 9
MARK = ErasureMark(ErasureStage.UNSWEPT, AT, AT, 9, (7, 3, -1, -1, -1, 9), "x", b"")
ANN = one_way_hash("ann")
ERASED = {ANN: ErasedUser(ANN, 2, MARK)}


def obsolete(topic: str, *records: Any) -> list[bytes]:
    return [each.key for each in ObsoleteRecords(ERASED).find(topic, records)]


def record(key: bytes | None, value: bytes | None = b"v", at: float = AT - 1) -> SimpleNamespace:
    return SimpleNamespace(key=key, value=value, timestamp=at * 1000)


@pytest.mark.parametrize(
    ("source", "offset", "expected"),
    [
        (Source.CLICK, 7, True),
        (Source.CLICK, 8, False),
        (Source.SEARCH, 3, True),
        (Source.SEARCH, 4, False),
        (Source.PURCHASE, 0, False),
        (Source.ERASURE, 9, True),
    ],
)
def test_interactions_and_rewards_are_compared_by_the_watermarks(
    source: Source, offset: int, *, expected: bool
) -> None:
    keys = event_key(b"ann", source, 2, offset), reward_key(b"ann", source, 2, offset, 1)
    # whenever they were written: a record may be written again after a crash
    for topic, key in zip((INTERACTIONS.name, REWARDS.name), keys, strict=True):
        assert obsolete(topic, record(key, at=AT + 5)) == ([key] if expected else [])


def test_lists_and_dead_letters_are_compared_by_their_time() -> None:
    for topic, key in (
        (LISTS.name, list_key(b"ann", "l1", 5.0)),
        (DEAD_LETTERS.name, letter_key(b"ann", "events.click", 2, 8, AT)),
        (INTERACTIONS.name, b"ann"),  # of an earlier version
    ):
        assert obsolete(topic, record(key, at=AT)) == [key]
        assert obsolete(topic, record(key, at=AT + 0.001)) == []


def test_records_of_others_markers_and_tombstones_are_left_alone() -> None:
    keys = [
        event_key(b"bob", 0, 2, 1),
        event_key(b"ann ", 0, 2, 1),
        event_key(b"an", 0, 2, 1),
        event_key("änn".encode(), 0, 2, 1),
        b"",
    ]
    assert obsolete(INTERACTIONS.name, *map(record, keys), record(None)) == []
    assert obsolete(INTERACTIONS.name, record(event_key(b"ann", 0, 2, 1), None), record(b"", None)) == []


def test_the_records_of_the_erasure_itself_are_told_apart() -> None:
    keys = event_key(b"ann", Source.CLICK, 2, 1), event_key(b"ann", Source.ERASURE, 2, 9)
    found = ObsoleteRecords(ERASED).find(INTERACTIONS.name, map(record, keys))
    assert [each.is_erasure for each in found] == [False, True]


def test_a_record_in_another_partition_is_compared_by_its_time() -> None:
    key = event_key(b"ann", Source.CLICK, 3, 1)
    assert obsolete(INTERACTIONS.name, record(key, at=AT)) == [key]
    assert obsolete(INTERACTIONS.name, record(key, at=AT + 1)) == []


def test_a_list_before_the_record_of_the_erasure_is_obsolete_whatever_the_clock_of_its_writer() -> None:
    before, after = list_key(b"ann", "l1", 5.0), list_key(b"ann", "l2", 6.0)
    ahead = record(before, at=AT + 300)
    found = obsolete(LISTS.name, ahead, record(b"ann", None, AT), record(after, at=AT + 301))
    assert found == [before]
    # the record of the erasure may come with a later batch
    records = ObsoleteRecords(ERASED)
    assert list(records.find(LISTS.name, [ahead])) == []
    assert [each.key for each in records.find(LISTS.name, [record(b"ann", None, AT)])] == [before]


@pytest.mark.parametrize(
    ("partition", "offset", "base", "expected"),
    [(2, 7, 0, True), (2, 8, 0, False), (1, 7, 0, False), (2, 7, 1, False), (2, 6, 1, True)],
)
def test_a_dead_letter_is_obsolete_if_the_row_had_applied_its_offset(
    partition: int, offset: int, base: int, *, expected: bool
) -> None:
    key = letter_key(b"ann", "events.click", partition, offset, AT)
    found = ObsoleteRecords(ERASED, {"events.click": base}).find(
        DEAD_LETTERS.name, [record(key, at=AT + 300)]
    )
    assert [each.key for each in found] == ([key] if expected else [])

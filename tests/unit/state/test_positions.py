"""Events that are forwarded again are found, and none that is not is taken for one."""

import logging
from itertools import takewhile

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.positions import (
    MAX_MISSING,
    ForwardedOffsets,
    PartitionPositions,
    TopicPosition,
    decode_positions,
    encode_positions,
)


@st.composite
def arrivals(draw: st.DrawFn) -> tuple[list[int], list[tuple[int, int]]]:
    """Offsets of one source, and the records that arrive: runs of workers that each begin somewhere, and reorder."""
    offsets = sorted(draw(st.sets(st.integers(0, 60), min_size=1, max_size=25)))
    records: list[tuple[int, int]] = []
    for _ in range(draw(st.integers(1, 4))):
        # A worker begins at an offset that is committed: all before it were acknowledged.
        arrived = {offset for offset, _ in records}
        n_acknowledged = len(list(takewhile(arrived.__contains__, offsets)))
        begin = draw(st.integers(0, min(n_acknowledged, len(offsets) - 1)))
        run = offsets[begin : draw(st.integers(begin, len(offsets)))]
        records += draw(st.permutations([*zip(run, [-1, *run], strict=False)]))
    return offsets, records


@given(arrivals())
def test_no_event_is_lost_whatever_order_records_arrive_in(
    drawn: tuple[list[int], list[tuple[int, int]]],
) -> None:
    _, records = drawn
    forwarded, accepted = ForwardedOffsets(), set[int]()
    for offset, previous in records:
        if forwarded.has(offset):
            assert offset in accepted
        else:
            accepted.add(offset)
            forwarded = forwarded.with_offset(offset, previous)
        assert forwarded.has(offset)
        assert len(forwarded.missing) <= MAX_MISSING


@given(st.lists(st.integers(0, 200), min_size=1, max_size=40, unique=True).map(sorted), st.data())
def test_each_event_counts_once_when_a_worker_begins_again(offsets: list[int], data: st.DataObject) -> None:
    begins = data.draw(st.lists(st.integers(0, len(offsets) - 1), min_size=1, max_size=3))
    runs = [offsets, *(offsets[begin:] for begin in begins)]
    forwarded, accepted = ForwardedOffsets(), list[int]()
    for run in runs:
        for offset, previous in zip(run, [-1, *run[:-1]], strict=True):
            if not forwarded.has(offset):
                accepted.append(offset)
                forwarded = forwarded.with_offset(offset, previous)
    assert accepted == offsets


def test_events_that_arrive_late_fill_the_ranges_that_miss_them() -> None:
    forwarded = ForwardedOffsets().with_offset(3, -1).with_offset(20, 15)
    assert forwarded.missing == ((4, 15),)
    forwarded = forwarded.with_offset(15, 9)
    assert forwarded.missing == ((4, 14),)
    forwarded = forwarded.with_offset(9, 3)
    assert (forwarded.has(9), forwarded.has(8), forwarded.has(20)) == (True, False, True)


def test_the_missing_ranges_are_bounded_and_none_is_forgotten() -> None:
    forwarded = ForwardedOffsets()
    for number in range(1, 200):
        forwarded = forwarded.with_offset(10 * number, 10 * number - 5)
        assert len(forwarded.missing) <= MAX_MISSING
    assert not any(forwarded.has(10 * number - 5) for number in range(1, 200))


def test_positions_are_stored_and_read() -> None:
    positions = PartitionPositions(
        topics={"events.click": TopicPosition("x", 2**34, 7)},
        forwarded={"events.click": {3: ForwardedOffsets(9, ((4, 7),))}},
    )
    stored = decode_positions(encode_positions(positions))
    assert stored == positions
    assert stored.forwarded_from("events.click", 3).has(9)
    assert not stored.forwarded_from("events.click", 2).has(9)
    assert not stored.forwarded_from("events.search", 3).has(9)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff\x00",
        b"\xc1" * 40,
        b"\x91" * 100_000,
        msgspec.msgpack.encode([1, {"events.click": ["x", 0]}]),
        msgspec.msgpack.encode([2, {}, {}]),
        msgspec.msgpack.encode([1, {b"\xff": []}]),
    ],
)
def test_positions_that_cannot_be_read_are_ignored_with_a_warning(
    raw: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert decode_positions(raw) == PartitionPositions()
    assert "ignoring the stored positions" in caplog.text

"""The limits of a row in numbers: they bound its size, and what a user's lists leave out."""

import pytest

from state import dedup
from state.dedup import CAPACITY, find, remember
from state.row import (
    EMPTY_ROW,
    MAX_BOUGHT,
    MAX_HIDDEN,
    MAX_LIKED,
    MAX_QUERIES,
    MAX_RECENT,
    MAX_RESULTS,
    NO_WATERMARKS,
    UNKNOWN_PARTITION,
    EventCounts,
    RowFormatError,
    decode_row,
    encode_row,
    watermark_of,
    with_watermark,
)
from state.session_window import MAX_TIMES, NO_SESSION, Session
from topics.records import Source


def test_a_row_holds_as_much_as_the_pages_say() -> None:
    assert (MAX_BOUGHT, MAX_HIDDEN, MAX_LIKED) == (200, 200, 100)
    assert (MAX_RECENT, MAX_QUERIES, MAX_RESULTS) == (50, 10, 200)
    assert (MAX_TIMES, CAPACITY) == (64, 64)


def test_an_empty_row_has_no_session_no_watermark_and_no_partition() -> None:
    assert EMPTY_ROW.session == NO_SESSION == Session(0.0, 0.0)
    assert EMPTY_ROW.watermarks == NO_WATERMARKS == (-1, -1, -1, -1, -1, -1)
    assert (EMPTY_ROW.partition, EMPTY_ROW.format, EMPTY_ROW.counts.total) == (UNKNOWN_PARTITION, 1, 0)
    assert (EMPTY_ROW.first_ts, EMPTY_ROW.last_ts, EMPTY_ROW.segments_ts) == (0.0, 0.0, 0.0)
    assert UNKNOWN_PARTITION == -1
    assert EventCounts(1, 2, 4, 8, 16).total == 31


@pytest.mark.parametrize("n_known", range(len(Source) + 1))
def test_a_row_that_is_older_than_a_source_has_no_watermark_of_it(n_known: int) -> None:
    stored = tuple(range(10, 10 + n_known))
    for source in Source:
        assert watermark_of(stored, source) == (10 + source if source < n_known else -1)
        raised = with_watermark(stored, source, 99)
        assert watermark_of(raised, source) == 99
        assert len(raised) == max(n_known, source + 1)
        assert [watermark_of(raised, other) for other in Source if other != source] == [
            watermark_of(stored, other) for other in Source if other != source
        ]


def test_a_row_of_another_format_is_refused_with_both_formats() -> None:
    with pytest.raises(RowFormatError, match="format 2, this version reads 1"):
        decode_row(encode_row(type(EMPTY_ROW)(format=2)))


def test_the_ring_keeps_source_and_offset_of_each_event() -> None:
    ring = b""
    for offset, source in enumerate(Source):
        ring = remember(ring, f"e{offset}", source, 1_000 + offset)
    assert [find(ring, f"e{offset}") for offset in range(len(Source))] == [
        (int(source), 1_000 + offset) for offset, source in enumerate(Source)
    ]
    largest = 2**40 - 1
    assert find(remember(ring, "x", Source.CLICK, largest), "x") == (0, largest)
    assert find(remember(ring, "x", Source.CLICK, largest + 8), "x") == (0, 7)
    assert len(remember(b"", "x", Source.CLICK, 0)) == 12


def test_a_hash_that_crosses_two_entries_is_not_an_event() -> None:
    entry = remember(b"", "e1", Source.SEARCH, 41)
    crossing = b"\0" * 3 + entry[:6] + b"\0" * 3
    assert len(crossing) == len(entry)
    assert find(crossing, "e1") is None
    assert find(crossing * 2 + entry, "e1") == (int(Source.SEARCH), 41)


@pytest.mark.parametrize("offset", [0, 1, 1 << 24, 1 << 32, (1 << 40) - 1])
def test_an_event_is_found_although_its_hash_is_also_part_of_its_position(
    monkeypatch: pytest.MonkeyPatch, offset: int
) -> None:
    monkeypatch.setattr(dedup, "_hash", lambda event_id: bytes(6) if event_id == "e" else b"\1" * 6)
    ring = remember(remember(b"", "e", Source.CLICK, offset), "other", Source.CLICK, 0)
    assert find(ring, "e") == (Source.CLICK, offset)
    assert find(ring[12:], "e") is None

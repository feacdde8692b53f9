"""Order of rows, limits, and the shift of times."""

import gzip
from pathlib import Path

import msgspec
import pytest

from stream_app.errors import UserError
from stream_app.tools.feeds import event_log as log_module
from stream_app.tools.feeds.event_log import EventLog, LogRequest, RowOrder, open_log
from stream_app.tools.feeds.formats import reader
from stream_app.tools.feeds.rows import EventRow, UnreadableRow
from topics.events import CatalogItem, Click

NOW = 1_800_000_000.0
DAY = 86_400.0


def click(number: int, timestamp_ms: object) -> bytes:
    return msgspec.json.encode(
        {
            "type": "click",
            "event_id": f"e{number}",
            "user_id": "u",
            "ts": timestamp_ms,
            "item_id": f"i{number}",
        }
    )


def open_event_log(
    path: Path,
    *body: bytes,
    order: RowOrder = RowOrder.TIME,
    keep_time: bool = False,
    limit: int | None = None,
) -> EventLog:
    path.write_bytes(b"\n".join(body))
    request = LogRequest(path=path, read=reader("jsonl"), order=order, keep_time=keep_time, limit=limit)
    return open_log(request, now=NOW, max_age=30 * DAY)


def event_ids(log: EventLog) -> list[str]:
    return [
        row.event.event_id if isinstance(row, EventRow) and isinstance(row.event, Click) else "?"
        for row in log
    ]


def row_times(log: EventLog) -> list[float]:
    return [round(row.time, 3) for row in log if row.time is not None]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.jsonl"


def test_rows_are_stably_sorted_by_time(path: Path) -> None:
    timestamp_ms = int(NOW * 1_000)
    log = open_event_log(
        path,
        click(1, timestamp_ms - 5),
        click(2, timestamp_ms - 9),
        click(3, timestamp_ms - 5),
        click(4, timestamp_ms - 9),
    )

    assert event_ids(log) == ["e2", "e4", "e1", "e3"]


def test_unreadable_row_stays_after_its_predecessor(path: Path) -> None:
    timestamp_ms = int(NOW * 1_000)
    log = open_event_log(path, click(1, timestamp_ms - 5), b"broken", click(2, timestamp_ms - 9))

    assert event_ids(log) == ["e2", "e1", "?"]


def test_file_order_is_kept_on_request(path: Path) -> None:
    timestamp_ms = int(NOW * 1_000)
    log = open_event_log(path, click(1, timestamp_ms - 5), click(2, timestamp_ms - 9), order=RowOrder.FILE)

    assert event_ids(log) == ["e1", "e2"]
    assert event_ids(log) == ["e1", "e2"], "a log can be gone through again"


@pytest.mark.parametrize("order", list(RowOrder))
def test_old_log_is_shifted_to_end_now(path: Path, order: RowOrder) -> None:
    log = open_event_log(
        path, click(1, "2018-11-07T00:00:00Z"), click(2, "2018-11-07T12:00:00.250Z"), order=order
    )

    assert row_times(log) == [NOW - 43_200.25, NOW]
    assert log.shift_message == (
        "times shifted forward by 2990 days 19 h, so that the log ends now; --keep-time keeps them"
    )


def test_keep_time_leaves_timestamps_unchanged(path: Path) -> None:
    log = open_event_log(path, click(1, 1_541_548_800_000), keep_time=True)

    assert row_times(log) == [1_541_548_800.0]
    assert log.shift_message is None


def test_log_within_retention_is_not_shifted(path: Path) -> None:
    log = open_event_log(path, click(1, int((NOW - 3 * DAY) * 1_000)))

    assert log.shift_ms == 0


def test_invalid_timestamps_do_not_affect_the_shift(path: Path) -> None:
    log = open_event_log(
        path, click(1, 1_541_548_800_000), click(2, 0), click(3, 9_999_999_999_999), click(4, 10**400)
    )

    assert log.span.oldest == log.span.newest == 1_541_548_800.0
    assert sum(row.time == NOW for row in log) == 1
    assert log.total == 4


def test_catalog_item_is_shifted_with_its_creation_date(path: Path) -> None:
    item = msgspec.json.encode(
        {"type": "catalog", "item_id": "i", "ts": 1_541_548_800_000, "created": 1_541_548_700_000}
    )
    [row] = open_event_log(path, item)

    assert isinstance(row, EventRow)
    assert isinstance(row.event, CatalogItem)
    assert row.event.ts == 1_800_000_000_000
    assert row.event.created == 1_799_999_900_000


def test_log_longer_than_retention_is_warned_about(path: Path) -> None:
    log = open_event_log(path, click(1, "2018-01-01T00:00:00Z"), click(2, "2018-11-07T00:00:00Z"))

    assert "spans 310 days 0 h, more than the maximum event age of workers, 30 days 0 h" in (
        log.retention_warning(30 * DAY) or ""
    )
    assert log.retention_warning(0) is None


def test_limit_counts_rows_of_the_file(path: Path) -> None:
    timestamp_ms = int(NOW * 1_000)
    log = open_event_log(path, click(1, timestamp_ms), b"broken", click(2, timestamp_ms - 9), limit=2)

    assert event_ids(log) == ["e1", "?"]
    assert log.total == 2


def test_oversized_log_is_not_sorted_in_memory(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "MAX_SORTED_ROWS", 2)
    timestamp_ms = int(NOW * 1_000)
    with pytest.raises(UserError, match=r"more than 2 rows.*--order file"):
        open_event_log(path, *(click(number, timestamp_ms) for number in range(3)))

    assert (
        open_event_log(path, *(click(number, timestamp_ms) for number in range(3)), order=RowOrder.FILE).total
        == 3
    )


def test_gzip_is_detected_without_its_suffix(path: Path) -> None:
    log = open_event_log(path, gzip.compress(click(1, int(NOW * 1_000))))

    assert event_ids(log) == ["e1"]


def test_corrupt_gzip_and_missing_files_are_user_errors(path: Path) -> None:
    with pytest.raises(UserError, match="corrupt gzip"):
        open_event_log(path, gzip.compress(click(1, 0) * 50)[:-20])
    with pytest.raises(UserError, match="There is no file"):
        open_log(LogRequest(path=path.with_name("no"), read=reader("jsonl")), now=NOW, max_age=0)
    with pytest.raises(UserError, match="cannot be read"):
        open_log(LogRequest(path=path.parent, read=reader("jsonl")), now=NOW, max_age=0)


def test_overlong_line_is_truncated(path: Path) -> None:
    timestamp_ms = int(NOW * 1_000)
    log = open_event_log(path, b"x" * 5_000_000, click(1, timestamp_ms))
    first, second = log

    assert isinstance(first, UnreadableRow)
    assert len(first.raw) == 2 * 1024 * 1024
    assert isinstance(second, EventRow)

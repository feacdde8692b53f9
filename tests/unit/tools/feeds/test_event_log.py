"""Order, limits and the moving of times."""

import gzip
from pathlib import Path

import msgspec
import pytest

from stream_app.errors import UserError
from stream_app.tools.feeds import event_log as log_module
from stream_app.tools.feeds.event_log import Log, Order, Request, open_log
from stream_app.tools.feeds.formats import reader
from stream_app.tools.feeds.rows import Mapped, Unreadable
from topics.events import CatalogItem, Click

NOW = 1_800_000_000.0
DAY = 86_400.0


def click(number: int, at: object) -> bytes:
    return msgspec.json.encode(
        {"type": "click", "event_id": f"e{number}", "user_id": "u", "ts": at, "item_id": f"i{number}"}
    )


def opened(
    path: Path, *body: bytes, order: Order = Order.TIME, keep_time: bool = False, limit: int | None = None
) -> Log:
    path.write_bytes(b"\n".join(body))
    request = Request(path=path, read=reader("jsonl"), order=order, keep_time=keep_time, limit=limit)
    return open_log(request, now=NOW, max_age=30 * DAY)


def ids(log: Log) -> list[str]:
    return [
        row.event.event_id if isinstance(row, Mapped) and isinstance(row.event, Click) else "?" for row in log
    ]


def stamps(log: Log) -> list[float]:
    return [round(row.time, 3) for row in log if row.time is not None]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.jsonl"


def test_rows_are_sorted_by_time_and_those_of_one_time_keep_their_order(path: Path) -> None:
    at = int(NOW * 1_000)
    log = opened(path, click(1, at - 5), click(2, at - 9), click(3, at - 5), click(4, at - 9))

    assert ids(log) == ["e2", "e4", "e1", "e3"]


def test_an_unreadable_row_stays_behind_the_row_before_it(path: Path) -> None:
    at = int(NOW * 1_000)
    log = opened(path, click(1, at - 5), b"broken", click(2, at - 9))

    assert ids(log) == ["e2", "e1", "?"]


def test_the_order_of_the_file_is_kept_on_demand(path: Path) -> None:
    at = int(NOW * 1_000)
    log = opened(path, click(1, at - 5), click(2, at - 9), order=Order.FILE)

    assert ids(log) == ["e1", "e2"]
    assert ids(log) == ["e1", "e2"], "a log can be gone through again"


@pytest.mark.parametrize("order", list(Order))
def test_an_old_log_is_moved_by_one_constant_so_that_it_ends_now(path: Path, order: Order) -> None:
    log = opened(path, click(1, "2018-11-07T00:00:00Z"), click(2, "2018-11-07T12:00:00.250Z"), order=order)

    assert stamps(log) == [NOW - 43_200.25, NOW]
    assert log.shift_sentence == (
        "times moved forward by 2990 days 19 h, so that the log ends now; --keep-time leaves them"
    )


def test_the_times_of_an_old_log_are_left_on_demand(path: Path) -> None:
    log = opened(path, click(1, 1_541_548_800_000), keep_time=True)

    assert stamps(log) == [1_541_548_800.0]
    assert log.shift_sentence is None


def test_a_log_within_the_retention_is_left_alone(path: Path) -> None:
    log = opened(path, click(1, int((NOW - 3 * DAY) * 1_000)))

    assert log.shift_ms == 0


def test_a_broken_clock_neither_moves_the_log_nor_is_hidden(path: Path) -> None:
    log = opened(
        path, click(1, 1_541_548_800_000), click(2, 0), click(3, 9_999_999_999_999), click(4, 10**400)
    )

    assert log.span.oldest == log.span.newest == 1_541_548_800.0
    assert sum(row.time == NOW for row in log) == 1
    assert log.total == 4


def test_a_described_item_moves_with_its_date_of_creation(path: Path) -> None:
    item = msgspec.json.encode(
        {"type": "catalog", "item_id": "i", "ts": 1_541_548_800_000, "created": 1_541_548_700_000}
    )
    [row] = opened(path, item)

    assert isinstance(row, Mapped)
    assert isinstance(row.event, CatalogItem)
    assert row.event.ts == 1_800_000_000_000
    assert row.event.created == 1_799_999_900_000


def test_a_log_longer_than_the_retention_is_pointed_out(path: Path) -> None:
    log = opened(path, click(1, "2018-01-01T00:00:00Z"), click(2, "2018-11-07T00:00:00Z"))

    assert "spans 310 days 0 h, more than the 30 days 0 h" in (log.retention_sentence(30 * DAY) or "")
    assert log.retention_sentence(0) is None


def test_the_limit_counts_rows_of_the_file(path: Path) -> None:
    at = int(NOW * 1_000)
    log = opened(path, click(1, at), b"broken", click(2, at - 9), limit=2)

    assert ids(log) == ["e1", "?"]
    assert log.total == 2


def test_too_long_a_log_is_not_sorted_in_memory(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "MAX_SORTED_ROWS", 2)
    at = int(NOW * 1_000)
    with pytest.raises(UserError, match=r"more than 2 rows.*--order file"):
        opened(path, *(click(number, at) for number in range(3)))

    assert opened(path, *(click(number, at) for number in range(3)), order=Order.FILE).total == 3


def test_gzip_is_recognised_without_its_ending(path: Path) -> None:
    log = opened(path, gzip.compress(click(1, int(NOW * 1_000))))

    assert ids(log) == ["e1"]


def test_damaged_gzip_and_absent_files_are_told_in_a_sentence(path: Path) -> None:
    with pytest.raises(UserError, match="damaged gzip"):
        opened(path, gzip.compress(click(1, 0) * 50)[:-20])
    with pytest.raises(UserError, match="There is no file"):
        open_log(Request(path=path.with_name("no"), read=reader("jsonl")), now=NOW, max_age=0)
    with pytest.raises(UserError, match="cannot be read"):
        open_log(Request(path=path.parent, read=reader("jsonl")), now=NOW, max_age=0)


def test_a_line_without_an_end_does_not_fill_the_memory(path: Path) -> None:
    at = int(NOW * 1_000)
    log = opened(path, b"x" * 5_000_000, click(1, at))
    first, second = log

    assert isinstance(first, Unreadable)
    assert len(first.raw) == 2 * 1024 * 1024
    assert isinstance(second, Mapped)

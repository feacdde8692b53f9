"""A log file ready to feed: rows read by a format, sorted, with times shifted to now."""

from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec

from stream_app.errors import UserError
from stream_app.tools.feeds.files import lines, open_log_file
from stream_app.tools.feeds.formats import ReadRows
from stream_app.tools.feeds.rows import EventRow, Row
from stream_app.tools.feeds.time_shift import TimeSpan, format_duration, shift_event, shift_ms
from topics.codec import Limits

MAX_SORTED_ROWS: Final = 5_000_000
"""Limit of rows sorted by time in memory (some 3 GB of shop events)."""

_MAX_FUTURE_SECONDS: Final = Limits().max_future

ReadProgress = Callable[[int], None]
"""Receives the number of rows read so far, every thousand rows."""


class RowOrder(StrEnum):
    """Order in which the rows of a log are fed."""

    TIME = "time"
    FILE = "file"


def parse_order(name: str) -> RowOrder:
    """The order with this name.

    Raises
    ------
    UserError
        If there is no such order.
    """
    try:
        return RowOrder(name)
    except ValueError:
        raise UserError(f"--order is time or file, not {name!r}.") from None


class EventLog:
    """The rows of a log, ready to feed; every iteration yields the same rows.

    Attributes
    ----------
    total
        Number of rows.
    span
        Oldest and newest valid time, as in the file.
    shift_ms
        Milliseconds added to each time.
    """

    def __init__(self, rows: Callable[[], Iterable[Row]], total: int, span: TimeSpan, by_ms: int) -> None:
        self._rows = rows
        self.total: Final = total
        self.span: Final = span
        self.shift_ms: Final = by_ms

    def __iter__(self) -> Iterator[Row]:
        for row in self._rows():
            if self.shift_ms and isinstance(row, EventRow):
                yield EventRow(row.line, shift_event(row.event, self.shift_ms))
            else:
                yield row

    @property
    def shift_message(self) -> str | None:
        """A message about the time shift, or None if there was none."""
        if not self.shift_ms:
            return None
        direction = "forward" if self.shift_ms > 0 else "back"
        return (
            f"times shifted {direction} by {format_duration(self.shift_ms / 1_000)}, so that the log ends now; "
            "--keep-time keeps them"
        )

    def retention_warning(self, max_age: float) -> str | None:
        """A warning if the log is longer than the maximum event age of workers."""
        if not max_age or self.span.seconds <= max_age:
            return None
        return (
            f"the log spans {format_duration(self.span.seconds)}, more than the maximum event age of workers, "
            f"{format_duration(max_age)}: its start will be dead-lettered unless they run with "
            "HEADRACE_MAX_EVENT_AGE=0"
        )


def sort_by_time(rows: Iterable[Row]) -> list[Row]:
    """Sort rows by event time, stably; a row without a time follows the row before it.

    Raises
    ------
    UserError
        If there are more than `MAX_SORTED_ROWS`.

    Examples
    --------
    >>> from stream_app.tools.feeds.rows import IgnoredRow, UnreadableRow
    >>> ordered = sort_by_time([IgnoredRow(1, "x", 9.0), UnreadableRow(2, b"?", "no"), IgnoredRow(3, "x", 4.0)])
    >>> [row.line for row in ordered]
    [3, 1, 2]
    """
    buffered: list[Row] = []
    times: list[float] = []
    last_time = float("-inf")
    for row in rows:
        if len(buffered) == MAX_SORTED_ROWS:
            raise UserError(
                f"The log has more than {MAX_SORTED_ROWS:,} rows, too many to sort by time in memory; "
                "give --limit N, or --order file if the file is already in order."
            )
        row_time = row.time
        last_time = last_time if row_time is None else row_time
        buffered.append(row)
        times.append(last_time)
    return [buffered[index] for index in sorted(range(len(buffered)), key=times.__getitem__)]


class LogRequest(msgspec.Struct, frozen=True, kw_only=True):
    """How to read a log.

    Attributes
    ----------
    order
        By time, or the order of the file.
    limit
        Read only this number of rows from the start of the file.
    keep_time
        Do not shift the times.
    """

    path: Path
    read: ReadRows
    order: RowOrder = RowOrder.TIME
    limit: int | None = None
    keep_time: bool = False


def open_log(
    request: LogRequest, *, now: float, max_age: float, progress: ReadProgress = lambda _: None
) -> EventLog:
    """Read a log into memory; in the order of the file, scan it and read it again on each iteration.

    Parameters
    ----------
    now
        Seconds since the epoch; a shifted log ends here.
    max_age
        Maximum event age of workers in seconds; 0 for none.

    Raises
    ------
    UserError
        If the file cannot be read in this format, or is too long to sort.
    """
    span = TimeSpan(latest_valid=now + _MAX_FUTURE_SECONDS)
    count = 0

    def count_rows() -> Iterator[Row]:
        nonlocal count
        for row in _rows(request):
            count += 1
            if isinstance(row, EventRow) and (row_time := row.time) is not None:
                span.add(row_time)
            if not count % 1_000:
                progress(count)
            yield row

    rows: Callable[[], Iterable[Row]]
    if request.order is RowOrder.TIME:
        buffered = sort_by_time(count_rows())
        rows = partial(iter, buffered)
    else:
        for _ in count_rows():
            pass
        rows = partial(_rows, request)
    progress(count)
    by_ms = 0 if request.keep_time else shift_ms(span, now=now, max_age=max_age)
    return EventLog(rows, count, span, by_ms)


def _rows(request: LogRequest) -> Iterator[Row]:
    name = request.path.name.split(".")[0]
    with open_log_file(request.path) as stream:
        yield from islice(request.read(lines(stream), name), request.limit)

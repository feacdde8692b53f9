"""A log file as it is fed: rows read by a format, put in order, times moved to now."""

from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec

from stream_app.errors import UserError
from stream_app.tools.feeds.files import lines, open_log_file
from stream_app.tools.feeds.formats import ReadRows
from stream_app.tools.feeds.rows import EventRow, Row
from stream_app.tools.feeds.time_shift import TimeSpan, format_duration, shift_event, shift_ms

MAX_SORTED_ROWS: Final = 5_000_000
"""Most rows that are put in time order in memory (some 3 GB of shop events)."""

_MAX_FUTURE_SECONDS: Final = 300.0  # seconds, as the workers allow by default

ReadProgress = Callable[[int], None]
"""Told the rows read so far, every thousand or so."""


class RowOrder(StrEnum):
    """In which order the rows of a log are fed."""

    TIME = "time"
    FILE = "file"


def parse_order(name: str) -> RowOrder:
    """The order of that name.

    Raises
    ------
    UserError
        If there is none.
    """
    try:
        return RowOrder(name)
    except ValueError:
        raise UserError(f"--order is time or file, not {name!r}.") from None


class EventLog:
    """The rows of a log, ready to be fed; iterating twice gives the same rows twice.

    Attributes
    ----------
    total
        Rows.
    span
        Oldest and newest sound time, as written in the file.
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
        """What was done to the times, for the person at the terminal."""
        if not self.shift_ms:
            return None
        direction = "forward" if self.shift_ms > 0 else "back"
        return (
            f"times moved {direction} by {format_duration(self.shift_ms / 1_000)}, so that the log ends now; "
            "--keep-time leaves them"
        )

    def retention_warning(self, max_age: float) -> str | None:
        """A warning if the log is longer than the time that workers take events for."""
        if not max_age or self.span.seconds <= max_age:
            return None
        return (
            f"the log spans {format_duration(self.span.seconds)}, more than the {format_duration(max_age)} "
            "that workers take "
            "events for: its start will be dead-lettered unless they run with HEADRACE_MAX_EVENT_AGE=0"
        )


def sort_by_time(rows: Iterable[Row]) -> list[Row]:
    """Sort rows by event time; rows of the same time, and rows without one, keep their place.

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
                f"The log has more than {MAX_SORTED_ROWS:,} rows, too many to be sorted by time in memory; "
                "give --limit N, or --order file if the file is in order already."
            )
        row_time = row.time
        last_time = last_time if row_time is None else row_time
        buffered.append(row)
        times.append(last_time)
    return [buffered[index] for index in sorted(range(len(buffered)), key=times.__getitem__)]


class LogRequest(msgspec.Struct, frozen=True, kw_only=True):
    """How a log is to be read.

    Attributes
    ----------
    path, read
        The file and the reader of its format.
    order
        By time, or as it stands in the file.
    limit
        Only the first so many rows of the file.
    keep_time
        Leave the times as they are.
    """

    path: Path
    read: ReadRows
    order: RowOrder = RowOrder.TIME
    limit: int | None = None
    keep_time: bool = False


def open_log(
    request: LogRequest, *, now: float, max_age: float, progress: ReadProgress = lambda _: None
) -> EventLog:
    """Read a log, or look it through when it is fed in the order of the file.

    Parameters
    ----------
    request
        What to read and how.
    now
        Seconds since the epoch, where a moved log ends.
    max_age
        Seconds that workers take events for (0: for ever).
    progress
        Told how far the reading is.

    Raises
    ------
    UserError
        If the file cannot be read in this format, or is too long to be sorted.
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
        rows = lambda: buffered  # noqa: E731  # the two branches give the same kind of thing
    else:
        for _ in count_rows():
            pass
        rows = lambda: _rows(request)  # noqa: E731
    progress(count)
    by_ms = 0 if request.keep_time else shift_ms(span, now=now, max_age=max_age)
    return EventLog(rows, count, span, by_ms)


def _rows(request: LogRequest) -> Iterator[Row]:
    name = request.path.name.split(".")[0]
    with open_log_file(request.path) as stream:
        yield from islice(request.read(lines(stream), name), request.limit)

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
from stream_app.tools.feeds.rows import Mapped, Row
from stream_app.tools.feeds.time_shift import Span, shift_ms, shifted, spoken

MAX_SORTED_ROWS: Final = 5_000_000
"""Most rows that are put in time order in memory (some 3 GB of shop events)."""

_FUTURE: Final = 300.0  # seconds, as the workers allow by default

Progress = Callable[[int], None]
"""Told the rows read so far, every thousand or so."""


class Order(StrEnum):
    """In which order the rows of a log are fed."""

    TIME = "time"
    FILE = "file"


class Log:
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

    def __init__(self, rows: Callable[[], Iterable[Row]], total: int, span: Span, by_ms: int) -> None:
        self._rows = rows
        self.total: Final = total
        self.span: Final = span
        self.shift_ms: Final = by_ms

    def __iter__(self) -> Iterator[Row]:
        for row in self._rows():
            if self.shift_ms and isinstance(row, Mapped):
                yield Mapped(row.line, shifted(row.event, self.shift_ms))
            else:
                yield row

    @property
    def shift_sentence(self) -> str | None:
        """What was done to the times, for the person at the terminal."""
        if not self.shift_ms:
            return None
        way = "forward" if self.shift_ms > 0 else "back"
        return (
            f"times moved {way} by {spoken(self.shift_ms / 1_000)}, so that the log ends now; "
            "--keep-time leaves them"
        )

    def retention_sentence(self, max_age: float) -> str | None:
        """A warning if the log is longer than the time that workers take events for."""
        if not max_age or self.span.seconds <= max_age:
            return None
        return (
            f"the log spans {spoken(self.span.seconds)}, more than the {spoken(max_age)} that workers take "
            "events for: its start will be dead-lettered unless they run with HEADRACE_MAX_EVENT_AGE=0"
        )


def in_time_order(rows: Iterable[Row]) -> list[Row]:
    """Sort rows by event time; rows of the same time, and rows without one, keep their place.

    Raises
    ------
    UserError
        If there are more than `MAX_SORTED_ROWS`.

    Examples
    --------
    >>> from stream_app.tools.feeds.rows import Ignored, Unreadable
    >>> kept = in_time_order([Ignored(1, "x", 9.0), Unreadable(2, b"?", "no"), Ignored(3, "x", 4.0)])
    >>> [row.line for row in kept]
    [3, 1, 2]
    """
    kept: list[Row] = []
    times: list[float] = []
    last = float("-inf")
    for row in rows:
        if len(kept) == MAX_SORTED_ROWS:
            raise UserError(
                f"The log has more than {MAX_SORTED_ROWS:,} rows, too many to be sorted by time in memory; "
                "give --limit N, or --order file if the file is in order already."
            )
        at = row.time
        last = last if at is None else at
        kept.append(row)
        times.append(last)
    return [kept[place] for place in sorted(range(len(kept)), key=times.__getitem__)]


class Request(msgspec.Struct, frozen=True, kw_only=True):
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
    order: Order = Order.TIME
    limit: int | None = None
    keep_time: bool = False


def open_log(request: Request, *, now: float, max_age: float, progress: Progress = lambda _: None) -> Log:
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
    span = Span(before=now + _FUTURE)
    count = 0

    def counted() -> Iterator[Row]:
        nonlocal count
        for row in _rows(request):
            count += 1
            if isinstance(row, Mapped) and (at := row.time) is not None:
                span.add(at)
            if not count % 1_000:
                progress(count)
            yield row

    rows: Callable[[], Iterable[Row]]
    if request.order is Order.TIME:
        kept = in_time_order(counted())
        rows = lambda: kept  # noqa: E731  # the two branches give the same kind of thing
    else:
        for _ in counted():
            pass
        rows = lambda: _rows(request)  # noqa: E731
    progress(count)
    by_ms = 0 if request.keep_time else shift_ms(span, now=now, max_age=max_age)
    return Log(rows, count, span, by_ms)


def _rows(request: Request) -> Iterator[Row]:
    name = request.path.name.split(".")[0]
    with open_log_file(request.path) as stream:
        yield from islice(request.read(lines(stream), name), request.limit)

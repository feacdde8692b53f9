"""Shift the times of an old log to now by a constant, so that workers accept its events."""

import time
from typing import Final

import msgspec

from topics.events import CatalogItem, Event, Timestamp

# 1990: an earlier event comes from a wrong clock and must not determine the shift of the others.
_EARLIEST_VALID: Final = 631_152_000.0
_DAY: Final = 86_400


class TimeSpan(msgspec.Struct):
    """Oldest and newest valid event time of a log, seconds since the epoch; future times are ignored.

    Examples
    --------
    >>> span = TimeSpan(latest_valid=2_000_000_000.0)
    >>> for time in (1_500_000_000.0, 1_400_000_000.0, 0.0, 9e12):
    ...     span.add(time)
    >>> span.oldest, span.newest
    (1400000000.0, 1500000000.0)
    """

    latest_valid: float
    oldest: float | None = None
    newest: float | None = None

    def add(self, time: float) -> None:
        """Extend the span by an event time, if valid."""
        if not _EARLIEST_VALID <= time <= self.latest_valid:
            return
        if self.oldest is None or time < self.oldest:
            self.oldest = time
        if self.newest is None or time > self.newest:
            self.newest = time

    @property
    def seconds(self) -> float:
        """Length of the span; 0 without valid times."""
        return self.newest - self.oldest if self.oldest is not None and self.newest is not None else 0.0


def shift_ms(span: TimeSpan, *, now: float, max_age: float) -> int:
    """Milliseconds to add to each time of a log; 0 for no shift.

    Parameters
    ----------
    now
        Seconds since the epoch; the newest event is shifted to it.
    max_age
        Maximum event age of workers in seconds; 0 for none. A log within it is not shifted.

    Examples
    --------
    >>> shift_ms(TimeSpan(2e9, oldest=1_500_000_000, newest=1_500_000_100), now=1_600_000_100, max_age=86_400)
    100000000000
    >>> shift_ms(TimeSpan(2e9, oldest=1_500_000_000, newest=1_500_000_100), now=1_500_000_200, max_age=86_400)
    0
    """
    if span.oldest is None or span.newest is None or not max_age or span.oldest >= now - max_age:
        return 0
    return round((now - span.newest) * 1_000)


def shift_event(event: Event, by_ms: int) -> Event:
    """A copy of the event, `by_ms` milliseconds later.

    Examples
    --------
    >>> from topics.events import Erasure
    >>> shift_event(Erasure(event_id="e", user_id="u", ts=1_000), 500).ts
    1500
    """
    ts = _shift_timestamp(event.ts, by_ms)
    if isinstance(event, CatalogItem) and event.created is not None:
        return msgspec.structs.replace(event, ts=ts, created=_shift_timestamp(event.created, by_ms))
    return msgspec.structs.replace(event, ts=ts)


def _shift_timestamp(ts: Timestamp, by_ms: int) -> int:
    return (ts if isinstance(ts, int) else round(ts.timestamp() * 1_000)) + by_ms


def format_duration(seconds: float) -> str:
    """A duration in days and hours, or below one day in hours and minutes.

    Examples
    --------
    >>> format_duration(2937 * 86_400 + 4 * 3_600 + 59), format_duration(3_700)
    ('2937 days 4 h', '1 h 1 min')
    """
    whole_seconds = int(abs(seconds))
    if whole_seconds >= _DAY:
        return f"{whole_seconds // _DAY} days {whole_seconds % _DAY // 3_600} h"
    return f"{whole_seconds // 3_600} h {whole_seconds % 3_600 // 60} min"


def wall_clock() -> float:
    """Wall-clock time of this machine, seconds since the epoch."""
    return time.time()

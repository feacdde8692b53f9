"""The time by which counts lose weight: event time, which runs faster in periods of faster decay."""

import math
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np

from stream_app.models.array_types import Times

MAX_PERIODS: Final = 64
"""Periods of a schedule; an older one is folded into the offset."""


MAX_RATE: Final = 1_000.0
"""Largest rate of a period."""

_MAX_TIME: Final = 1e11
"""Largest time of a period, the year 5138: no record may make weights that are no numbers."""


class FastDecay(NamedTuple):
    """A period of faster decay."""

    start: float  # event time, seconds since the epoch
    end: float
    rate: float  # seconds of decay per second, 1 or more: 4 shortens each half-life to a quarter


class DecaySchedule(msgspec.Struct, frozen=True):
    """Past and planned periods of faster decay, as plain data.

    Raises
    ------
    ValueError
        If periods are too many, not in order, overlap, or have an impossible time or rate.
    """

    periods: tuple[FastDecay, ...] = ()
    offset: float = 0.0
    """Seconds of decay beyond event time before the first period: of periods that are no longer in it."""

    def __post_init__(self) -> None:
        end = -_MAX_TIME
        for period in self.periods:
            if not (end <= period.start < period.end <= _MAX_TIME and 1.0 <= period.rate <= MAX_RATE):
                raise ValueError(f"a decay schedule has an impossible period: {period}")
            end = period.end
        if not 0.0 <= self.offset <= MAX_RATE * _MAX_TIME:
            raise ValueError(f"a decay schedule has an impossible offset: {self.offset!r}")
        if len(self.periods) > MAX_PERIODS:
            raise ValueError(f"a decay schedule has {len(self.periods)} periods, more than {MAX_PERIODS}")

    @property
    def end(self) -> float:
        """End of the last period; -inf without one."""
        return self.periods[-1].end if self.periods else -math.inf

    def with_period(self, start: float, length: float, rate: float) -> "DecaySchedule":
        """The schedule with one more period, at the earliest after the last one.

        Examples
        --------
        >>> schedule = DecaySchedule().with_period(100.0, 50.0, 4.0).with_period(120.0, 50.0, 4.0)
        >>> [(period.start, period.end) for period in schedule.periods]
        [(100.0, 150.0), (150.0, 200.0)]
        """
        start = max(start, self.end)
        periods = (*self.periods, FastDecay(start, start + length, rate))
        dropped = periods[: max(0, len(periods) - MAX_PERIODS)]
        extra = sum((each.rate - 1.0) * (each.end - each.start) for each in dropped)
        return DecaySchedule(periods[len(dropped) :], self.offset + extra)


class DecayClock:
    """Maps event time to the time by which decay is measured.

    It is event time until the first period of faster decay. Within a period each second counts `rate` times, so that
    all half-lives are that much shorter, and after it once again: what was learned before the period stays as light
    as it became. The map depends on event time and the schedule alone, so that sums do not depend on the order of
    events; and it has no jumps, so that a replica that hears of a period a little late is off by a little.

    Examples
    --------
    >>> clock = DecayClock()
    >>> clock.time(100.0)
    100.0
    >>> clock.schedule = DecaySchedule().with_period(100.0, 50.0, 4.0)
    >>> [clock.time(ts) for ts in (99.0, 110.0, 150.0, 160.0)]
    [99.0, 140.0, 300.0, 310.0]
    >>> [clock.rate(ts) for ts in (99.0, 110.0, 160.0)]
    [1.0, 4.0, 1.0]
    """

    def __init__(self) -> None:
        self.schedule = DecaySchedule()

    def time(self, ts: float) -> float:
        """Time of decay at `ts`, in seconds."""
        schedule = self.schedule
        time = ts + schedule.offset
        for start, end, rate in schedule.periods:
            if ts <= start:
                break
            time += (rate - 1.0) * (min(ts, end) - start)
        return time

    def times(self, ts: Times) -> Times:
        """Times of decay, shape (n,); without any period the same array."""
        schedule = self.schedule
        if not schedule.periods and not schedule.offset:
            return ts
        times: Times = ts + schedule.offset
        for start, end, rate in schedule.periods:
            times += (rate - 1.0) * np.clip(ts - start, 0.0, end - start)
        return times

    def state(self) -> list[Any]:
        """The schedule as plain data: sums that were made by it are of use with it alone."""
        return [self.schedule.offset, [list(period) for period in self.schedule.periods]]

    def restore(self, state: Sequence[Any]) -> None:
        """Load the result of `state`."""
        offset, periods = state
        self.schedule = DecaySchedule(tuple(FastDecay(*map(float, each)) for each in periods), float(offset))

    def rate(self, ts: float) -> float:
        """Seconds of decay per second at `ts`."""
        return next((each.rate for each in self.schedule.periods if each.start < ts <= each.end), 1.0)

"""Sessions: visits of one shopper, closed by inactivity in event time.

The current session is a function of the set of event times, not of the order in which events arrived: a click that
comes late from one topic joins the visit it belongs to, and may join two halves of it.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

MAX_TIMES: Final = 64
"""Event times remembered of a shopper; a longer session is taken to begin at the oldest of them."""


class Session(NamedTuple):
    """A visit.

    Attributes
    ----------
    start, last
        Event times of its first and last event, seconds since the epoch.
    """

    start: float
    last: float


NO_SESSION = Session(0.0, 0.0)


def insert_time(times: tuple[float, ...], ts: float) -> tuple[float, ...]:
    """Event times with one more at its place, the oldest dropped beyond `MAX_TIMES`.

    Examples
    --------
    >>> insert_time((10.0, 30.0), 20.0)
    (10.0, 20.0, 30.0)
    """
    if not times or ts >= times[-1]:
        return (*times, ts)[-MAX_TIMES:]
    return tuple(sorted((*times, ts)))[-MAX_TIMES:]


def current_session(times: Sequence[float], gap: float, previous: Session = NO_SESSION) -> Session:
    """The current session: from the newest event back to the first pause that is longer than the gap.

    Parameters
    ----------
    times
        Event times, rising, seconds since the epoch.
    gap
        Seconds of inactivity that close a session.
    previous
        The session of the same times without the newest, where that came last: saves looking at all of them.

    Examples
    --------
    >>> current_session((1000.0, 2800.0, 4601.0, 4700.0), gap=1800.0)
    Session(start=4601.0, last=4700.0)
    >>> current_session((1000.0, 2800.0), gap=1800.0)
    Session(start=1000.0, last=2800.0)
    """
    if not times:
        return NO_SESSION
    last = times[-1]
    if previous is not NO_SESSION and len(times) > 1 and times[-2] == previous.last:
        return Session(max(previous.start, times[0]) if last - previous.last <= gap else last, last)
    start = last
    for ts in reversed(times):
        if start - ts > gap:
            break
        start = ts
    return Session(start, last)

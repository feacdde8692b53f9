"""Sessions of one user, closed by inactivity in event time.

The current session is a function of the set of event times, independent of their order of arrival: a click that
arrives late from one topic joins its session, and can merge two sessions.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

MAX_TIMES: Final = 64
"""Event times stored per user; a longer session starts at the oldest of them."""


class Session(NamedTuple):
    """A session.

    Attributes
    ----------
    start, last
        Event times of its first and last event, seconds since the epoch.
    """

    start: float
    last: float


NO_SESSION = Session(0.0, 0.0)


def insert_time(times: tuple[float, ...], ts: float) -> tuple[float, ...]:
    """The sorted event times with one more; the oldest are dropped beyond `MAX_TIMES`.

    Examples
    --------
    >>> insert_time((10.0, 30.0), 20.0)
    (10.0, 20.0, 30.0)
    """
    if not times or ts >= times[-1]:
        return (*times, ts)[-MAX_TIMES:]
    return tuple(sorted((*times, ts)))[-MAX_TIMES:]


def current_session(times: Sequence[float], gap: float, previous: Session = NO_SESSION) -> Session:
    """The current session: from the newest event back to the first pause longer than the gap.

    Parameters
    ----------
    times
        Event times, ascending, seconds since the epoch.
    gap
        Seconds of inactivity that close a session.
    previous
        The session of the same times without the newest, if the newest arrived last; avoids a scan of all times.

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

"""Sessions: visits of one shopper, closed by inactivity in event time."""

from typing import NamedTuple


class Session(NamedTuple):
    """A visit.

    Attributes
    ----------
    number
        How many sessions the shopper has had, this one included; 0 before the first.
    start, last
        Event times of its first and last event, seconds since the epoch.
    """

    number: int
    start: float
    last: float


NO_SESSION = Session(0, 0.0, 0.0)


def extend(session: Session, ts: float, gap: float) -> Session:
    """The current session after an event.

    Parameters
    ----------
    session
        The one before.
    ts
        Event time, seconds since the epoch.
    gap
        Seconds of inactivity that close a session.

    Returns
    -------
    Session
        A new one if `ts` lies more than `gap` after the last event. An event out of order within the session
        widens it; one that lies more than `gap` before its start belongs to an older session and leaves this
        one as it is.

    Examples
    --------
    >>> first = extend(NO_SESSION, 1000.0, gap=1800.0)
    >>> extend(first, 1600.0, gap=1800.0)
    Session(number=1, start=1000.0, last=1600.0)
    >>> extend(first, 2801.0, gap=1800.0)
    Session(number=2, start=2801.0, last=2801.0)
    """
    if session.number == 0 or ts > session.last + gap:
        return Session(session.number + 1, ts, ts)
    if ts < session.start - gap:
        return session
    return Session(session.number, min(session.start, ts), max(session.last, ts))

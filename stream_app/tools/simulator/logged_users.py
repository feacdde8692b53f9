"""Readers of real logs, as users with sessions."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from stream_app.errors import UserError
from stream_app.tools.evaluation.session_files import SessionClock, TimedSession, read_sessions
from stream_app.tools.feeds import jsonl, trivago
from stream_app.tools.feeds.delimited import read_delimited
from stream_app.tools.feeds.files import lines, open_log_file
from stream_app.tools.feeds.formats import ReadRows
from stream_app.tools.feeds.rows import EventRow
from topics.events import Click, Purchase, Search

LoggedEvent = Click | Search | Purchase
"""Events of a user in a log."""

Sessions = Sequence[Sequence[LoggedEvent]]

SESSIONS_PER_DAY: Final = 1_000.0
"""Sessions per day of simulated time in a log without times, as in `headrace evaluate sessions`."""


class LoggedUser(NamedTuple):
    """A user of a log.

    Attributes
    ----------
    number
        Index of the user by first event, from 0.
    history
        Sessions ordered by time, each with at least one event; or the one session of a format without times.
    """

    number: int
    user_id: str
    history: Sessions | TimedSession

    def sessions(self) -> Sessions:
        """Sessions, each with its events in order."""
        if not isinstance(self.history, TimedSession):
            return self.history
        ids = zip(self.history.items, self.history.times, strict=True)
        user = self.user_id
        clicks = [
            Click(
                event_id=f"{user}-{index}",
                user_id=user,
                ts=round(ts * 1_000),
                session_id=user,
                channel="web",
                item_id=item,
            )
            for index, (item, ts) in enumerate(ids)
        ]
        return [clicks]

    def events(self) -> Iterator[LoggedEvent]:
        """All events, in order."""
        return (event for session in self.sessions() for event in session)

    @property
    def n_events(self) -> int:
        """Number of events."""
        if isinstance(self.history, TimedSession):
            return len(self.history.items)
        return sum(len(session) for session in self.history)

    @property
    def start_time(self) -> float:
        """Time of the first event, seconds since the epoch."""
        return self.history.times[0] if isinstance(self.history, TimedSession) else self.history[0][0].time

    @property
    def end_time(self) -> float:
        """Time of the last event, seconds since the epoch."""
        return self.history.times[-1] if isinstance(self.history, TimedSession) else self.history[-1][-1].time


def read_log(path: Path, format_name: str, sessions_per_day: float = SESSIONS_PER_DAY) -> list[LoggedUser]:
    """Read a log; users are ordered by their first event.

    Parameters
    ----------
    path
        Plain or gzip file.
    format_name
        A key of `FORMATS`.
    sessions_per_day
        Sessions per day of simulated time, for a format without times.

    Raises
    ------
    UserError
        If the format is unknown, or the file cannot be read or has no users.
    """
    if format_name not in FORMATS:
        raise UserError(f"There is no format {format_name!r} of sessions; use one of {', '.join(FORMATS)}.")
    logged_users = FORMATS[format_name](path, sessions_per_day)
    if not logged_users:
        raise UserError(f"{path} has no events of users; check that its format is {format_name}.")
    return logged_users


def _read_sessions(path: Path, sessions_per_day: float) -> list[LoggedUser]:
    clock = SessionClock(sessions_per_day)
    sessions = (clock.timed_session(items) for items in read_sessions(path) if items)
    return [LoggedUser(number, session.user, session) for number, session in enumerate(sessions)]


def _read_events(read: ReadRows) -> "Callable[[Path, float], list[LoggedUser]]":
    def read_users(path: Path, sessions_per_day: float) -> list[LoggedUser]:
        del sessions_per_day  # the log has times
        with open_log_file(path) as stream:
            rows = read(lines(stream), path.name)
            events = (row.event for row in rows if isinstance(row, EventRow))
            return group_by_user(event for event in events if isinstance(event, Click | Search | Purchase))

    return read_users


def group_by_user(events: Iterable[LoggedEvent]) -> list[LoggedUser]:
    """Group events, in any order, by user and session.

    A session is all events of a user with the same `session_id`. Its events are sorted by time; the sort is stable.

    Examples
    --------
    >>> def click(user, session, ts):
    ...     return Click(event_id=f"{user}{ts}", user_id=user, session_id=session, ts=ts, item_id="i")
    >>> logged_users = group_by_user([click("a", "s", 3_000), click("a", "r", 2_000), click("b", "q", 1_000)])
    >>> [(user.user_id, [len(session) for session in user.sessions()]) for user in logged_users]
    [('b', [1]), ('a', [1, 1])]
    """
    users: dict[str, dict[str | None, list[LoggedEvent]]] = {}
    for event in events:
        users.setdefault(event.user_id, {}).setdefault(event.session_id, []).append(event)
    history = []
    for user_id, events_by_session in users.items():
        sessions = [sorted(session, key=_event_time) for session in events_by_session.values()]
        history.append((user_id, sorted(sessions, key=lambda session: session[0].time)))
    history.sort(key=lambda each: each[1][0][0].time)
    return [LoggedUser(number, user_id, sessions) for number, (user_id, sessions) in enumerate(history)]


def _event_time(event: LoggedEvent) -> float:
    return event.time


def _yoochoose(raw: Iterable[bytes], name: str) -> Iterator[EventRow]:
    """Clicks of the RecSys Challenge 2015; each session is a user."""
    for record in read_delimited(
        raw, name=name, delimiter="\t", required_columns=("SessionId", "ItemId", "Time")
    ):
        if record.problem is not None:
            raise UserError(f"{name}:{record.line}: {record.problem}; correct or remove this row.")
        values = record.values
        user = f"session-{values['SessionId']}"
        try:
            ts = round(float(values["Time"]) * 1_000)
        except ValueError:
            raise UserError(
                f"{name}:{record.line}: {values['Time']!r} is not a time in seconds; correct or remove this row."
            ) from None
        click = Click(
            event_id=f"{user}-{record.line}", user_id=user, ts=ts, session_id=user, channel="web",
            item_id=values["ItemId"],
        )  # fmt: skip
        yield EventRow(record.line, click)


FORMATS: Final[dict[str, Callable[[Path, float], list[LoggedUser]]]] = {
    "diginetica": _read_sessions,
    "trivago": _read_events(trivago.rows),
    "yoochoose": _read_events(_yoochoose),
    "jsonl": _read_events(jsonl.rows),
}
"""Readers by format: sessions without times (one JSON list of item ids per line), and event logs."""

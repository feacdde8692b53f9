"""Logs of real shops as shoppers with visits, cut into a part to learn from and disjoint tenths to measure on."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import heappop, heappush
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from stream_app.errors import UserError
from stream_app.tools.evaluation.session_files import SessionClock, Visit, read_sessions
from stream_app.tools.feeds import jsonl, trivago
from stream_app.tools.feeds.delimited import records
from stream_app.tools.feeds.files import lines, open_log_file
from stream_app.tools.feeds.formats import ReadRows
from stream_app.tools.feeds.rows import Mapped
from topics.events import Click, Purchase, Search

LoggedEvent = Click | Search | Purchase
"""What a log tells of a shopper."""

SESSIONS_A_DAY: Final = 1_000.0
"""How fast the shop's time passes where a log has no times, as `headrace evaluate sessions` takes it."""

TENTHS: Final = 10

Visits = Sequence[Sequence[LoggedEvent]]


class LoggedShopper(NamedTuple):
    """One shopper of a log.

    Attributes
    ----------
    number
        Their place in the log by their first event, from 0.
    user_id
        Who.
    known
        Their visits in order of time, each with at least one event; or a session without times' visit.
    """

    number: int
    user_id: str
    known: Visits | Visit

    def visits(self) -> Visits:
        """Their visits, each with its events in order."""
        if not isinstance(self.known, Visit):
            return self.known
        ids = zip(self.known.items, self.known.times, strict=True)
        user = self.user_id
        clicks = [
            Click(
                event_id=f"{user}-{place}",
                user_id=user,
                ts=round(ts * 1_000),
                session_id=user,
                channel="web",
                item_id=item,
            )
            for place, (item, ts) in enumerate(ids)
        ]
        return [clicks]

    def events(self) -> Iterator[LoggedEvent]:
        """All of them, in order."""
        return (event for visit in self.visits() for event in visit)

    @property
    def size(self) -> int:
        """How many there are."""
        if isinstance(self.known, Visit):
            return len(self.known.items)
        return sum(len(visit) for visit in self.known)

    @property
    def begins(self) -> float:
        """Time of the first event, seconds since the epoch."""
        return self.known.times[0] if isinstance(self.known, Visit) else self.known[0][0].time

    @property
    def ends(self) -> float:
        """Time of the last event."""
        return self.known.times[-1] if isinstance(self.known, Visit) else self.known[-1][-1].time


def read_log(path: Path, format_name: str, sessions_a_day: float = SESSIONS_A_DAY) -> list[LoggedShopper]:
    """Read a log.

    Parameters
    ----------
    path
        Plain or gzip.
    format_name
        A key of `FORMATS`.
    sessions_a_day
        For a format without times.

    Returns
    -------
    list of LoggedShopper
        By their first event.

    Raises
    ------
    UserError
        If there is no such format, or the file cannot be read, or holds nobody.
    """
    if format_name not in FORMATS:
        raise UserError(f"There is no format {format_name!r} of sessions; there are {', '.join(FORMATS)}.")
    found = FORMATS[format_name](path, sessions_a_day)
    if not found:
        raise UserError(f"{path} holds no shopper who did anything; is {format_name} its format?")
    return found


def _read_sessions(path: Path, sessions_a_day: float) -> list[LoggedShopper]:
    clock = SessionClock(sessions_a_day)
    visits = (clock.visit(items) for items in read_sessions(path) if items)
    return [LoggedShopper(number, visit.user, visit) for number, visit in enumerate(visits)]


def _read_events(read: ReadRows) -> "Callable[[Path, float], list[LoggedShopper]]":
    def read_shoppers(path: Path, sessions_a_day: float) -> list[LoggedShopper]:
        del sessions_a_day  # the log has times
        with open_log_file(path) as stream:
            rows = read(lines(stream), path.name)
            events = (row.event for row in rows if isinstance(row, Mapped))
            return by_shopper(event for event in events if isinstance(event, Click | Search | Purchase))

    return read_shoppers


def by_shopper(events: Iterable[LoggedEvent]) -> list[LoggedShopper]:
    """Events as shoppers with visits.

    A visit is what shares a `session_id`; events of a visit are put in order of time, those of the same time stay as
    they come.

    Parameters
    ----------
    events
        In any order.

    Examples
    --------
    >>> def click(user, session, ts):
    ...     return Click(event_id=f"{user}{ts}", user_id=user, session_id=session, ts=ts, item_id="i")
    >>> found = by_shopper([click("a", "s", 3_000), click("a", "r", 2_000), click("b", "q", 1_000)])
    >>> [(shopper.user_id, [len(visit) for visit in shopper.visits()]) for shopper in found]
    [('b', [1]), ('a', [1, 1])]
    """
    users: dict[str, dict[str | None, list[LoggedEvent]]] = {}
    for event in events:
        users.setdefault(event.user_id, {}).setdefault(event.session_id, []).append(event)
    known = []
    for user_id, sessions in users.items():
        visits = [sorted(visit, key=_time) for visit in sessions.values()]
        known.append((user_id, sorted(visits, key=lambda visit: visit[0].time)))
    known.sort(key=lambda each: each[1][0][0].time)
    return [LoggedShopper(number, user_id, visits) for number, (user_id, visits) in enumerate(known)]


def _time(event: LoggedEvent) -> float:
    return event.time


def _yoochoose(raw: Iterable[bytes], name: str) -> Iterator[Mapped]:
    """Clicks of the RecSys Challenge 2015: a session is a shopper."""
    for record in records(raw, name=name, delimiter="\t", needed=("SessionId", "ItemId", "Time")):
        if record.problem is not None:
            raise UserError(f"{name}:{record.line}: {record.problem}.")
        values = record.values
        user = f"session-{values['SessionId']}"
        try:
            ts = round(float(values["Time"]) * 1_000)
        except ValueError:
            raise UserError(f"{name}:{record.line}: {values['Time']!r} is no time in seconds.") from None
        click = Click(
            event_id=f"{user}-{record.line}", user_id=user, ts=ts, session_id=user, channel="web",
            item_id=values["ItemId"],
        )  # fmt: skip
        yield Mapped(record.line, click)


FORMATS: Final[dict[str, Callable[[Path, float], list[LoggedShopper]]]] = {
    "diginetica": _read_sessions,
    "trivago": _read_events(trivago.rows),
    "yoochoose": _read_events(_yoochoose),
    "jsonl": _read_events(jsonl.rows),
}
"""Readers by the name of the format: sessions without times (one JSON list of item ids a line), and event logs."""


class Tenth(msgspec.Struct, frozen=True):
    """One of ten disjoint parts of the shoppers that are measured.

    Attributes
    ----------
    number
        From 1 to `TENTHS`.
    """

    number: int

    @classmethod
    def parse(cls, text: str) -> "Tenth":
        """Read ``i/10``.

        Raises
        ------
        UserError
            If it is none.

        Examples
        --------
        >>> Tenth.parse("3/10")
        Tenth(number=3)
        """
        number, slash, of = text.partition("/")
        if not (number.isascii() and number.isdigit() and slash and of == str(TENTHS)):
            raise UserError(f"--tenth is written as 3/{TENTHS}, not {text!r}.")
        if not 1 <= int(number) <= TENTHS:
            raise UserError(f"--tenth goes from 1/{TENTHS} to {TENTHS}/{TENTHS}, not {text}.")
        return cls(int(number))


class Cut(NamedTuple):
    """A log, cut.

    Attributes
    ----------
    warm_up
        Shoppers whose events are fed as they are, before anything is measured.
    measured
        Shoppers who are followed.
    """

    warm_up: list[LoggedShopper]
    measured: list[LoggedShopper]


def cut(
    shoppers: Sequence[LoggedShopper],
    warm_up: float = 0.0,
    tenth: Tenth | None = None,
    limit: int | None = None,
) -> Cut:
    """Cut a log.

    Parameters
    ----------
    shoppers
        By their first event.
    warm_up
        The share of them, the earliest, that is fed as it is.
    tenth
        Of the others only one of ten: they are dealt out in turn, so that each tenth follows the warm-up at once and
        spans the same time.
    limit
        Of those only the first so many.

    Raises
    ------
    UserError
        If nobody is left.

    Examples
    --------
    >>> log = by_shopper(Click(event_id="e", user_id=f"u{n:02}", ts=n, item_id="i") for n in range(40))
    >>> [shopper.user_id for shopper in cut(log, 0.5, Tenth(2)).measured]
    ['u21', 'u31']
    """
    begin = round(warm_up * len(shoppers))
    measured = shoppers[begin:]
    if tenth is not None:
        measured = measured[tenth.number - 1 :: TENTHS]
    measured = measured[:limit]
    if not measured:
        raise UserError("No shopper is left to follow: warm up with less, or take a longer log.")
    return Cut(list(shoppers[:begin]), list(measured))


def in_order(shoppers: Iterable[LoggedShopper]) -> Iterator[LoggedEvent]:
    """The events of shoppers by time; only those of shoppers in the shop at the same time are held.

    Examples
    --------
    >>> clicks = [Click(event_id="e", user_id=u, ts=ts, item_id="i") for ts, u in enumerate("aba")]
    >>> [event.user_id for event in in_order(by_shopper(clicks))]
    ['a', 'b', 'a']
    """
    here: list[
        tuple[float, int, int, LoggedEvent]
    ] = []  # time, shopper and place before events of the same time
    for shopper in sorted(shoppers, key=lambda each: each.begins):
        while here and here[0][0] <= shopper.begins:
            yield heappop(here)[-1]
        for place, event in enumerate(shopper.events()):
            heappush(here, (event.time, shopper.number, place, event))
    while here:
        yield heappop(here)[-1]

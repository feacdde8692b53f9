"""Session files, which have no times, and the clock that adds them.

A line is a JSON list of item ids (numbers or strings), a file is plain or gzip, the oldest session comes first.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from stream_app.errors import UserError
from stream_app.tools.feeds.files import lines, open_log_file
from topics.records import Interaction, Kind, Line, Source

Session = list[str]
"""Item ids, oldest first."""

FIRST_SESSION_TIME: Final = 1_451_606_400.0
"""Start of the first session, seconds since the epoch (2016-01-01)."""

SECONDS_PER_CLICK: Final = 1.0
"""Time between two clicks of a session."""

_DAY: Final = 86_400.0
_SESSION_DECODER: Final = msgspec.json.Decoder(list[int | str])


def read_sessions(path: Path, limit: int | None = None) -> list[Session]:
    """Read a file of sessions.

    Parameters
    ----------
    path
        Plain or gzip; the name does not matter.
    limit
        Read only this number of sessions from the start.

    Raises
    ------
    UserError
        If the file cannot be read, or a line is not a list of item ids.
    """
    with open_log_file(path) as stream:
        sessions = list(islice(_sessions(path, lines(stream)), limit))
    if not any(sessions):
        raise UserError(
            f"{path} holds no session; each line must be a JSON list of item ids, such as [1, 2]."
        )
    return sessions


def _sessions(path: Path, raw_lines: Iterator[bytes]) -> Iterator[Session]:
    names: dict[int | str, str] = {}  # one string object per item saves memory
    for number, raw in enumerate(raw_lines, start=1):
        if not raw.strip():
            continue
        try:
            ids = _SESSION_DECODER.decode(raw)
        except (ValueError, RecursionError) as error:
            raise UserError(
                f"{path}:{number}: {error}; each line must be a JSON list of item ids, such as [1, 2]: "
                "correct or remove that line."
            ) from None
        yield [names.setdefault(item_id, str(item_id)) for item_id in ids]


class TimedSession(NamedTuple):
    """A session with a user and times.

    Attributes
    ----------
    user
        A new user, ``session-<n>``.
    items, times
        Item ids and event times (seconds since the epoch), oldest first.
    offset
        Offset of its first click in the log of clicks.
    """

    user: str
    items: Session
    times: list[float]
    offset: int

    def interactions(self) -> Iterator[Interaction]:
        """The interactions that models learn: one view per click."""
        user = self.user
        for offset, (item, ts) in enumerate(zip(self.items, self.times, strict=True), start=self.offset):
            yield Interaction(Source.CLICK, 0, offset, ts, user, Kind.VIEW, (Line(item),))


class SessionClock:
    """Add users and times to sessions, in the order of the file.

    Session n starts n x 86,400 / `sessions_per_day` seconds after `FIRST_SESSION_TIME`; its clicks are
    `SECONDS_PER_CLICK` apart. If the previous session has not ended by then, it starts `SECONDS_PER_CLICK` after that
    session's last click. Sessions never overlap, and no time reveals a later event, such as the length of a session.

    Parameters
    ----------
    sessions_per_day
        Rate of the shop's time, on which event-time decay and recency depend.

    Examples
    --------
    >>> clock = SessionClock(sessions_per_day=43_200)
    >>> for timed in map(clock.timed_session, (["a", "b", "c"], ["d"], ["e"])):
    ...     print(timed.user, timed.offset, [ts - FIRST_SESSION_TIME for ts in timed.times])
    session-1 0 [0.0, 1.0, 2.0]
    session-2 3 [3.0]
    session-3 4 [4.0]
    """

    def __init__(self, sessions_per_day: float) -> None:
        self._session_interval = _DAY / sessions_per_day
        self._sessions = 0
        self._clicks = 0
        self._next_start = FIRST_SESSION_TIME

    def timed_session(self, items: Session) -> TimedSession:
        """Time the next session of the file."""
        start = max(FIRST_SESSION_TIME + self._sessions * self._session_interval, self._next_start)
        times = [start + SECONDS_PER_CLICK * position for position in range(len(items))]
        self._sessions += 1
        timed_session = TimedSession(f"session-{self._sessions}", items, times, self._clicks)
        self._clicks += len(items)
        if times:
            self._next_start = times[-1] + SECONDS_PER_CLICK
        return timed_session


class TrainTestSplit(NamedTuple):
    """Sessions to learn, then sessions to predict; oldest first."""

    train: Sequence[Session]
    test: Sequence[Session]


def validation_split(train: Sequence[Session], tail: int, train_limit: int | None = None) -> TrainTestSplit:
    """Use the newest train sessions as test.

    Parameters
    ----------
    train
        Sessions, oldest first.
    tail
        Number of test sessions.
    train_limit
        Learn only this number of sessions before them, the newest.

    Raises
    ------
    UserError
        If nothing would be left to learn from.

    Examples
    --------
    >>> validation_split([["a"], ["b"], ["c"], ["d"]], 1, train_limit=2)
    TrainTestSplit(train=[['b'], ['c']], test=[['d']])
    """
    if tail >= len(train):
        raise UserError(
            f"--validation-tail {tail} leaves nothing to learn from: train has {len(train)} sessions; "
            "give a smaller one."
        )
    end = len(train) - tail
    start = 0 if train_limit is None else max(0, end - train_limit)
    return TrainTestSplit(train[start:end], train[end:])

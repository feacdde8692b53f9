"""The split of a log: users whose events warm up the models, and disjoint tenths to measure."""

from collections.abc import Iterable, Iterator, Sequence
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from stream_app.errors import UserError

if TYPE_CHECKING:  # the options of the command line import this module, before numpy is needed
    from stream_app.tools.simulator.logged_users import LoggedEvent, LoggedUser

TENTHS: Final = 10


class Tenth(msgspec.Struct, frozen=True):
    """One of `TENTHS` disjoint parts of the measured users, numbered from 1."""

    number: int

    @classmethod
    def parse(cls, text: str) -> "Tenth":
        """Parse ``i/10``.

        Raises
        ------
        UserError
            If the text is anything else.

        Examples
        --------
        >>> Tenth.parse("3/10")
        Tenth(number=3)
        """
        number, slash, denominator = text.partition("/")
        if not (number.isascii() and number.isdigit() and slash and denominator == str(TENTHS)):
            raise UserError(f"--tenth has the form 3/{TENTHS}, not {text!r}.")
        if not 1 <= int(number) <= TENTHS:
            raise UserError(f"--tenth ranges from 1/{TENTHS} to {TENTHS}/{TENTHS}, not {text}.")
        return cls(int(number))


class LogSplit(NamedTuple):
    """The two parts of a log.

    Attributes
    ----------
    warm_up
        Users whose events are fed unchanged before the measurement.
    measured
        Users to replay.
    """

    warm_up: list["LoggedUser"]
    measured: list["LoggedUser"]


def split_log(
    users: Sequence["LoggedUser"],
    warm_up: float = 0.0,
    tenth: Tenth | None = None,
    limit: int | None = None,
) -> LogSplit:
    """Split a log.

    Parameters
    ----------
    users
        Users, ordered by their first event.
    warm_up
        Share of the users, the earliest ones, for the warm-up.
    tenth
        Take every tenth of the remaining users, so that each tenth starts right after the warm-up and spans the same
        time.
    limit
        Take only the first users of these.

    Raises
    ------
    UserError
        If no user is left to measure.

    Examples
    --------
    >>> from topics.events import Click
    >>> from stream_app.tools.simulator.logged_users import group_by_user
    >>> log = group_by_user(Click(event_id="e", user_id=f"u{n:02}", ts=n, item_id="i") for n in range(40))
    >>> [user.user_id for user in split_log(log, 0.5, Tenth(2)).measured]
    ['u21', 'u31']
    """
    n_warm_up = round(warm_up * len(users))
    measured = users[n_warm_up:]
    if tenth is not None:
        measured = measured[tenth.number - 1 :: TENTHS]
    measured = measured[:limit]
    if not measured:
        raise UserError("No user is left to replay: lower --warm-up, or use a longer log.")
    return LogSplit(list(users[:n_warm_up]), list(measured))


def merge_by_time(users: Iterable["LoggedUser"]) -> Iterator["LoggedEvent"]:
    """Events of users ordered by time; holds only events of users whose histories overlap.

    Examples
    --------
    >>> from topics.events import Click
    >>> from stream_app.tools.simulator.logged_users import group_by_user
    >>> clicks = [Click(event_id="e", user_id=u, ts=ts, item_id="i") for ts, u in enumerate("aba")]
    >>> [event.user_id for event in merge_by_time(group_by_user(clicks))]
    ['a', 'b', 'a']
    """
    # User number and event index order events of the same time.
    pending: list[tuple[float, int, int, LoggedEvent]] = []
    for user in sorted(users, key=lambda each: each.start_time):
        while pending and pending[0][0] <= user.start_time:
            yield heappop(pending)[-1]
        for index, event in enumerate(user.events()):
            heappush(pending, (event.time, user.number, index, event))
    while pending:
        yield heappop(pending)[-1]

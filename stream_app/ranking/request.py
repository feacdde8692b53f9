"""The input of the ranker."""

from collections.abc import Collection, Sequence
from typing import NamedTuple


class RankRequest(NamedTuple):
    """A user, as the ranker needs them.

    Attributes
    ----------
    user_id
        Id of the user.
    items, times
        Recent items and their event times, oldest first.
    session_start
        Index in `items` of the first item of the current session.
    segments
        Segments of the user besides ``all``.
    now
        Event time of the user's last event, seconds since the epoch.
    excluded
        Items that must not be listed: bought, hidden.
    """

    user_id: str
    items: Sequence[str]
    times: Sequence[float]
    session_start: int
    segments: tuple[str, ...]
    now: float
    excluded: Collection[str]

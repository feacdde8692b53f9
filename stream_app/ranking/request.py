"""What a list is asked with."""

from collections.abc import Collection, Sequence
from typing import NamedTuple


class RankRequest(NamedTuple):
    """The shopper as the ranker sees them.

    Attributes
    ----------
    user_id
        Who.
    items, times
        Recent items and their event times, oldest first.
    session_start
        Place in `items` where the current session begins.
    segments
        Audiences besides ``all``.
    now
        Event time of the shopper's last event, seconds since the epoch.
    excluded
        Items that may not be shown: bought, hidden.
    """

    user_id: str
    items: Sequence[str]
    times: Sequence[float]
    session_start: int
    segments: tuple[str, ...]
    now: float
    excluded: Collection[str]

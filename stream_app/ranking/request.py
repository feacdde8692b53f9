"""The input of the ranker."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from topics.records import Kind


class RankRequest(NamedTuple):
    """A user, as the ranker needs them."""

    user_id: str  # id of the user
    # items, times: recent items and their event times, oldest first
    items: Sequence[str]
    times: Sequence[float]
    session_start: int  # index in `items` of the first item of the current session
    segments: tuple[str, ...]  # segments of the user besides ``all``
    now: float  # event time of the user's last event, seconds since the epoch
    excluded: Collection[str]  # items that must not be listed: bought, hidden
    kinds: Sequence[Kind] = ()  # what the user did with each of `items`; empty if unknown

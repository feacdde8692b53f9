"""The featured user: one active user's latest events, list, and rank changes."""

from collections.abc import Callable, Sequence
from typing import Final

from topics.events import Click, Erasure, Feedback, Impression, Purchase, Search, UserEvent
from topics.records import RecommendationList

IDLE_SECONDS: Final = 10.0
"""A user who is idle for longer is replaced."""

MAX_FEATURED_SECONDS: Final = 30.0
"""A user is featured for at most this long, so that the screen shows several."""

_MAX_EVENTS: Final = 3
_MAX_CANDIDATES: Final = 5  # lists read per update to find a user who has one

UserListReader = Callable[[str], RecommendationList | None]
"""Reads a user's personal list; None if there is none."""


class FeaturedUser:
    """Chooses the most recently active user with a list, and keeps them while they are active.

    Attributes
    ----------
    user_id
        The featured user; None before the first list.
    events
        Descriptions of their latest events, newest first.
    displayed
        Their list.
    """

    def __init__(self, read: UserListReader) -> None:
        self._read = read
        self.user_id: str | None = None
        self.events: list[str] = []
        self.displayed: RecommendationList | None = None
        self._previous_ranks: dict[str, int] | None = None
        self._seen_event_ids: set[str] = set()  # of the last update, bounded by the feeder's ring buffer
        self._featured_since = self._last_active = float("-inf")

    def update(self, now: float, recent: Sequence[UserEvent]) -> None:
        """Update the user, their events and their list.

        Parameters
        ----------
        now
            Monotonic time in seconds.
        recent
            The latest events, newest last.
        """
        new_events = [event for event in recent if event.event_id not in self._seen_event_ids]
        self._seen_event_ids = {event.event_id for event in recent}
        if (
            self.user_id is None
            or now - self._last_active > IDLE_SECONDS
            or now - self._featured_since > MAX_FEATURED_SECONDS
        ):
            self._choose(now, recent)
        elif any(event.user_id == self.user_id for event in new_events):
            self._last_active = now
            self._add_events(new_events)
        if self.user_id is not None:
            self._set_list(self._read(self.user_id))

    def _choose(self, now: float, recent: Sequence[UserEvent]) -> None:
        newest_first = list(dict.fromkeys(event.user_id for event in reversed(recent)))
        candidates = [user_id for user_id in newest_first if user_id != self.user_id]
        for user_id in candidates[:_MAX_CANDIDATES]:
            user_list = self._read(user_id)
            if user_list is not None:
                self.user_id, self.displayed, self._previous_ranks, self.events = user_id, user_list, None, []
                self._featured_since = self._last_active = now
                self._add_events(recent)
                return

    def _add_events(self, events: Sequence[UserEvent]) -> None:
        descriptions = [describe_event(event) for event in reversed(events) if event.user_id == self.user_id]
        self.events = [*descriptions, *self.events][:_MAX_EVENTS]

    def _set_list(self, user_list: RecommendationList | None) -> None:
        if user_list is None or (self.displayed is not None and user_list.list_id == self.displayed.list_id):
            return
        if self.displayed is not None:
            self._previous_ranks = {item.id: rank for rank, item in enumerate(self.displayed.items)}
        self.displayed = user_list

    def rank_change(self, rank: int) -> int | None:
        """Ranks that the item at `rank` gained (positive) or lost; None if it was not on the previous list."""
        if self.displayed is None or self._previous_ranks is None:
            return 0
        previous_rank = self._previous_ranks.get(self.displayed.items[rank].id)
        return None if previous_rank is None else previous_rank - rank


def describe_event(event: UserEvent) -> str:
    """Describe an event in a few words.

    Examples
    --------
    >>> describe_event(Search(event_id="e", user_id="u", ts=0, query="tents"))
    'searched for tents'
    """
    description = "sent an event"
    match event:
        case Click():
            verb = {"cart": "added to cart", "wishlist": "wishlisted", "share": "shared"}
            description = f"{verb.get(event.action, 'viewed')} {event.item_id}"
        case Search():
            description = f"searched for {event.query}"
        case Purchase():
            description = f"bought {', '.join(line.item_id for line in event.items[:3])}"
        case Feedback():
            description = f"gave feedback “{event.kind}” on {event.item_id}"
        case Impression():
            description = "saw a list"
        case Erasure():
            description = "requested erasure"
    return description

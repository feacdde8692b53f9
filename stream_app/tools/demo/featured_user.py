"""One shopper in the light: their newest events, their list, and how it moves."""

from collections.abc import Callable, Sequence
from typing import Final

from topics.events import Click, Erasure, Feedback, Impression, Purchase, Search, UserEvent
from topics.records import RecommendationList

IDLE_SECONDS: Final = 10.0
"""A shopper who does nothing for so long leaves the light."""

STAY_SECONDS: Final = 30.0
"""Nobody stays longer, so that others are seen too."""

_EVENTS_KEPT: Final = 3
_TRIED: Final = 5  # newest shoppers asked for a list at a time

ReadList = Callable[[str], RecommendationList | None]
"""The list of a shopper, or None if there is none of their own."""


class Spotlight:
    """Chooses the most recently active shopper with a list, and stays with them while they are active.

    Parameters
    ----------
    read
        Reads a shopper's list.

    Attributes
    ----------
    user_id
        The shopper, or None at first.
    events
        Their newest events, newest first, as sentences.
    shown
        Their list.
    """

    def __init__(self, read: ReadList) -> None:
        self._read = read
        self.user_id: str | None = None
        self.events: list[str] = []
        self.shown: RecommendationList | None = None
        self._before: dict[str, int] | None = None
        self._seen: set[str] = set()  # event ids of the last look, bounded by the tally's ring
        self._chosen_at = self._active_at = float("-inf")

    def look(self, now: float, recent: Sequence[UserEvent]) -> None:
        """Take in what happened lately.

        Parameters
        ----------
        now
            Seconds of a monotonic clock.
        recent
            The newest events, newest last.
        """
        fresh = [event for event in recent if event.event_id not in self._seen]
        self._seen = {event.event_id for event in recent}
        if (
            self.user_id is None
            or now - self._active_at > IDLE_SECONDS
            or now - self._chosen_at > STAY_SECONDS
        ):
            self._choose(now, recent)
        elif any(event.user_id == self.user_id for event in fresh):
            self._active_at = now
            self._note(fresh)
        if self.user_id is not None:
            self._take(self._read(self.user_id))

    def _choose(self, now: float, recent: Sequence[UserEvent]) -> None:
        newest_first = list(dict.fromkeys(event.user_id for event in reversed(recent)))
        others = [user_id for user_id in newest_first if user_id != self.user_id]
        for user_id in others[:_TRIED]:
            found = self._read(user_id)
            if found is not None:
                self.user_id, self.shown, self._before, self.events = user_id, found, None, []
                self._chosen_at = self._active_at = now
                self._note(recent)
                return

    def _note(self, events: Sequence[UserEvent]) -> None:
        mine = [did(event) for event in reversed(events) if event.user_id == self.user_id]
        self.events = [*mine, *self.events][:_EVENTS_KEPT]

    def _take(self, found: RecommendationList | None) -> None:
        if found is None or (self.shown is not None and found.list_id == self.shown.list_id):
            return
        if self.shown is not None:
            self._before = {item.id: place for place, item in enumerate(self.shown.items)}
        self.shown = found

    def move(self, place: int) -> int | None:
        """How far the item at a place of the list rose (positive) or fell since the list before.

        Returns
        -------
        int or None
            None if it was not on the list before.
        """
        if self.shown is None or self._before is None:
            return 0
        before = self._before.get(self.shown.items[place].id)
        return None if before is None else before - place


def did(event: UserEvent) -> str:
    """What a shopper did, in words.

    Examples
    --------
    >>> did(Search(event_id="e", user_id="u", ts=0, query="tents"))
    'searched for tents'
    """
    said = "did something"
    match event:
        case Click():
            verb = {"cart": "put in the cart", "wishlist": "wishes for", "share": "shared"}
            said = f"{verb.get(event.action, 'looked at')} {event.item_id}"
        case Search():
            said = f"searched for {event.query}"
        case Purchase():
            said = f"bought {', '.join(line.item_id for line in event.items[:3])}"
        case Feedback():
            said = f"said {event.kind} of {event.item_id}"
        case Impression():
            said = "was shown a list"
        case Erasure():
            said = "asked to be forgotten"
    return said

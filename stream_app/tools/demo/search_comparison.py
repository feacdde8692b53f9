"""The latest search: what the shop found, and the order that was published for the shopper."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

import msgspec

from stream_app.client.redis_contract import SearchList, normal_query
from topics.events import Search, UserEvent
from topics.records import Reason

STAY_SECONDS: Final = 8.0
"""A search stays on the screen for so long, to be read."""

_TRIED: Final = 3  # newest searches whose list is asked for at a time

ReadSearch = Callable[[str], SearchList | None]
"""The order of a shopper's last search, or None if there is none."""


class PlacedResult(msgspec.Struct, frozen=True):
    """A place of the published order.

    Attributes
    ----------
    item_id
        What stands there.
    found_at
        Its place among what the shop found, from 1; None if Headrace brought it.
    reason
        Why it stands there.
    """

    item_id: str
    found_at: int | None
    reason: Reason


class ShownSearch(msgspec.Struct, frozen=True):
    """A search and its two orders.

    Attributes
    ----------
    user_id
        Who searched.
    query
        For what.
    found
        Item ids as the shop found them, best first.
    published
        The order for the shopper.
    """

    user_id: str
    query: str
    found: tuple[str, ...]
    published: tuple[PlacedResult, ...]

    def first(self, places: int) -> "ShownSearch":
        """The first places alone."""
        return msgspec.structs.replace(self, found=self.found[:places], published=self.published[:places])


class LatestSearch:
    """Follows the newest search whose order is in Redis.

    Parameters
    ----------
    read
        Reads the order of a shopper's last search.

    Attributes
    ----------
    shown
        The search; None at first.
    """

    def __init__(self, read: ReadSearch) -> None:
        self._read = read
        self.shown: ShownSearch | None = None
        self._event_id = ""
        self._chosen_at = float("-inf")

    def look(self, now: float, recent: Sequence[UserEvent]) -> None:
        """Take in what happened lately.

        Parameters
        ----------
        now
            Seconds of a monotonic clock.
        recent
            The newest events, newest last.
        """
        if now - self._chosen_at < STAY_SECONDS:
            return
        searches = [event for event in reversed(recent) if isinstance(event, Search)]
        for event in searches[:_TRIED]:
            if event.event_id == self._event_id:
                return  # nothing newer
            listed = self._read(event.user_id)
            if listed is not None and _answers(listed, event):
                self.shown, self._event_id, self._chosen_at = _compared(event, listed), event.event_id, now
                return


def _answers(listed: SearchList, event: Search) -> bool:
    """Whether a list is of this search, and not of one before or after."""
    at = datetime.fromisoformat(listed.generated_at).timestamp()
    return bool(listed.items) and listed.query == normal_query(event.query) and at >= event.time


def _compared(event: Search, listed: SearchList) -> ShownSearch:
    found = tuple(dict.fromkeys(event.results))
    place = {item_id: number for number, item_id in enumerate(found, start=1)}
    published = tuple(PlacedResult(item.id, place.get(item.id), item.why) for item in listed.items)
    return ShownSearch(event.user_id, event.query, found, published)

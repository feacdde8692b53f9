"""The latest search: what the shop found, and the order that was published for the shopper."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

import msgspec

from stream_app.client.redis_contract import SearchList, normalize_query
from topics.events import Search, UserEvent
from topics.records import Reason

MIN_DISPLAY_SECONDS: Final = 8.0
"""A search stays on the screen for so long, to be read."""

_MAX_CANDIDATES: Final = 3  # newest searches whose list is asked for at a time

SearchListReader = Callable[[str], SearchList | None]
"""The order of a shopper's last search, or None if there is none."""


class RankedResult(msgspec.Struct, frozen=True):
    """A place of the published order.

    Attributes
    ----------
    item_id
        What stands there.
    original_rank
        Its place among what the shop found, from 1; None if Headrace brought it.
    reason
        Why it stands there.
    """

    item_id: str
    original_rank: int | None
    reason: Reason


class SearchComparison(msgspec.Struct, frozen=True):
    """A search and its two orders.

    Attributes
    ----------
    user_id
        Who searched.
    query
        For what.
    results
        Item ids as the shop found them, best first.
    published
        The order for the shopper.
    """

    user_id: str
    query: str
    results: tuple[str, ...]
    published: tuple[RankedResult, ...]

    def first(self, n: int) -> "SearchComparison":
        """The first places alone."""
        return msgspec.structs.replace(self, results=self.results[:n], published=self.published[:n])


class LatestSearchTracker:
    """Follows the newest search whose order is in Redis.

    Parameters
    ----------
    read
        Reads the order of a shopper's last search.

    Attributes
    ----------
    displayed
        The search; None at first.
    """

    def __init__(self, read: SearchListReader) -> None:
        self._read = read
        self.displayed: SearchComparison | None = None
        self._event_id = ""
        self._displayed_since = float("-inf")

    def update(self, now: float, recent: Sequence[UserEvent]) -> None:
        """Take in what happened lately.

        Parameters
        ----------
        now
            Seconds of a monotonic clock.
        recent
            The newest events, newest last.
        """
        if now - self._displayed_since < MIN_DISPLAY_SECONDS:
            return
        searches = [event for event in reversed(recent) if isinstance(event, Search)]
        for event in searches[:_MAX_CANDIDATES]:
            if event.event_id == self._event_id:
                return  # nothing newer
            search_list = self._read(event.user_id)
            if search_list is not None and _is_for(search_list, event):
                self.displayed, self._event_id, self._displayed_since = (
                    _compare(event, search_list),
                    event.event_id,
                    now,
                )
                return


def _is_for(search_list: SearchList, event: Search) -> bool:
    """Whether a list is of this search, and not of one before or after."""
    at = datetime.fromisoformat(search_list.generated_at).timestamp()
    return bool(search_list.items) and search_list.query == normalize_query(event.query) and at >= event.time


def _compare(event: Search, search_list: SearchList) -> SearchComparison:
    results = tuple(dict.fromkeys(event.results))
    rank_of = {item_id: number for number, item_id in enumerate(results, start=1)}
    published = tuple(RankedResult(item.id, rank_of.get(item.id), item.why) for item in search_list.items)
    return SearchComparison(event.user_id, event.query, results, published)

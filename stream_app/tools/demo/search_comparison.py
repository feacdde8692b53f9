"""The latest search: the shop's order of the results, and the personal order that was published."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

import msgspec

from stream_app.client.redis_contract import SearchList, normalize_query
from topics.events import Search, UserEvent
from topics.records import Reason

MIN_DISPLAY_SECONDS: Final = 8.0
"""A search stays on the screen for at least this long."""

_MAX_CANDIDATES: Final = 3  # lists read per update to find a search that has one

SearchListReader = Callable[[str], SearchList | None]
"""Reads the list of a user's last search; None if there is none."""


class RankedResult(msgspec.Struct, frozen=True):
    """An item of the published order.

    Attributes
    ----------
    original_rank
        Its rank among the shop's results, from 1; None if Headrace added it.
    """

    item_id: str
    original_rank: int | None
    reason: Reason


class SearchComparison(msgspec.Struct, frozen=True):
    """A search and its two orders.

    Attributes
    ----------
    results
        Item ids in the shop's order, best first.
    published
        Items in the personal order.
    """

    user_id: str
    query: str
    results: tuple[str, ...]
    published: tuple[RankedResult, ...]

    def first(self, n: int) -> "SearchComparison":
        """The first `n` items of both orders."""
        return msgspec.structs.replace(self, results=self.results[:n], published=self.published[:n])


class LatestSearchTracker:
    """Follows the newest search whose list is in Redis.

    Attributes
    ----------
    displayed
        The search; None before the first.
    """

    def __init__(self, read: SearchListReader) -> None:
        self._read = read
        self.displayed: SearchComparison | None = None
        self._event_id = ""
        self._displayed_since = float("-inf")

    def update(self, now: float, recent: Sequence[UserEvent]) -> None:
        """Replace the search by a newer one that has a list; arguments as of `FeaturedUser.update`."""
        if now - self._displayed_since < MIN_DISPLAY_SECONDS:
            return
        searches = [event for event in reversed(recent) if isinstance(event, Search)]
        for event in searches[:_MAX_CANDIDATES]:
            if event.event_id == self._event_id:
                return  # no newer search
            search_list = self._read(event.user_id)
            if search_list is not None and _is_for(search_list, event):
                self.displayed, self._event_id, self._displayed_since = (
                    _compare(event, search_list),
                    event.event_id,
                    now,
                )
                return


def _is_for(search_list: SearchList, event: Search) -> bool:
    """Whether a list answers this search, not an earlier or later one."""
    at = datetime.fromisoformat(search_list.generated_at).timestamp()
    return bool(search_list.items) and search_list.query == normalize_query(event.query) and at >= event.time


def _compare(event: Search, search_list: SearchList) -> SearchComparison:
    results = tuple(dict.fromkeys(event.results))
    rank_of = {item_id: number for number, item_id in enumerate(results, start=1)}
    published = tuple(RankedResult(item.id, rank_of.get(item.id), item.why) for item in search_list.items)
    return SearchComparison(event.user_id, event.query, results, published)

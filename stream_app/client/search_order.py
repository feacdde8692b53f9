"""The order of search results by a search list, and the wait for it."""

import time
from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

import msgspec

from stream_app.client.redis_contract import SearchList, decode_search_list, normalize_query

DEFAULT_SEARCH_TIMEOUT: Final = 0.1
"""Seconds that a search waits for its ranked results."""

STALE_SEARCH_TOLERANCE: Final = 1.0
"""Seconds by which a matching list may be older than the search: clocks differ, and the event is sent earlier."""

_POLL_INTERVAL: Final = 0.005
"""Seconds between two reads while a search waits."""

_MIN_SEARCH_TIMEOUT: Final = 0.005
"""Seconds that a single read may take with timeout 0."""


class SearchOrder(NamedTuple):
    """The order of search results.

    Attributes
    ----------
    items
        Every result once, best first.
    personal
        Whether the order is ranked for this user and query; otherwise it is the original order.
    document
        The search list; None for the original order. It may contain items that are not among the results and that
        other users chose after the same query.
    """

    items: tuple[str, ...]
    personal: bool
    document: SearchList | None


def reorder_results(document: SearchList, results: Sequence[str]) -> SearchOrder:
    """Order results by a list; results that are not on the list follow in their original order.

    Examples
    --------
    >>> from topics.records import ListedItem, Reason
    >>> items = tuple(ListedItem(name, 0.5, 1.0, Reason("matches_search")) for name in ("c", "x", "a"))
    >>> document = SearchList(list_id="l", key="recs:search:{u}:Q", generated_at="2026-01-01T00:00:00.000Z",
    ...                       policy="search_rrf", model_version=1, items=items, query="tents")
    >>> reorder_results(document, ["a", "b", "c"]).items
    ('c', 'a', 'b')
    """
    result_ids = dict.fromkeys(results)
    listed = [item.id for item in document.items if item.id in result_ids]
    return SearchOrder(tuple(dict.fromkeys([*listed, *result_ids])), personal=True, document=document)


def _original_order(results: Sequence[str]) -> SearchOrder:
    return SearchOrder(tuple(dict.fromkeys(results)), personal=False, document=None)


def decode_search_list_or_none(value: bytes | None) -> SearchList | None:
    """The search list in a value of Redis; None if there is no value, or if it cannot be decoded."""
    try:
        return decode_search_list(value) if value is not None else None
    except msgspec.DecodeError:
        return None


class PendingSearch:
    """The search list that a search waits for, and a stale list to fall back to.

    Parameters
    ----------
    searched_at
        Time of the search, seconds since the epoch; None is now.
    timeout
        Seconds to wait; 0 reads once.

    Attributes
    ----------
    timeout
        Seconds that all reads together may take.
    """

    def __init__(self, query: str, results: Sequence[str], searched_at: float | None, timeout: float) -> None:
        self.timeout: Final = max(timeout, _MIN_SEARCH_TIMEOUT)
        self._deadline = time.monotonic() + timeout
        self._query = normalize_query(query)
        self._results = results
        self._min_generated_at = (
            time.time() if searched_at is None else searched_at
        ) - STALE_SEARCH_TOLERANCE
        self._stale_list: SearchList | None = None

    def match(self, value: bytes | None) -> SearchOrder | None:
        """The order by the list in `value`, if the list belongs to this search; None to read again.

        After the deadline it is the `fallback_order`.
        """
        found = decode_search_list_or_none(value)
        if found is not None and found.query == self._query:
            if not self._is_stale(found):
                return reorder_results(found, self._results)
            self._stale_list = found
        return self.fallback_order() if time.monotonic() >= self._deadline else None

    def poll_delay(self) -> float:
        """Seconds until the next read."""
        return max(0.0, min(_POLL_INTERVAL, self._deadline - time.monotonic()))

    def fallback_order(self) -> SearchOrder:
        """The order after the timeout: by a stale list of the same query, or the original order."""
        stale_list = self._stale_list
        return (
            _original_order(self._results)
            if stale_list is None
            else reorder_results(stale_list, self._results)
        )

    def _is_stale(self, found: SearchList) -> bool:
        try:
            return datetime.fromisoformat(found.generated_at).timestamp() < self._min_generated_at
        except (ValueError, OverflowError):
            return True

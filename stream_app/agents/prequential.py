"""Prequential measurement: was the next item a shopper chose on the list they had.

Test, then learn: an interaction is held against the list published before it (Dawid 1984; Gama et al. 2013).
"""

from collections import OrderedDict
from typing import Final

from stream_app.metrics import Metrics


class PublishedLists:
    """The list that each recent shopper has, and what it was worth.

    Parameters
    ----------
    metrics
        Where hits and reciprocal ranks are counted.
    limit
        Shoppers remembered; beyond it the one published longest ago is forgotten.

    Examples
    --------
    >>> lists = PublishedLists(Metrics())
    >>> lists.published("u", ("a", "b"))
    >>> lists.chose("u", "b")
    2
    """

    def __init__(self, metrics: Metrics, limit: int = 100_000) -> None:
        self._metrics = metrics
        self._limit: Final = limit
        self._lists: OrderedDict[str, tuple[str, ...]] = OrderedDict()
        self._covered: set[str] = set()

    def published(self, user_id: str, items: tuple[str, ...]) -> None:
        """Remember a list that Redis has acknowledged."""
        lists = self._lists
        lists[user_id] = items
        lists.move_to_end(user_id)
        if len(lists) > self._limit:
            lists.popitem(last=False)
        self._covered.update(items)

    def chose(self, user_id: str, item_id: str) -> int:
        """Hold an interaction against the shopper's list.

        Returns
        -------
        int
            The place of the item on it, from 1; 0 where it was not on it or there was no list.
        """
        items = self._lists.get(user_id)
        if not items:
            return 0
        self._metrics.list_requests.inc()
        if item_id not in items:
            return 0
        place = items.index(item_id) + 1
        self._metrics.list_hits.inc()
        self._metrics.list_reciprocal_rank.inc(1.0 / place)
        return place

    def forget(self, user_id: str) -> None:
        """Drop a shopper's list."""
        self._lists.pop(user_id, None)

    def report_coverage(self, known: int) -> None:
        """Set the coverage gauge against the number of `known` items."""
        if len(self._covered) > known:
            # Items were forgotten since they were listed: count the current ones anew.
            self._covered.clear()
        self._metrics.catalogue_coverage.set(len(self._covered) / known if known else 0.0)

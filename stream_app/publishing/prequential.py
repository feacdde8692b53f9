"""Prequential measurement: was the next item a shopper chose on the list they had.

Test, then learn: an interaction is held against the list published before it (Dawid 1984; Gama et al. 2013).
"""

from collections.abc import Iterable
from typing import Final

from state.list_store import PublishedListStore
from stream_app.metrics import Metrics


class PrequentialEvaluator:
    """The lists that shoppers have, and how good they were at telling what comes next.

    Parameters
    ----------
    metrics
        Where hits and reciprocal ranks are counted.
    memory
        The lists.

    Examples
    --------
    >>> from state.published_list import PublishedList
    >>> lists = PrequentialEvaluator(Metrics(), PublishedListStore())
    >>> lists.memory.add("u", 0, PublishedList("l", "fixed", 100.0, ("a", "b")))
    >>> lists.evaluate_interaction("u", "b", 101.0)
    2
    """

    def __init__(self, metrics: Metrics, memory: PublishedListStore) -> None:
        self._metrics = metrics
        self.memory: Final = memory
        self._listed_items: set[str] = set()

    def on_published(self, items: Iterable[str]) -> None:
        """Take note of the items of lists that Redis has acknowledged."""
        self._listed_items.update(items)

    def evaluate_interaction(self, user_id: str, item_id: str, ts: float) -> int:
        """Hold an interaction against the list last published to the shopper before it.

        Parameters
        ----------
        user_id, item_id
            Who chose what.
        ts
            The broker's time of it, seconds since the epoch.

        Returns
        -------
        int
            The place of the item on it, from 1; 0 where it was not on it or there was no list.
        """
        listed = self.memory.last_before(user_id, ts)
        if listed is None:
            return 0
        self._metrics.prequential_events.inc()
        rank = listed.rank(item_id) + 1
        if rank:
            self._metrics.prequential_hits.inc()
            self._metrics.prequential_reciprocal_rank.inc(1.0 / rank)
        return rank

    def report_catalog_coverage(self, n_known_items: int) -> None:
        """Set the coverage gauge against the number of `n_known_items` items."""
        if len(self._listed_items) > n_known_items:
            # Items were forgotten since they were listed: count the current ones anew.
            self._listed_items.clear()
        self._metrics.catalog_coverage.set(len(self._listed_items) / n_known_items if n_known_items else 0.0)

    def report_memory(self) -> None:
        """Set the gauges of what is remembered."""
        self._metrics.retained_lists.set(len(self.memory))
        self._metrics.retained_lists_bytes.set(self.memory.memory_bytes())

"""Prequential measurement: was the next item a shopper chose on the list they had.

Test, then learn: an interaction is held against the list published before it (Dawid 1984; Gama et al. 2013).
"""

from collections.abc import Iterable
from typing import Final

from state.list_store import ListMemory
from stream_app.metrics import Metrics


class PublishedLists:
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
    >>> lists = PublishedLists(Metrics(), ListMemory())
    >>> lists.memory.add("u", 0, PublishedList("l", "fixed", 100.0, ("a", "b")))
    >>> lists.chose("u", "b", 101.0)
    2
    """

    def __init__(self, metrics: Metrics, memory: ListMemory) -> None:
        self._metrics = metrics
        self.memory: Final = memory
        self._covered: set[str] = set()

    def published(self, items: Iterable[str]) -> None:
        """Take note of the items of lists that Redis has acknowledged."""
        self._covered.update(items)

    def chose(self, user_id: str, item_id: str, ts: float) -> int:
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
        listed = self.memory.last(user_id, ts)
        if listed is None:
            return 0
        self._metrics.list_requests.inc()
        place = listed.place(item_id) + 1
        if place:
            self._metrics.list_hits.inc()
            self._metrics.list_reciprocal_rank.inc(1.0 / place)
        return place

    def report_coverage(self, known: int) -> None:
        """Set the coverage gauge against the number of `known` items."""
        if len(self._covered) > known:
            # Items were forgotten since they were listed: count the current ones anew.
            self._covered.clear()
        self._metrics.catalogue_coverage.set(len(self._covered) / known if known else 0.0)

    def report_memory(self) -> None:
        """Set the gauges of what is remembered."""
        self._metrics.remembered_lists.set(len(self.memory))
        self._metrics.remembered_bytes.set(self.memory.memory())

"""The lists that belong to no shopper: of items, of queries, of segments, ranked in rounds when there is news."""

from collections.abc import Iterable
from itertools import islice
from typing import Final, NamedTuple

from stream_app.client.redis_contract import (
    GLOBAL_SEGMENT,
    MAX_QUERY_LENGTH,
    item_key,
    normalize_query,
    popular_key,
    query_key,
)
from stream_app.publishing.list_documents import build_document
from stream_app.publishing.publisher import Document
from stream_app.ranking.ranker import Ranker

_CYCLE_SIZE: Final = 25
"""Most items, most queries and most segments of a round."""

_BACKLOG_INTERVAL_FACTOR: Final = 0.6
"""Part of the interval after which the next round comes while more waits than fits in one."""

_OVERLOAD_INTERVAL_FACTOR: Final = 5
"""Intervals between two rounds while shoppers wait in numbers."""

_MAX_STALE: Final = 200_000


class RefreshCycle(NamedTuple):
    """What a round ranked.

    Attributes
    ----------
    items, queries, segments
        Whose lists are among the documents.
    documents
        The lists.
    """

    items: list[str]
    queries: list[str]
    segments: list[str]
    documents: list[Document]


EMPTY_CYCLE: Final = RefreshCycle([], [], [], [])


class SharedListRefresh:
    """Remembers what has news, bounded, in the order it came, and ranks a part of it at a time.

    Parameters
    ----------
    ranker
        Ranks.
    interval
        Seconds between two rounds.

    Attributes
    ----------
    due
        When the next round may be, seconds since the epoch.
    """

    def __init__(self, ranker: Ranker, interval: float) -> None:
        self._ranker = ranker
        self._interval = interval
        self._stale_items: dict[str, None] = {}
        self._stale_queries: dict[str, None] = {}
        self._stale_segments: dict[str, None] = {}
        self.due = 0.0

    def __bool__(self) -> bool:
        """Whether anything has news."""
        return bool(self._stale_items or self._stale_queries or self._stale_segments)

    @property
    def stale_items(self) -> int:
        """Items whose list waits."""
        return len(self._stale_items)

    def invalidate(self, items: Iterable[str], segments: Iterable[str]) -> None:
        """Note news of items and segments, and so of the overall list."""
        for item in items:
            self._stale_items.setdefault(item)
            if len(self._stale_items) > _MAX_STALE:
                del self._stale_items[next(iter(self._stale_items))]
        self._stale_segments.setdefault(GLOBAL_SEGMENT)
        for segment in segments:
            if len(self._stale_segments) < _MAX_STALE:
                self._stale_segments.setdefault(segment)

    def invalidate_query(self, query: str) -> None:
        """Note news of a query; none is kept of one without words or beyond `MAX_QUERY_LENGTH` characters."""
        normalized = normalize_query(query)
        if normalized and len(normalized) <= MAX_QUERY_LENGTH:
            self._stale_queries.setdefault(normalized)
            if len(self._stale_queries) > _MAX_STALE:
                del self._stale_queries[next(iter(self._stale_queries))]

    def rank(self, now: float, generated_at: str, *, overloaded: bool = False) -> RefreshCycle:
        """Rank the lists of a round, if one is due; while shoppers wait in numbers they come first."""
        extra_delay = (_OVERLOAD_INTERVAL_FACTOR - 1) * self._interval if overloaded else 0.0
        if not self or now < self.due + extra_delay:
            return EMPTY_CYCLE
        # What waits in numbers is worked off between the shoppers' lists; a few wait for their round.
        backlogged = (
            max(len(self._stale_items), len(self._stale_queries), len(self._stale_segments)) > _CYCLE_SIZE
        )
        self.due = now + self._interval * (_BACKLOG_INTERVAL_FACTOR if backlogged else 1.0)
        cycle = RefreshCycle([], [], [], [])
        for item_id in _pop_first(self._stale_items, _CYCLE_SIZE):
            ranked = self._ranker.rank_item(item_id)
            # Where all that goes with it is gone an empty list takes the place of the one before.
            if ranked.items or self._ranker.has_related_items(item_id):
                cycle.items.append(item_id)
                cycle.documents.append(build_document(item_key(item_id), ranked, generated_at))
        for query in _pop_first(self._stale_queries, _CYCLE_SIZE):
            ranked = self._ranker.rank_query(query)
            if ranked.items:
                cycle.queries.append(query)
                cycle.documents.append(build_document(query_key(query), ranked, generated_at, query=query))
        for segment in _pop_first(self._stale_segments, _CYCLE_SIZE):
            ranked = self._ranker.rank_segment(segment)
            cycle.segments.append(segment)
            cycle.documents.append(build_document(popular_key(segment), ranked, generated_at))
        return cycle

    def requeue(self, cycle: RefreshCycle) -> None:
        """Take back a round that was not acknowledged; the next may be at once."""
        if cycle.documents:
            self.due = 0.0
            if cycle.items or cycle.segments:
                self.invalidate(cycle.items, cycle.segments)
            for query in cycle.queries:
                self.invalidate_query(query)


def _pop_first(stale: dict[str, None], limit: int) -> list[str]:
    first = list(islice(stale, limit))
    for each in first:
        del stale[each]
    return first

"""The lists that belong to no shopper: of items, of queries, of segments, ranked in rounds when there is news."""

from collections.abc import Iterable
from itertools import islice
from typing import Final, NamedTuple

from stream_app.client.redis_contract import (
    MAX_QUERY,
    OVERALL,
    item_key,
    normal_query,
    popular_key,
    query_key,
)
from stream_app.publishing.list_documents import document_of
from stream_app.publishing.publisher import Document
from stream_app.ranking.ranker import Ranker

_A_ROUND: Final = 25
"""Most items, most queries and most segments of a round."""

_CATCHING_UP: Final = 0.6
"""Part of the interval after which the next round comes while more waits than fits in one."""

_IN_HURRY: Final = 5
"""Intervals between two rounds while shoppers wait in numbers."""

_MAX_TOUCHED: Final = 200_000


class Round(NamedTuple):
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


NO_ROUND: Final = Round([], [], [], [])


class Rounds:
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
        self._items: dict[str, None] = {}
        self._queries: dict[str, None] = {}
        self._segments: dict[str, None] = {}
        self.due = 0.0

    def __bool__(self) -> bool:
        """Whether anything has news."""
        return bool(self._items or self._queries or self._segments)

    @property
    def items_waiting(self) -> int:
        """Items whose list waits."""
        return len(self._items)

    def touch(self, items: Iterable[str], segments: Iterable[str]) -> None:
        """Note news of items and segments, and so of the overall list."""
        for item in items:
            self._items.setdefault(item)
            if len(self._items) > _MAX_TOUCHED:
                del self._items[next(iter(self._items))]
        self._segments.setdefault(OVERALL)
        for segment in segments:
            if len(self._segments) < _MAX_TOUCHED:
                self._segments.setdefault(segment)

    def touch_query(self, query: str) -> None:
        """Note news of a query; none is kept of one without words or beyond `MAX_QUERY` characters."""
        normal = normal_query(query)
        if normal and len(normal) <= MAX_QUERY:
            self._queries.setdefault(normal)
            if len(self._queries) > _MAX_TOUCHED:
                del self._queries[next(iter(self._queries))]

    def rank(self, now: float, generated_at: str, *, hurry: bool = False) -> Round:
        """Rank the lists of a round, if one is due; while shoppers wait in numbers they come first."""
        wait = (_IN_HURRY - 1) * self._interval if hurry else 0.0
        if not self or now < self.due + wait:
            return NO_ROUND
        # What waits in numbers is worked off between the shoppers' lists; a few wait for their round.
        many = max(len(self._items), len(self._queries), len(self._segments)) > _A_ROUND
        self.due = now + self._interval * (_CATCHING_UP if many else 1.0)
        done = Round([], [], [], [])
        for item_id in _taken(self._items, _A_ROUND):
            ranked = self._ranker.rank_item(item_id)
            # Where all that goes with it is gone an empty list takes the place of the one before.
            if ranked.items or self._ranker.goes_with_something(item_id):
                done.items.append(item_id)
                done.documents.append(document_of(item_key(item_id), ranked, generated_at))
        for query in _taken(self._queries, _A_ROUND):
            ranked = self._ranker.rank_query(query)
            if ranked.items:
                done.queries.append(query)
                done.documents.append(document_of(query_key(query), ranked, generated_at, query=query))
        for segment in _taken(self._segments, _A_ROUND):
            ranked = self._ranker.rank_segment(segment)
            done.segments.append(segment)
            done.documents.append(document_of(popular_key(segment), ranked, generated_at))
        return done

    def put_back(self, done: Round) -> None:
        """Take back a round that was not acknowledged; the next may be at once."""
        if done.documents:
            self.due = 0.0
            if done.items or done.segments:
                self.touch(done.items, done.segments)
            for query in done.queries:
                self.touch_query(query)


def _taken(waiting: dict[str, None], most: int) -> list[str]:
    taken = list(islice(waiting, most))
    for each in taken:
        del waiting[each]
    return taken

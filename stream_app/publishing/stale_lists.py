"""The item, query and segment lists that wait for a refresh cycle."""

from collections.abc import Iterable
from itertools import islice
from math import inf
from typing import Final, NamedTuple

from stream_app.client.redis_contract import GLOBAL_SEGMENT, MAX_QUERY_LENGTH, normalize_query

_CYCLE_SIZE: Final = 25
"""Largest number of items, of queries and of segments in one cycle."""

_BACKLOG_INTERVAL_FACTOR: Final = 0.6
"""Fraction of the interval until the next cycle while more lists are stale than one cycle takes."""

_OVERLOAD_INTERVAL_FACTOR: Final = 5
"""Intervals between two cycles during an overload."""

_MAX_STALE: Final = 200_000
"""Bound on the stale items, on the stale queries and on the stale segments."""


class StaleBatch(NamedTuple):
    """The items, queries and segments whose lists one cycle refreshes."""

    items: list[str]
    queries: list[str]
    segments: list[str]


NOTHING_STALE: Final = StaleBatch([], [], [])


class StaleSharedLists:
    """The stale shared lists, in the order in which they became stale.

    Parameters
    ----------
    interval
        Seconds between two cycles.

    Attributes
    ----------
    due
        When the next cycle may begin, seconds of a monotonic timer.

    Examples
    --------
    >>> stale_lists = StaleSharedLists(interval=0.25)
    >>> stale_lists.invalidate(["shoe"], ["country:FR"])
    >>> stale_lists.pop(now=100.0)
    StaleBatch(items=['shoe'], queries=[], segments=['all', 'country:FR'])
    """

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._items: dict[str, None] = {}
        self._queries: dict[str, None] = {}
        self._segments: dict[str, None] = {}
        self.due = 0.0

    def __bool__(self) -> bool:
        """Whether any list is stale."""
        return bool(self._items or self._queries or self._segments)

    @property
    def n_items(self) -> int:
        """Number of stale item lists."""
        return len(self._items)

    @property
    def next_due(self) -> float:
        """When the next cycle is due, seconds of the timer; infinity if no list is stale."""
        return self.due if self else inf

    def is_stale(self, item: str) -> bool:
        """Whether the list of an item waits for a cycle."""
        return item in self._items

    def invalidate(self, items: Iterable[str], segments: Iterable[str]) -> None:
        """Mark the lists of items, of segments and of segment ``all`` stale."""
        for item in items:
            self._items.setdefault(item)
            if len(self._items) > _MAX_STALE:
                del self._items[next(iter(self._items))]
        self._segments.setdefault(GLOBAL_SEGMENT)
        for segment in segments:
            if len(self._segments) < _MAX_STALE:
                self._segments.setdefault(segment)

    def invalidate_query(self, query: str) -> None:
        """Mark the list of a query stale, unless it is blank or longer than `MAX_QUERY_LENGTH` characters."""
        normalized = normalize_query(query)
        if normalized and len(normalized) <= MAX_QUERY_LENGTH:
            self._queries.setdefault(normalized)
            if len(self._queries) > _MAX_STALE:
                del self._queries[next(iter(self._queries))]

    def pop(self, now: float, *, overloaded: bool = False) -> StaleBatch:
        """Remove and return the stale lists of one cycle, if one is due; users' lists come first in an overload."""
        extra_delay = (_OVERLOAD_INTERVAL_FACTOR - 1) * self._interval if overloaded else 0.0
        if not self or now < self.due + extra_delay:
            return NOTHING_STALE
        # A backlog is worked off between the users' lists; a few stale lists wait for the whole interval.
        backlogged = max(len(self._items), len(self._queries), len(self._segments)) > _CYCLE_SIZE
        self.due = now + self._interval * (_BACKLOG_INTERVAL_FACTOR if backlogged else 1.0)
        return StaleBatch(
            _pop_first(self._items, _CYCLE_SIZE),
            _pop_first(self._queries, _CYCLE_SIZE),
            _pop_first(self._segments, _CYCLE_SIZE),
        )

    def requeue(self, stale: StaleBatch) -> None:
        """Mark the lists of a failed cycle stale again, ahead of later ones; the next cycle is due at once."""
        if any(stale):
            self.due = 0.0
            self._items = dict.fromkeys(stale.items) | self._items
            self._queries = dict.fromkeys(stale.queries) | self._queries
            self._segments = dict.fromkeys(stale.segments) | self._segments


def _pop_first(stale: dict[str, None], limit: int) -> list[str]:
    first = list(islice(stale, limit))
    for each in first:
        del stale[each]
    return first

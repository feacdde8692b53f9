"""Degraded ranking: load shedding by cheaper lists, and the re-ranking of the users who got one.

During an overload users are ranked by fewer models: a good list in time is better than the best list late. Users
served a degraded list are re-ranked after at least one second, up to 16 per flush, once no events are queued.
"""

from itertools import islice
from math import inf
from typing import Final, NamedTuple

RERANKED_PER_FLUSH: Final = 16
"""Re-ranked users in one flush: few, so that users with new events do not wait for them."""

MIN_DEGRADED_AGE: Final = 1.0
"""Seconds from a degraded list to the re-ranking: a short pause in a burst of events is not its end."""


class FlushMode(NamedTuple):
    """How a flush ranks.

    Attributes
    ----------
    overloaded
        Whether as many events or users are queued as a flush takes; then no user is re-ranked.
    lasting
        Whether that is so for the second flush in a row; then models and rankers learn a sample.
    degraded
        Whether users with events get degraded lists.
    """

    overloaded: bool
    lasting: bool
    degraded: bool


class _DegradedList(NamedTuple):
    at: float
    search: bool


class DegradedRanking:
    """Decides which flushes rank degraded lists, and schedules the re-ranking of the users who got one.

    Parameters
    ----------
    max_pending
        Largest number of users that wait for a re-ranking; beyond it the longest waiting are dropped.

    Attributes
    ----------
    evicted
        Users that were dropped.

    Examples
    --------
    >>> degraded_ranking = DegradedRanking(flush_users=2)
    >>> degraded_ranking.start_flush(full=True, backlog=0)
    FlushMode(overloaded=True, lasting=False, degraded=False)
    >>> degraded_ranking.start_flush(full=True, backlog=0)
    FlushMode(overloaded=True, lasting=True, degraded=True)
    >>> degraded_ranking.schedule("u", now=100.0)
    >>> degraded_ranking.due_users(now=100.5), degraded_ranking.due_users(now=101.0)
    ([], ['u'])
    """

    def __init__(self, *, enabled: bool = True, flush_users: int = 128, max_pending: int = 1_000_000) -> None:
        self._enabled = enabled
        self._flush_users = flush_users
        self._max_pending = max_pending
        self._was_overloaded = False
        # The longest waiting user first.
        self._waiting: dict[str, _DegradedList] = {}
        self.evicted = 0

    def __len__(self) -> int:
        """Number of users that wait for a re-ranking."""
        return len(self._waiting)

    def start_flush(self, *, full: bool, backlog: int) -> FlushMode:
        """Decide how the next flush ranks: degraded from the second overloaded flush in a row.

        Parameters
        ----------
        full
            Whether as many users are pending as a flush takes.
        backlog
            Events that were read from Kafka and not handled yet: to handle them takes time as well.
        """
        overloaded = full or backlog >= self._flush_users
        lasting = overloaded and self._was_overloaded
        self._was_overloaded = overloaded
        return FlushMode(overloaded, lasting, self._enabled and lasting)

    def schedule(self, user_id: str, now: float, *, search: bool = False) -> None:
        """Schedule the re-ranking of a user who gets a degraded list, and of their search list if `search`."""
        self._waiting[user_id] = _DegradedList(now, search)
        if len(self._waiting) > self._max_pending:
            del self._waiting[next(iter(self._waiting))]
            self.evicted += 1

    def schedule_search(self, user_id: str, now: float) -> None:
        """Schedule the re-ranking of a user and their search list, unless a re-ranking is scheduled already."""
        self._waiting.setdefault(user_id, _DegradedList(now, search=True))

    def pop(self, user_id: str) -> bool:
        """Cancel the re-ranking of a user; return whether their search list was to be re-ranked."""
        waiting = self._waiting.pop(user_id, None)
        return waiting is not None and waiting.search

    def due_users(self, now: float) -> list[str]:
        """The users to re-rank now, the longest waiting first; they stay scheduled until `pop`."""
        oldest = islice(self._waiting.items(), RERANKED_PER_FLUSH)
        return [user for user, waiting in oldest if now >= waiting.at + MIN_DEGRADED_AGE]

    @property
    def next_due(self) -> float:
        """When the next re-ranking is due, seconds of the timer; infinity if none is scheduled."""
        return next(iter(self._waiting.values())).at + MIN_DEGRADED_AGE if self._waiting else inf

"""The queue of pending work: users, their searches, shared lists, erasures; and the back-pressure on consumers.

The queue decides nothing by itself and reads no clock. Its four flags are `asyncio.Event`s, which the queue sets and
clears and tasks wait on.
"""

import asyncio
from collections.abc import Iterable
from itertools import islice
from typing import Final

from stream_app.publishing.acknowledged_work import AcknowledgedWork
from stream_app.publishing.pending_set import PendingSet
from stream_app.publishing.stale_lists import StaleSharedLists

_BYTES_PER_USER: Final = 350
"""An id, the times of some events, and their entry."""

_DELETIONS_PER_FLUSH: Final = 1_000
"""Lists of queries that one pipeline deletes, and erased users whose lists it deletes besides the erased users who
have a list in it."""


class PendingQueue:
    """The work of the next flushes.

    Parameters
    ----------
    max_pending
        Bound on pending users, beyond which the longest waiting are evicted, and on pending erasures, beyond which
        consumers wait.
    shared_list_interval
        Seconds between two refresh cycles of shared lists.

    Attributes
    ----------
    work_available
        Set when work arrives; the flush loop clears it.
    full
        Set while as many users are pending as one flush takes.
    has_capacity
        Set while consumers may mark more users as pending.
    idle
        Set by the flush loop when all users and erasures are acknowledged.
    acknowledged
        What the flush loop published and deleted lately.
    n_holds
        How often `hold_users` was called.

    Examples
    --------
    >>> queue = PendingQueue(flush_users=2)
    >>> queue.mark_pending("ann", 100.0)
    >>> queue.mark_search_pending("bob", 101.0)
    >>> queue.full.is_set(), queue.has_capacity.is_set()
    (True, False)
    >>> queue.pop_users()
    {'ann': (100.0,), 'bob': (101.0,)}
    """

    def __init__(
        self, *, flush_users: int = 128, max_pending: int = 1_000_000, shared_list_interval: float = 0.25
    ) -> None:
        self._flush_users = flush_users
        self._max_pending = max_pending
        # With a bound below the flush size a full flush is never reached: the bound is used instead.
        self._full_size = min(flush_users, max_pending)
        self._users = PendingSet(max_pending)
        self._searches: dict[str, float] = {}
        self._erasures: dict[str, int] = {}
        self._erasure_serial = 0
        self._withdrawn_queries: dict[str, None] = {}
        self._backlog = 0
        self._store_available = True
        self._is_holding = False
        self.n_holds = 0
        self.acknowledged: Final = AcknowledgedWork(max_pending)
        self.shared_lists: Final = StaleSharedLists(shared_list_interval)
        self.work_available: Final = asyncio.Event()
        self.full: Final = asyncio.Event()
        self.has_capacity: Final = asyncio.Event()
        self.has_capacity.set()
        self.idle: Final = asyncio.Event()
        self.idle.set()

    def __bool__(self) -> bool:
        """Whether users that are not held, erasures or withdrawn queries are pending."""
        has_users = bool(self._users) and not self._is_holding
        return has_users or bool(self._erasures or self._withdrawn_queries)

    @property
    def n_users(self) -> int:
        """Number of pending users."""
        return len(self._users)

    @property
    def n_erasures(self) -> int:
        """Number of pending erasures."""
        return len(self._erasures)

    @property
    def n_withdrawn_queries(self) -> int:
        """Number of queries whose lists are to be deleted."""
        return len(self._withdrawn_queries)

    @property
    def evicted(self) -> int:
        """Number of users evicted so far because the queue was full."""
        return self._users.evicted

    def mark_pending(self, user_id: str, *received: float) -> None:
        """Mark a user as pending, with the broker's times of the events that the next list must reflect."""
        self._users.add(user_id, *received)
        n_users = len(self._users)
        if n_users == 1:
            self.idle.clear()
            self.work_available.set()
        if n_users >= self._full_size and not self.full.is_set():
            self.full.set()
            self._apply_back_pressure()

    def mark_search_pending(self, user_id: str, received: float) -> None:
        """Mark a user as pending after a search: the next flush ranks the search results as well.

        Parameters
        ----------
        received
            The broker's time of the search.
        """
        self._searches[user_id] = received
        if len(self._searches) > self._max_pending:
            del self._searches[next(iter(self._searches))]
        self.mark_pending(user_id, received)

    def invalidate(self, items: Iterable[str], segments: Iterable[str]) -> None:
        """Mark the lists of items, of segments and of segment ``all`` stale."""
        if not self.shared_lists:
            self.work_available.set()
        self.shared_lists.invalidate(items, segments)

    def invalidate_query(self, query: str) -> None:
        """Mark the list of a query stale."""
        if not self.shared_lists:
            self.work_available.set()
        self.shared_lists.invalidate_query(query)

    def withdraw_queries(self, queries: Iterable[str]) -> None:
        """Delete the lists of queries with the next flush, unless they may be published again by then."""
        self._withdrawn_queries |= dict.fromkeys(queries)
        if self._withdrawn_queries:
            self.idle.clear()
            self.work_available.set()
        while len(self._withdrawn_queries) > self._max_pending:
            del self._withdrawn_queries[next(iter(self._withdrawn_queries))]

    def pop_withdrawn_queries(self) -> list[str]:
        """Remove and return the queries whose lists the next flush deletes."""
        queries = list(islice(self._withdrawn_queries, _DELETIONS_PER_FLUSH))
        for query in queries:
            del self._withdrawn_queries[query]
        return queries

    @property
    def is_holding(self) -> bool:
        """Whether users stay pending until `release_users`."""
        return self._is_holding

    def hold_users(self) -> None:
        """Let users stay pending: the partitions were revoked, and their rows may be older than those of others."""
        self._is_holding = True
        self.n_holds += 1

    def release_users(self) -> None:
        """Let flushes take users: the rows of the partitions of this worker are the newest."""
        self._is_holding = False
        self.work_available.set()

    def pop_users(self) -> dict[str, tuple[float, ...]]:
        """Remove and return the users of the next flush, the longest waiting first, with their events' times."""
        if self._is_holding:
            return {}
        users = self._users.pop_oldest(self._flush_users)
        if len(self._users) < self._full_size:
            self.full.clear()
        self._apply_back_pressure()
        return users

    def pop_search(self, user_id: str) -> float | None:
        """Remove the pending search of a user and return the broker's time of it; None if there is none."""
        return self._searches.pop(user_id, None)

    def pop_backlog(self) -> int:
        """The backlog given by the last `wait_for_capacity`, once: it is out of date after a flush."""
        backlog, self._backlog = self._backlog, 0
        return backlog

    def requeue(self, users: dict[str, tuple[float, ...]], searches: dict[str, float]) -> None:
        """Return the users and searches of a failed flush, ahead of later ones."""
        self._users.requeue(users)
        for user_id, received in searches.items():
            self._searches.setdefault(user_id, received)

    def is_pending(self, user_id: str) -> bool:
        """Whether the next flushes publish the lists of a user."""
        return user_id in self._users

    def erase(self, user_id: str) -> None:
        """Cancel the pending lists of a user, and delete their lists from Redis with the next flush."""
        self._users.discard(user_id)
        self._searches.pop(user_id, None)
        self.add_erasure(user_id)

    def add_erasure(self, user_id: str) -> None:
        """Delete the lists of a user from Redis with the next flush."""
        self._erasure_serial += 1
        self._erasures[user_id] = self._erasure_serial
        self.idle.clear()
        self.work_available.set()
        self._apply_back_pressure()

    def drop_erasures(self) -> None:
        """Drop all pending erasures: the next owner of the partitions finds them in the rows."""
        self._erasures.clear()
        self.acknowledged.clear()
        self._apply_back_pressure()

    def repeat_acknowledged(self) -> None:
        """Publish and delete once more what the store acknowledged lately: it may have lost it."""
        done = self.acknowledged
        for user_id in done.erasures:
            self.add_erasure(user_id)
        self.withdraw_queries(done.queries)
        # An erased user may have returned: the erasure is repeated before the list.
        for user_id in (*done.erasures, *done.users):
            self.mark_pending(user_id)

    def is_erasure_pending(self, user_id: str) -> bool:
        """Whether the lists of a user are still to be deleted."""
        return user_id in self._erasures

    def erasures_of(self, users: Iterable[str]) -> dict[str, int]:
        """The pending erasures of some users, each with its serial number."""
        return {user: self._erasures[user] for user in users if user in self._erasures}

    def erased_since(self, users: Iterable[str], erasures: dict[str, int]) -> set[str]:
        """Those of some users with an erasure that is not among earlier `erasures_of` them."""
        pending = self._erasures
        return {user for user in users if user in pending and erasures.get(user) != pending[user]}

    def next_erasures(self, erasures: dict[str, int]) -> dict[str, int]:
        """The erasures that the next pipeline carries out.

        Parameters
        ----------
        erasures
            Erasures of users with a list in that pipeline. They are included, whatever their position in the queue:
            the lists from before the erasure must go before the list from after it is written.
        """
        following = dict(islice(self._erasures.items(), _DELETIONS_PER_FLUSH))
        return following | {user: serial for user, serial in erasures.items() if user in self._erasures}

    def complete_erasures(self, erasures: dict[str, int]) -> list[str]:
        """Remove erasures that Redis acknowledged, except of users who were erased again since.

        Returns
        -------
        list of str
            The users of the removed erasures.
        """
        completed = [user for user, serial in erasures.items() if self._erasures.get(user) == serial]
        for user in completed:
            del self._erasures[user]
        self._apply_back_pressure()
        return completed

    @property
    def store_available(self) -> bool:
        """Whether Redis acknowledged the last flush."""
        return self._store_available

    @store_available.setter
    def store_available(self, available: bool) -> None:
        self._store_available = available
        self._apply_back_pressure()

    def memory(self) -> int:
        """Bytes held, to within some percent."""
        return _BYTES_PER_USER * (len(self._users) + len(self._erasures))

    async def wait_for_capacity(self, backlog: int = 0) -> None:
        """Wait until the queue has capacity for more users.

        Parameters
        ----------
        backlog
            Events that were read from Kafka and not handled yet.
        """
        self._backlog = backlog
        if not self.has_capacity.is_set():
            await self.has_capacity.wait()

    def _apply_back_pressure(self) -> None:
        """Set or clear `has_capacity`.

        While Redis is unavailable events are consumed, since the longest waiting users are evicted. Erasures are
        never evicted: beyond the bound nothing is consumed until Redis returns.
        """
        full = len(self._users) >= self._full_size and self._store_available
        if full or len(self._erasures) >= self._max_pending:
            self.has_capacity.clear()
        else:
            self.has_capacity.set()

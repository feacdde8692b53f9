"""Publishes every list again when Redis has lost them, at a bounded rate and behind the users with fresh events.

The sentinel (`stream_app.publishing.sentinel`) tells which partitions lack lists. Their rows are read in passes: each
pass selects the most recently active users that were not published yet, as many as memory may hold, and hands them to
the pending queue in small portions, whenever few users are pending. Shared lists are handed over in the same way: the
segments first, then the items whose hash belongs to one of the partitions, so that the workers share the work. Of the
queries, those are published that rows still hold.

When all of them are acknowledged, the partitions are marked complete in the store. A new epoch, a rebalance, or a
pending user who was evicted meanwhile starts the work anew.
"""

import asyncio
import heapq
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import islice
from typing import Final, NamedTuple

from state.row import UserRow
from state.user_rows import DamagedStoreError, StoreError, UserRowStore
from stream_app.metrics import PublishingMetrics
from stream_app.models.item_index import ItemIndex
from stream_app.models.model_set import ModelSet
from stream_app.publishing.flush_loop import FlushLoop
from stream_app.publishing.publisher import PublisherUnavailableError
from stream_app.publishing.sentinel import Sentinel

_LOG: Final = logging.getLogger(__name__)

_SCAN_BATCH: Final = 100
"""Rows or items read before other tasks run."""

_ITEMS_PER_SLOT: Final = 25
"""Items handed over at a time: as many as a refresh cycle of shared lists publishes."""


class Pace(NamedTuple):
    """How fast lists are published again.

    Attributes
    ----------
    users_per_second
        Largest number of users per second.
    max_pending
        Number of pending users from which on no more are handed over.
    check_seconds, slot_seconds
        Seconds between two checks of the sentinel, and between two portions.
    pass_users
        Users whose ids are held in memory at a time.
    """

    users_per_second: int
    max_pending: int
    check_seconds: float = 1.0
    slot_seconds: float = 0.05
    pass_users: int = 50_000


class _InterruptedError(Exception):
    """The partitions moved, or another epoch began."""


class _Work:
    """One republication: the assignment, the partitions that lack lists, the epoch, and the progress."""

    def __init__(self, owned: frozenset[int], partitions: frozenset[int], epoch: str) -> None:
        self.owned: Final = owned
        self.partitions: Final = partitions
        self.epoch: Final = epoch
        self.n_users = 0
        self.n_published = 0
        self.checked_at = time.monotonic()
        self.budget = 0.0
        # No user and no item have an empty id.
        self.last_user = self.last_item = ""

    @property
    def n_remaining(self) -> int:
        """Users that still wait; users who are new since the count are not included."""
        return max(0, self.n_users - self.n_published)


class FullRepublication:
    """Follows the sentinel, and publishes the lists of partitions that lack them.

    Parameters
    ----------
    owned
        The assigned partitions, as another object after each assignment; empty while no events are processed.
    """

    def __init__(
        self,
        sentinel: Sentinel,
        rows: UserRowStore,
        flush_loop: FlushLoop,
        models: ModelSet,
        metrics: PublishingMetrics,
        owned: Callable[[], frozenset[int]],
        pace: Pace,
    ) -> None:
        self._sentinel = sentinel
        self._rows = rows
        self._flush_loop = flush_loop
        self._queue = flush_loop.queue
        self._models = models
        self._metrics = metrics
        self._owned = owned
        self._pace = pace
        self.on_complete: Callable[[], None] = _do_nothing
        """Called when all lists are published again and the store knows it; set by the worker."""

    async def run(self) -> None:
        """Check the sentinel for ever, and publish what is missing."""
        while True:
            await self.check()
            await asyncio.sleep(self._pace.check_seconds)

    async def check(self) -> None:
        """Check the sentinel once; publish the lists of the partitions that lack them."""
        owned = self._owned()
        if not owned:
            return
        try:
            state = await self._sentinel.check()
            lacking = owned - state.complete
            if lacking:
                await self._publish_all(_Work(owned, lacking, state.epoch))
        except DamagedStoreError:
            raise
        except (PublisherUnavailableError, StoreError, _InterruptedError):
            # The flush loop reports an unavailable Redis, and the agent a full disk. The next check starts anew.
            self._metrics.republication_users.set(0)

    async def _publish_all(self, work: _Work) -> None:
        evicted = self._queue.evicted
        items = self._item_portions(work)
        async for user_ids in self._most_recent_first(work):
            if not work.n_published:
                self._start(work)
            await self._hand_over_users(work, user_ids, items)
        for portion in items:
            while self._queue.shared_lists.n_items >= _ITEMS_PER_SLOT:
                await self._next_slot(work)
            self._hand_over_items(work, portion)
            await asyncio.sleep(0)
        await self._wait_until_acknowledged(work)
        if self._queue.evicted != evicted:
            # Some of these users may be among the evicted ones.
            raise _InterruptedError
        await self._sentinel.mark_complete(work.partitions, work.epoch)
        self.on_complete()
        self._metrics.republication_users.set(0)
        if work.n_users:
            _LOG.info(
                "the lists of %d users in %d partitions are in Redis again",
                work.n_users,
                len(work.partitions),
            )

    def _start(self, work: _Work) -> None:
        _LOG.warning(
            "Redis lacks lists: it is new, was emptied, or `headrace republish` was run; publishing the lists of %d "
            "users in %d partitions, at most %d per second",
            work.n_users,
            len(work.partitions),
            self._pace.users_per_second,
        )
        self._metrics.republications.inc()
        # A page shows these while the list of its user is missing.
        self._queue.invalidate((), self._models.segments())

    async def _hand_over_users(self, work: _Work, user_ids: list[str], items: Iterator[list[str]]) -> None:
        """Hand over users at the pace, and some items with each portion."""
        at = 0
        while at < len(user_ids):
            for user_id in user_ids[at : (at := at + await self._next_allowance(work))]:
                self._queue.mark_pending(user_id)
                for search in self._rows.get(user_id).queries:
                    self._queue.invalidate_query(search.query)
                work.n_published += 1
                work.last_user = user_id
            if self._queue.shared_lists.n_items < _ITEMS_PER_SLOT:
                self._hand_over_items(work, next(items, []))

    def _hand_over_items(self, work: _Work, items: list[str]) -> None:
        if items:
            self._queue.invalidate(items, ())
            work.last_item = items[-1]

    async def _most_recent_first(self, work: _Work) -> AsyncIterator[list[str]]:
        """Yield the users with events, most recently active first, as many at a time as memory may hold."""
        last: tuple[float, str] | None = None
        while True:
            # The least recent user first.
            newest: list[tuple[float, str]] = []
            n_users = 0
            async for user_id, row in self._scan(work):
                n_users += 1
                entry = (row.last_ts, user_id)
                if last is not None and entry >= last:
                    # Published by an earlier pass, or by an event since then.
                    continue
                if len(newest) < self._pace.pass_users:
                    heapq.heappush(newest, entry)
                else:
                    heapq.heappushpop(newest, entry)
            work.n_users = work.n_users or n_users
            if not newest:
                return
            last = newest[0]
            yield [user_id for _, user_id in sorted(newest, reverse=True)]

    async def _scan(self, work: _Work) -> AsyncIterator[tuple[str, UserRow]]:
        for at, (user_id, row) in enumerate(self._rows.scan()):
            if row.counts.total and self._rows.partition_of(user_id) in work.partitions:
                yield user_id, row
            if at % _SCAN_BATCH == 0:
                await asyncio.sleep(0)
            if self._owned() is not work.owned:
                raise _InterruptedError

    def _item_portions(self, work: _Work) -> Iterator[list[str]]:
        """The items whose hash belongs to one of the partitions, in portions that may be empty."""
        index = self._models.index
        numbers = iter(range(index.size))
        while chunk := list(islice(numbers, _ITEMS_PER_SLOT)):
            yield [
                item_id
                for item_id in _known(index, chunk)
                if self._rows.partition_of(item_id) in work.partitions
            ]

    async def _next_allowance(self, work: _Work) -> int:
        """Wait until users may be handed over, and return how many: at least one."""
        while work.budget < 1.0:
            await self._next_slot(work)
            if self._queue.store_available and self._queue.n_users < self._pace.max_pending:
                work.budget += self._pace.users_per_second * self._pace.slot_seconds
        n_users = int(work.budget)
        work.budget -= n_users
        return min(n_users, self._pace.max_pending)

    async def _next_slot(self, work: _Work) -> None:
        """Wait for the next slot; check the assignment, and the sentinel if it is time to."""
        await asyncio.sleep(self._pace.slot_seconds)
        if self._owned() is not work.owned:
            raise _InterruptedError
        if time.monotonic() < work.checked_at + self._pace.check_seconds:
            return
        work.checked_at = time.monotonic()
        self._metrics.republication_users.set(work.n_remaining)
        try:
            state = await self._sentinel.check()
            await self._sentinel.report_remaining(work.partitions, work.n_remaining)
        except PublisherUnavailableError:
            # If Redis returns with its data, the work goes on.
            return
        if state.epoch != work.epoch:
            raise _InterruptedError

    async def _wait_until_acknowledged(self, work: _Work) -> None:
        """Wait until Redis acknowledged the lists of the last user and item, and so those of all before them."""
        while True:
            await self._next_slot(work)
            if self._is_waiting(work):
                continue
            n_built = self._flush_loop.n_built
            while not self._flush_loop.is_settled(n_built):
                await self._next_slot(work)
            # A failed flush puts its users and items back, ahead of later ones.
            if not self._is_waiting(work):
                return

    def _is_waiting(self, work: _Work) -> bool:
        return self._queue.is_pending(work.last_user) or self._queue.shared_lists.is_stale(work.last_item)


def _known(index: ItemIndex, numbers: list[int]) -> Iterator[str]:
    for number in numbers:
        try:
            yield index.id_of(number)
        except KeyError:
            # Not in use.
            continue


def _do_nothing() -> None: ...

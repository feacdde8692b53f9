"""The flush loop: take pending work, build lists, log them, send them, acknowledge or retry.

One flush takes up to `flush_users` of the longest waiting users, ranks them and their searches, adds the shared lists
that are due, and sends all documents in one Redis pipeline. The next batch is built while Redis works on the previous
one; at most one pipeline is in flight.

The order of a flush is a contract:

1. **Take** the users and their searches off the queue. From here on an event of such a user marks them as pending
   again, so that no event is missed.
2. **Build** the lists, and store each in memory. A reaction may arrive before the acknowledgement; it is matched with
   the list all the same.
3. **Drop** the lists of users who were erased after they had been ranked. If the partitions were revoked after it,
   requeue all users: another owner may have newer rows. While a worker has no partitions, users stay in the queue.
4. **Append** the lists to topic ``lists``, before Redis has them, so that the next owner of the partition recovers
   them. The loop does not wait for Kafka: a crash within some 30 ms may lose lists that Redis has. Without
   ``HEADRACE_LOG_LISTS`` nothing is appended. While Redis is known to be unavailable this is part of step 7 instead,
   so that the attempts do not fill the topic with lists that no user saw.
5. **Delete** the keys of erased users, of withdrawn queries and stale keys, before anything is written: an erased
   user who returned has a list in the same batch.
6. **Write** all documents in one pipeline.
7. **Acknowledge**: complete the erasures, append the lists if step 4 did not, then measure freshness and exposure.
   An event counts as published now.
8. If Redis does not acknowledge, **requeue** the users (not their lists) ahead of later ones, remove the lists from
   memory, and retry with back-off. Lists are ranked anew for each attempt: a list is never out of date on arrival.
   When Redis is reached again, what it acknowledged in the last seconds before is done once more
   (`stream_app.publishing.acknowledged_work`).

An erasure (`FlushLoop.erase`) takes effect in memory and on the topic at once, and in Redis by steps 3 and 5.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from math import inf
from typing import Final

from state.user_rows import DamagedStoreError, StoreError
from stream_app.client.redis_contract import search_key
from stream_app.publishing.clocks import SYSTEM_CLOCKS, Clocks
from stream_app.publishing.degraded_ranking import DegradedRanking
from stream_app.publishing.flush_batch import FlushBatch, keys_of
from stream_app.publishing.list_builder import ListBuilder
from stream_app.publishing.list_log import ListLog
from stream_app.publishing.pending_queue import PendingQueue
from stream_app.publishing.publisher import (
    OwnedKey,
    OwnershipUnconfirmedError,
    Publisher,
    PublisherUnavailableError,
    StoreRestartedError,
)
from stream_app.publishing.shared_lists import EMPTY_CYCLE
from stream_app.publishing.telemetry import FlushTelemetry
from topics.events import rfc3339

_LOG: Final = logging.getLogger(__name__)
_BUSY_ARRIVALS: Final = 8
"""Users that become pending in one linger when it pays to wait for a larger batch."""

_MAX_LINGERS: Final = 3
_BACKOFF: Final = (0.1, 0.2, 0.5, 1.0, 2.0)
"""Seconds before each retry while Redis is unavailable."""


class FlushLoop:
    """Publishes the pending work of a queue until it is stopped.

    Parameters
    ----------
    linger
        Seconds that a flush waits for more users.
    """

    def __init__(
        self,
        queue: PendingQueue,
        builder: ListBuilder,
        degraded_ranking: DegradedRanking,
        list_log: ListLog,
        publisher: Publisher,
        telemetry: FlushTelemetry,
        linger: float = 0.01,
        clocks: Clocks = SYSTEM_CLOCKS,
    ) -> None:
        self.queue: Final = queue
        self._builder = builder
        self._degraded_ranking = degraded_ranking
        self._list_log = list_log
        self._publisher = publisher
        publisher.on_reconnect = queue.repeat_acknowledged
        self._telemetry = telemetry
        self._linger_seconds = linger
        self._clocks = clocks
        self.clock: Final = clocks.wall
        self.on_erased: Callable[[list[str]], None] = lambda _: None
        """Called with users whose lists Redis no longer has; set by the worker."""
        self.on_load: Callable[[bool], None] = lambda _: None
        """Called before each flush with whether the worker is overloaded; set by the worker."""
        self._task: asyncio.Task[None] | None = None
        self._sending: asyncio.Task[bool] | None = None
        self.n_built = 0
        """Number of flushes built so far."""
        self._n_settled = 0
        self._reported_failure: type[PublisherUnavailableError] | None = None

    def is_settled(self, n_built: int) -> bool:
        """Whether the first `n_built` flushes were acknowledged, or their users put back into the queue."""
        return self._n_settled >= n_built

    def erase(self, user_id: str) -> None:
        """Remove a user's lists from memory and, by a tombstone, from the topic; queue their deletion from Redis."""
        self._degraded_ranking.pop(user_id)
        self._list_log.erase(user_id)
        self.queue.erase(user_id)

    def is_public(self, query: str) -> bool:
        """Whether a list of a query may be published."""
        return self._builder.is_public(query)

    def start(self) -> "asyncio.Task[None]":
        """Start to flush; the task ends only when stopped, or with an error."""
        self._task = asyncio.create_task(self._run(), name="flush loop")
        return self._task

    async def wait_until_idle(self) -> None:
        """Wait until all pending users and erasures are acknowledged; scheduled re-rankings do not count."""
        await self.queue.idle.wait()

    async def stop(self, patience: float = 5.0) -> None:
        """Publish the pending work, for at most `patience` seconds, and stop."""
        if self._task is None:
            return
        try:
            await asyncio.wait_for(self.wait_until_idle(), patience)
        except TimeoutError:
            _LOG.warning(
                "stopping with unpublished work: %d user lists, %d erasures, %d lists of private queries to delete; "
                "the next start does it",
                self.queue.n_users,
                self.queue.n_erasures,
                self.queue.n_withdrawn_queries,
            )
        remaining = [task for task in (self._task, self._sending) if task is not None]
        for task in remaining:
            task.cancel()
        await asyncio.gather(*remaining, return_exceptions=True)
        self._task = self._sending = None

    def report_pending(self) -> None:
        """Set the gauges of pending work."""
        self._telemetry.report_pending(self.queue, self._degraded_ranking)

    async def _run(self) -> None:
        failures = 0
        while True:
            await self._wait_for_work()
            batch = self._build_batch()
            sending, self._sending = self._sending, None
            if sending is not None:
                failures = 0 if await sending else 1
            if failures:
                # Redis is unavailable: the lists of this batch would be out of date by the time it returns.
                self._requeue(batch)
                self._n_settled += 1
                self.queue.store_available = False
                await asyncio.sleep(_BACKOFF[min(failures, len(_BACKOFF)) - 1])
                failures = 0 if await self._send(self._build_batch()) else failures + 1
                self.queue.store_available = failures == 0
            else:
                self._sending = asyncio.create_task(self._send(batch))

    async def _wait_for_work(self) -> None:
        queue = self.queue
        while True:
            queue.work_available.clear()
            sending = self._sending
            if queue:
                await self._linger()
                return
            if sending is not None and not sending.done():
                await _wait_for_first(sending, queue.work_available)
                continue
            if sending is not None and not sending.result():
                return
            now = self._clocks.timer()
            if queue.shared_lists.next_due <= now:
                return
            queue.idle.set()
            reranking_due = inf if queue.is_holding else self._degraded_ranking.next_due
            remaining = min(queue.shared_lists.next_due, reranking_due) - now
            if remaining <= 0:
                return
            await _wait_for_event(queue.work_available, None if remaining == inf else remaining)

    async def _linger(self) -> None:
        """Wait for more users: one linger if few events arrive, up to three while many do."""
        queue = self.queue
        for _ in range(_MAX_LINGERS):
            previous = queue.n_users
            if queue.full.is_set() or await _wait_for_event(queue.full, self._linger_seconds):
                return
            if queue.n_users - previous < _BUSY_ARRIVALS:
                return

    def _build_batch(self) -> FlushBatch:
        queue = self.queue
        self.n_built += 1
        mode = self._degraded_ranking.start_flush(full=queue.full.is_set(), backlog=queue.pop_backlog())
        self.on_load(mode.lasting)
        # 1. Take.
        pending = queue.pop_users()
        now = self._clocks.timer()
        reranked = [] if mode.overloaded or queue.is_holding else self._degraded_ranking.due_users(now)
        reranked = [user for user in reranked if user not in pending]
        generated_at = rfc3339(self._clocks.wall())
        erasures = queue.erasures_of((*pending, *reranked))
        # 2. Build.
        batch = FlushBatch(generated_at, {}, [], [], {}, EMPTY_CYCLE, erasures, [], queue.n_holds)
        for user_id, received in pending.items():
            # A user without an event is published again after a restart: degraded lists are for events alone.
            self._add_user(
                batch, user_id, received, degraded=mode.degraded and bool(received), republished=not received
            )
        for user_id in reranked:
            self._add_user(batch, user_id, (), degraded=False, republished=False)
        stale = queue.shared_lists.pop(now, overloaded=mode.degraded)
        cycle = self._builder.build_shared_lists(stale, generated_at)
        self.report_pending()
        withdrawn = [query for query in queue.pop_withdrawn_queries() if not self.is_public(query)]
        return batch._replace(cycle=cycle, withdrawn_queries=withdrawn)

    def _add_user(
        self,
        batch: FlushBatch,
        user_id: str,
        received: tuple[float, ...],
        *,
        degraded: bool,
        republished: bool,
    ) -> None:
        """Add the lists of a user to a batch, if they have any.

        A search list is built after a search; again after an overload, if it was degraded; and for a republication,
        since Redis may have lost it.
        """
        rerank_search = self._degraded_ranking.pop(user_id)
        searched = self.queue.pop_search(user_id)
        with_search = searched is not None or republished or (rerank_search and not degraded)
        try:
            lists = self._builder.build_user_lists(
                user_id, batch.generated_at, degraded=degraded, with_search=with_search
            )
        except DamagedStoreError:
            raise
        except StoreError:
            # The row cannot be read now: the next flush tries again.
            self.queue.requeue({user_id: received}, {} if searched is None else {user_id: searched})
            return
        if lists is None:
            return
        batch.users[user_id] = received
        batch.lists.append(lists.recommended)
        self._list_log.remember(lists.recommended)
        if degraded:
            self._telemetry.on_degraded_list()
            # A degraded search list stays scheduled, however many degraded lists of the user follow.
            self._degraded_ranking.schedule(
                user_id, self._clocks.timer(), search=searched is not None or rerank_search
            )
        if lists.search is not None:
            batch.search_lists.append(lists.search)
            self._list_log.remember(lists.search)
            if searched is not None:
                batch.searches[user_id] = searched
        elif republished:
            # A search list of an earlier session, or from before an erasure that a crash interrupted.
            batch.stale_keys.append(OwnedKey(search_key(user_id), lists.recommended.partition))

    async def _send(self, batch: FlushBatch) -> bool:
        is_acknowledged = await self._try_send(batch)
        self._n_settled += 1
        return is_acknowledged

    def _is_outdated(self, batch: FlushBatch) -> bool:
        """Whether the partitions were revoked after the users were ranked; then they are pending again."""
        if batch.n_holds == self.queue.n_holds:
            return False
        self._requeue(batch)
        return True

    async def _try_send(self, batch: FlushBatch) -> bool:
        queue = self.queue
        if self._is_outdated(batch):
            return True
        # 3. Drop.
        batch = self._without_erased(batch)
        erasures = queue.next_erasures(batch.erasures)
        # 4. Append.
        log_first = queue.store_available
        if log_first:
            self._list_log.write(batch.user_lists)
        started = time.perf_counter()
        try:
            # 5. Delete.
            if erasures:
                await self._publisher.erase(
                    [
                        OwnedKey(key, self._list_log.partition_of(user))
                        for user in erasures
                        for key in keys_of(user)
                    ]
                )
            if deleted_keys := batch.deleted_keys:
                await self._publisher.delete(deleted_keys)
            # 6. Write.
            if self._is_outdated(batch):
                return True
            documents = batch.documents
            if documents:
                await self._publisher.publish(documents)
        except PublisherUnavailableError as error:
            self._report_failure(batch, error)
            # 8. Requeue.
            self._telemetry.on_failed()
            self._requeue(batch)
            return False
        # 7. Acknowledge.
        self._reported_failure = None
        erased = queue.complete_erasures(erasures)
        if erased:
            self.on_erased(erased)
        with_events = [user for user, received in batch.users.items() if received]
        queue.acknowledged.add(self._clocks.timer(), with_events, erased, batch.withdrawn_queries)
        if not log_first:
            self._list_log.write(self._without_erased(batch).user_lists)
        # Lists of users who were erased while Redis wrote them are deleted by the next flush.
        current = [each.published for each in batch.lists if not queue.is_erasure_pending(each.user_id)]
        self._telemetry.on_acknowledged(batch, current, time.perf_counter() - started)
        self.report_pending()
        return True

    def _report_failure(self, batch: FlushBatch, error: PublisherUnavailableError) -> None:
        """Log why nothing is published: once, until it is published again or for another reason."""
        if self._reported_failure is type(error):
            return
        self._reported_failure = type(error)
        n_users = len(batch.users)
        match error:
            case StoreRestartedError():
                _LOG.info("Redis was restarted; %d user lists are published again: %s", n_users, error)
            case OwnershipUnconfirmedError():
                _LOG.warning(
                    "it is not certain that this worker still owns its partitions; %d user lists stay pending until "
                    "it is: %s",
                    n_users,
                    error,
                )
            case _:
                _LOG.warning(
                    "Redis is unavailable; %d user lists stay pending until it returns: %s", n_users, error
                )

    def _without_erased(self, batch: FlushBatch) -> FlushBatch:
        """The batch without users who were erased after they had been ranked."""
        return batch.without_users(self.queue.erased_since(batch.users, batch.erasures))

    def _requeue(self, batch: FlushBatch) -> None:
        self._list_log.discard(batch.user_lists)
        batch = self._without_erased(batch)
        self.queue.requeue(batch.users, batch.searches)
        self.queue.withdraw_queries(batch.withdrawn_queries)
        now = self._clocks.timer()
        for search_list in batch.search_lists:
            if search_list.user_id not in batch.searches:
                # No event follows that would build this search list once more.
                self._degraded_ranking.schedule_search(search_list.user_id, now)
        self.queue.shared_lists.requeue(batch.cycle.refreshed)
        self.report_pending()


async def _wait_for_first(task: "asyncio.Task[bool]", event: asyncio.Event) -> None:
    waiter = asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait((task, waiter), return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiter.cancel()
        await asyncio.gather(waiter, return_exceptions=True)


async def _wait_for_event(event: asyncio.Event, seconds: float | None) -> bool:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    return True

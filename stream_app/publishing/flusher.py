"""Ranks what became dirty and publishes it, one pipeline a flush.

A flush takes the longest waiting shoppers, ranks them and what they searched for, adds the lists of items, queries
and segments that are due, and sends all in one pipeline. While Redis works on it the next batch is ranked. What
Redis did not acknowledge goes back into the set, and is ranked again when Redis returns: lists are always of now.

While as many wait as a flush takes, one flush after another, shoppers are ranked in a hurry: a good list in time is
worth more than the best one late. Whoever has such a list is ranked again a second later, a few with each flush that
nobody waits behind.

A shopper's list is remembered when it is ranked, and written to the ``lists`` topic before Redis has it: whatever a
shopper may react to can be found again after a crash. Only while Redis is known to be away does Redis come first, so
that attempts do not fill the topic with lists that nobody saw.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sized
from datetime import datetime
from functools import partial
from itertools import islice
from math import inf
from typing import Final, NamedTuple, Protocol

from state.log_progress import LogProgress
from state.published_list import PublishedList, pack_propensities
from state.row import UserRow
from state.user_table import UserRowStore
from stream_app.client.redis_contract import encode_list, search_key, user_key
from stream_app.kafka.append import RecordAppender
from stream_app.metrics import Metrics
from stream_app.publishing.list_documents import append_features, build_list
from stream_app.publishing.pending_set import PendingSet
from stream_app.publishing.prequential import PrequentialEvaluator
from stream_app.publishing.publisher import Document, Publisher, PublisherUnavailableError
from stream_app.publishing.shared_lists import EMPTY_CYCLE, RefreshCycle, SharedListRefresh
from stream_app.ranking.exposure import Exposure
from stream_app.ranking.intra_list_diversity import IntraListDiversity
from stream_app.ranking.ranker import Ranker
from stream_app.ranking.request import RankRequest
from stream_app.ranking.row_request import make_rank_request
from topics.catalog import LISTS
from topics.events import rfc3339
from topics.records import RecommendationList

_LOG: Final = logging.getLogger(__name__)
_EXPOSURE_INTERVAL: Final = 5.0
"""Seconds between two reports of exposure, which sort the items that were shown."""

_BUSY_ARRIVALS: Final = 8
"""Shoppers that become dirty in a linger when it pays to wait for a larger batch."""

_RERANKED_PER_FLUSH: Final = 16
"""Shoppers ranked again in one flush: few, so that whoever comes does not wait long."""

_MIN_DEGRADED_AGE: Final = 1.0
"""Seconds that a list made in a hurry stays at least: a lull is no end of the rush."""

_ERASURES_PER_FLUSH: Final = 1_000
"""Erased shoppers whose lists one pipeline removes, beside those who have a list in it."""

_LIST_KINDS: Final = ("user", "search", "item", "query", "segment")
_BACKOFF: Final = (0.1, 0.2, 0.5, 1.0, 2.0)


class FlushSettings(Protocol):
    """The settings a flusher reads; `stream_app.settings.Settings` has them."""

    @property
    def flush_users(self) -> int:
        """Most shoppers in one pipeline."""

    @property
    def flush_linger(self) -> float:
        """Seconds a dirty shopper waits for company."""

    @property
    def shared_list_interval(self) -> float:
        """Seconds between two rounds of item, query and segment lists."""

    @property
    def degraded_ranking(self) -> bool:
        """Whether shoppers are ranked in a hurry while as many wait as a flush takes."""

    @property
    def max_pending(self) -> int:
        """Shoppers waiting for Redis that are remembered."""

    @property
    def buy_again(self) -> float:
        """Seconds after which a bought item may be listed again; 0 for never."""

    @property
    def audit_lists(self) -> bool:
        """Whether lists go to the ``lists`` topic too."""


class _OutgoingList(NamedTuple):
    """A shopper's list on its way: whose, their partition, as it is remembered, as it goes to Kafka."""

    user_id: str
    partition: int
    published: PublishedList
    value: bytes


class _FlushBatch(NamedTuple):
    documents: list[Document]
    users: dict[str, tuple[float, ...]]
    outgoing: list[_OutgoingList]
    search_lists: dict[str, "_OutgoingSearchList"]
    cycle: RefreshCycle
    erased: dict[str, int]
    generated_at: str
    stale_keys: list[str]
    at: float
    """`generated_at` as whoever reads a list back finds it, seconds since the epoch."""

    def without_users(self, users: set[str]) -> "_FlushBatch":
        """The batch without shoppers who were erased after they had been ranked."""
        if not users.intersection(self.users):
            return self
        keys = {key for user in users for key in (user_key(user), search_key(user))}
        return self._replace(
            documents=[document for document in self.documents if document.key not in keys],
            users={user: received for user, received in self.users.items() if user not in users},
            outgoing=[entry for entry in self.outgoing if entry.user_id not in users],
            search_lists={user: each for user, each in self.search_lists.items() if user not in users},
        )


class _DegradedList(NamedTuple):
    """When a shopper got a list in a hurry, and whether that of their search was made in one too."""

    at: float
    search: bool


class _OutgoingSearchList(NamedTuple):
    """A search list on its way: the broker's time of the search (None where no event is behind it), and the list."""

    received: float | None
    outgoing: _OutgoingList


class Flusher:
    """Publishes dirty shoppers and their searches, touched items, queries and segments.

    Parameters
    ----------
    ranker
        Ranks.
    rows
        The shoppers' rows.
    publisher
        Where lists go.
    lists
        Remembers each list, and is told which were acknowledged.
    append
        Where the record of a list goes.
    log_progress
        Told of the records of lists that Kafka has.
    metrics
        Freshness, flushes, ranking.
    settings
        Batch size, linger, intervals, bounds.
    clock
        Seconds since the epoch.
    """

    def __init__(
        self,
        ranker: Ranker,
        rows: UserRowStore,
        publisher: Publisher,
        lists: PrequentialEvaluator,
        append: RecordAppender,
        metrics: Metrics,
        settings: FlushSettings,
        clock: Callable[[], float] = time.time,
        log_progress: LogProgress | None = None,
    ) -> None:
        self._ranker = ranker
        self._rows = rows
        self._publisher = publisher
        self._lists = lists
        self._append = append
        self._metrics = metrics
        self._settings = settings
        self._clock = clock
        self._pending = PendingSet(settings.max_pending)
        # where fewer are remembered than a flush takes, these few are a crowd
        self._overload_size = min(settings.flush_users, settings.max_pending)
        # who has lists that were made in a hurry, the longest ago first
        self._degraded: dict[str, _DegradedList] = {}
        self._backlog = 0
        self._was_overloaded = False
        self._pending_searches: dict[str, float] = {}
        self._shared_lists = SharedListRefresh(ranker, settings.shared_list_interval)
        self._pending_erasures: dict[str, int] = {}
        self._erasure_serial = 0
        self._work_available = asyncio.Event()
        self._batch_full = asyncio.Event()
        self._has_capacity = asyncio.Event()
        self._has_capacity.set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._unavailable = False
        self._task: asyncio.Task[None] | None = None
        self._sending: asyncio.Task[bool] | None = None
        self._evicted_reported = 0
        self._exposure = Exposure(ranker.models)
        self._diversity = IntraListDiversity(ranker.models)
        self._next_exposure = 0.0
        self._log_progress = log_progress if log_progress is not None else LogProgress()
        self._on_delivered: dict[int, Callable[[int], None]] = {}
        self._published_counters = [metrics.lists_published.labels(kind) for kind in _LIST_KINDS]

    def __len__(self) -> int:
        """Shoppers whose list waits."""
        return len(self._pending)

    def mark_pending(self, user_id: str, *received: float) -> None:
        """Mark a shopper dirty, with the broker's times of the events the next list must reflect."""
        self._pending.add(user_id, *received)
        pending = len(self._pending)
        if pending == 1:
            self._idle.clear()
            self._work_available.set()
        if pending >= self._overload_size and not self._batch_full.is_set():
            self._batch_full.set()
            self._apply_backpressure()

    def mark_search_pending(self, user_id: str, received: float) -> None:
        """Mark a shopper dirty who searched: the order of what the shop found is published with their list.

        Parameters
        ----------
        user_id
            Who.
        received
            The broker's time of the search.
        """
        self._pending_searches[user_id] = received
        if len(self._pending_searches) > self._settings.max_pending:
            del self._pending_searches[next(iter(self._pending_searches))]
        self.mark_pending(user_id, received)

    def invalidate_query(self, query: str) -> None:
        """Note that somebody searched for a query, or chose something after it."""
        if not self._shared_lists:
            self._work_available.set()
        self._shared_lists.invalidate_query(query)

    def invalidate(self, items: Iterable[str], segments: Iterable[str]) -> None:
        """Note that the lists of items and segments (and the overall one) have news."""
        if not self._shared_lists:
            self._work_available.set()
        self._shared_lists.invalidate(items, segments)

    @property
    def stale_items(self) -> int:
        """Items whose list waits."""
        return self._shared_lists.stale_items

    def erase(self, user_id: str) -> None:
        """Remove a shopper's lists from Redis, and do not publish them again."""
        self._pending.discard(user_id)
        self._degraded.pop(user_id, None)
        self._pending_searches.pop(user_id, None)
        self._lists.memory.forget(user_id)
        # The lists of before are on the topic still: whoever reads it back must not remember them.
        self._append_record(user_id, self._rows.partition_of(user_id), None)
        self.resume_erasure(user_id)

    def resume_erasure(self, user_id: str) -> None:
        """Remove a shopper's lists from Redis who was erased before; a worker may have ended before it came to it."""
        self._erasure_serial += 1
        self._pending_erasures[user_id] = self._erasure_serial
        self._metrics.pending.erasures.set(len(self._pending_erasures))
        self._idle.clear()
        self._work_available.set()
        self._apply_backpressure()

    def drop_pending_erasures(self) -> None:
        """Leave pending erasures to the next owner of the partitions, who finds them in the rows."""
        self._pending_erasures.clear()
        self._metrics.pending.erasures.set(0)
        self._apply_backpressure()

    def _apply_backpressure(self) -> None:
        """Let whoever marks shoppers go on, or wait.

        While Redis is away shoppers are let in, since the set drops the oldest of them. Erasures are not dropped:
        when too many wait, nothing more is taken from Kafka until Redis returns.
        """
        full = len(self._pending) >= self._overload_size and not self._unavailable
        if full or len(self._pending_erasures) >= self._settings.max_pending:
            self._has_capacity.clear()
        else:
            self._has_capacity.set()

    async def wait_for_capacity(self, backlog: int = 0) -> None:
        """Wait while a full batch is waiting and Redis is there: back-pressure for whoever marks shoppers.

        Parameters
        ----------
        backlog
            Events that are here and wait for their turn.
        """
        self._backlog = backlog
        if not self._has_capacity.is_set():
            await self._has_capacity.wait()

    async def wait_until_idle(self) -> None:
        """Wait until nothing is dirty and everything is acknowledged; lists made in a hurry may wait for better."""
        await self._idle.wait()

    def start(self) -> "asyncio.Task[None]":
        """Begin to flush; the task ends only when stopped, or with an error."""
        self._task = asyncio.create_task(self._run(), name="flusher")
        return self._task

    async def stop(self, patience: float = 5.0) -> None:
        """Publish what waits, for at most `patience` seconds, and stop."""
        if self._task is None:
            return
        try:
            await asyncio.wait_for(self.wait_until_idle(), patience)
        except TimeoutError:
            _LOG.warning(
                "%d lists were not published and %d erased shoppers' not removed before stopping; "
                "the next start does both",
                len(self._pending),
                len(self._pending_erasures),
            )
        remaining = [task for task in (self._task, self._sending) if task is not None]
        for task in remaining:
            task.cancel()
        await asyncio.gather(*remaining, return_exceptions=True)
        self._task = self._sending = None

    async def _run(self) -> None:
        failures = 0
        while True:
            await self._wait_for_work()
            batch = self._rank_batch()
            sending, self._sending = self._sending, None
            if sending is not None:
                failures = 0 if await sending else 1
            if failures:
                # Redis is away: what was just ranked would be stale by the time it returns.
                self._requeue(batch)
                self._unavailable = True
                self._apply_backpressure()
                await asyncio.sleep(_BACKOFF[min(failures, len(_BACKOFF)) - 1])
                failures = 0 if await self._send(self._rank_batch()) else failures + 1
                self._unavailable = failures > 0
                self._apply_backpressure()
            else:
                self._sending = asyncio.create_task(self._send(batch))

    async def _wait_for_work(self) -> None:
        while True:
            self._work_available.clear()
            sending = self._sending
            if self._pending or self._pending_erasures:
                await self._linger()
                return
            if sending is not None and not sending.done():
                wake = asyncio.ensure_future(self._work_available.wait())
                try:
                    await asyncio.wait((sending, wake), return_when=asyncio.FIRST_COMPLETED)
                finally:
                    wake.cancel()
                    await asyncio.gather(wake, return_exceptions=True)
                continue
            if sending is not None and not sending.result():
                return
            now = self._clock()
            if self._shared_lists and self._shared_lists.due <= now:
                return
            self._idle.set()
            due = min(
                self._shared_lists.due if self._shared_lists else inf,
                next(iter(self._degraded.values())).at + _MIN_DEGRADED_AGE if self._degraded else inf,
            )
            remaining = due - now
            if remaining <= 0:
                return
            await _wait_for_event(self._work_available, None if remaining == inf else max(0.001, remaining))

    async def _linger(self) -> None:
        """Wait for company: a linger when events are few, up to three while they keep coming."""
        linger = self._settings.flush_linger
        for _ in range(3):
            previous = len(self._pending)
            if self._batch_full.is_set() or await _wait_for_event(self._batch_full, linger):
                return
            if len(self._pending) - previous < _BUSY_ARRIVALS:
                return

    def _rank_batch(self) -> _FlushBatch:
        # a flush that events wait behind may have been begun before it was full: to take them in takes time too
        overloaded = self._batch_full.is_set() or self._backlog >= self._settings.flush_users
        degraded = self._settings.degraded_ranking and overloaded and self._was_overloaded
        # what waits is told anew with the next event
        self._was_overloaded, self._backlog = overloaded, 0
        users = self._pending.pop_oldest(self._settings.flush_users)
        if len(self._pending) < self._overload_size:
            self._batch_full.clear()
        self._apply_backpressure()
        now = self._clock()
        reranked: dict[str, tuple[float, ...]] = {}
        if not overloaded:
            oldest = islice(self._degraded.items(), _RERANKED_PER_FLUSH)
            reranked = {
                user: ()
                for user, degraded_entry in oldest
                if now >= degraded_entry.at + _MIN_DEGRADED_AGE and user not in users
            }
            users.update(reranked)
        generated_at = rfc3339(now)
        at = datetime.fromisoformat(generated_at).timestamp()
        erased = {user: self._pending_erasures[user] for user in users if user in self._pending_erasures}
        batch = _FlushBatch([], users, [], {}, EMPTY_CYCLE, erased, generated_at, [], at)
        for user_id, received in list(users.items()):
            # Whoever is published again without an event is in no hurry.
            republished = not received and user_id not in reranked
            if not self._rank_user_lists(
                batch, user_id, degraded=degraded and bool(received), republished=republished
            ):
                del users[user_id]
        cycle = self._shared_lists.rank(now, generated_at, overloaded=degraded)
        batch.documents.extend(cycle.documents)
        self._metrics.pending.users.set(len(self._pending))
        self._metrics.degraded.users.set(len(self._degraded))
        self._metrics.pending.evicted.inc(self._pending.evicted - self._evicted_reported)
        self._evicted_reported = self._pending.evicted
        return batch._replace(cycle=cycle)

    def _rank_user_lists(
        self, batch: _FlushBatch, user_id: str, *, degraded: bool, republished: bool
    ) -> bool:
        """Add the lists of a shopper to a batch; False where there is none to be had."""
        previous = self._degraded.pop(user_id, None)
        search_received = self._pending_searches.pop(user_id, None)
        started = time.perf_counter()
        row = self._rows.get(user_id)
        if not row.counts.total:
            # Erased, or the shopper's partition went to another worker, which publishes the list.
            return False
        request = make_rank_request(user_id, row, self._settings.buy_again)
        try:
            ranked = self._ranker.rank_user_degraded(request) if degraded else self._ranker.rank_user(request)
        except Exception:  # noqa: BLE001  # told in the log, whatever it is
            # One shopper whose list cannot be ranked must not keep the others from theirs.
            _LOG.exception("could not rank the list of %r", user_id)
            self._metrics.ranking_failures.inc()
            return False
        ranked_list = build_list(
            user_key(user_id), ranked, batch.generated_at, events=row.counts.total, degraded=degraded
        )
        value = encode_list(ranked_list)
        batch.documents.append(Document(ranked_list.key, value))
        batch.outgoing.append(self._record_list(user_id, ranked_list, value, batch.at, ranked.features))
        self._metrics.ranking_seconds.observe(time.perf_counter() - started)
        search_lists = search_received is not None
        # a search list that was made in a hurry is made again with leisure, however many hurries come before
        search_pending = previous is not None and previous.search
        if degraded:
            self._schedule_rerank(user_id, search=search_lists or search_pending)
        # Redis may have lost what is published again, the search list too
        if row.queries and (search_lists or republished or (search_pending and not degraded)):
            search_list = self._rank_search(request, row, batch.generated_at, degraded=degraded)
            if search_list is not None:
                value = encode_list(search_list)
                outgoing_list = self._record_list(user_id, search_list, value, batch.at, search=True)
                batch.search_lists[user_id] = _OutgoingSearchList(search_received, outgoing_list)
                batch.documents.append(Document(search_list.key, value))
        if republished and user_id not in batch.search_lists:
            # what is left of an earlier visit, or of before an erasure that the worker did not live to carry out
            batch.stale_keys.append(search_key(user_id))
        return True

    def _record_list(
        self,
        user_id: str,
        ranked_list: RecommendationList,
        value: bytes,
        at: float,
        features: bytes = b"",
        *,
        search: bool = False,
    ) -> _OutgoingList:
        partition = self._rows.partition_of(user_id)
        items = ranked_list.items
        published = PublishedList(
            ranked_list.list_id,
            ranked_list.policy,
            at,
            tuple([item.id for item in items]),
            pack_propensities([item.propensity for item in items]),
            features,
            search,
        )
        self._lists.memory.add(user_id, partition, published)
        return _OutgoingList(user_id, partition, published, value)

    def _schedule_rerank(self, user_id: str, *, search: bool) -> None:
        self._metrics.degraded.lists.inc()
        self._degraded[user_id] = _DegradedList(self._clock(), search)
        if len(self._degraded) > self._settings.max_pending:
            del self._degraded[next(iter(self._degraded))]
            self._metrics.pending.evicted.inc()

    def _rank_search(
        self, request: RankRequest, row: UserRow, generated_at: str, *, degraded: bool
    ) -> RecommendationList | None:
        """The order of the shopper's last search; None where it is of an earlier visit, or empty."""
        search = row.queries[-1]
        if search.ts < row.session.start:
            return None
        started = time.perf_counter()
        try:
            ranked = self._ranker.rank_search(
                request, search.query, search.results, prices=search.prices, degraded=degraded
            )
        except Exception:  # noqa: BLE001  # told in the log, whatever it is
            _LOG.exception("could not rank the search list of %r", request.user_id)
            self._metrics.ranking_failures.inc()
            return None
        if not ranked.items:
            return None
        self._metrics.ranking_seconds.observe(time.perf_counter() - started)
        return build_list(
            search_key(request.user_id),
            ranked,
            generated_at,
            events=row.counts.total,
            query=search.query,
            degraded=degraded,
        )

    async def _send(self, batch: _FlushBatch) -> bool:
        batch = batch.without_users(self._erased_after_ranking(batch))
        # with those who came back after the erasure, and have a list in this very batch
        erased = dict(islice(self._pending_erasures.items(), _ERASURES_PER_FLUSH))
        erased |= {user: at for user, at in batch.erased.items() if user in self._pending_erasures}
        # Whoever is sent to while Redis is away is logged only when it took the list.
        redis_first = self._unavailable
        if not redis_first:
            self._append_lists(batch)
        started = time.perf_counter()
        try:
            # First what is to go, then what is to come: some of the same shoppers.
            keys = [key for user in erased for key in (user_key(user), search_key(user))] + batch.stale_keys
            if keys:
                await self._publisher.delete(keys)
            if batch.documents:
                await self._publisher.publish(batch.documents)
        except PublisherUnavailableError as error:
            if not self._unavailable:
                _LOG.warning("Redis is unavailable; lists stay pending until it returns: %s", error)
            self._metrics.flush_failures.inc()
            self._requeue(batch)
            return False
        for user, at in erased.items():
            if self._pending_erasures.get(user) == at:
                del self._pending_erasures[user]
        self._metrics.pending.erasures.set(len(self._pending_erasures))
        self._apply_backpressure()
        if redis_first:
            self._append_lists(batch.without_users(self._erased_after_ranking(batch)))
        self._on_acknowledged(batch, time.perf_counter() - started)
        return True

    def _erased_after_ranking(self, batch: _FlushBatch) -> set[str]:
        """Who was erased after they had been ranked; whoever came back after the erasure is not among them."""
        erased = self._pending_erasures
        return {user for user in batch.users if user in erased and batch.erased.get(user) != erased[user]}

    def _on_acknowledged(self, batch: _FlushBatch, seconds: float) -> None:
        self._observe_metrics(batch, seconds)
        newest = self._ranker.models.newest
        # Whoever was erased while the list was on its way: it goes with the next flush.
        outgoing = [
            entry.published for entry in batch.outgoing if entry.user_id not in self._pending_erasures
        ]
        # all lists of a flush at once: what is counted is places, whosever list they are on
        item_ids = [item for published in outgoing for item in published.items]
        self._lists.on_published(item_ids)
        self._exposure.add(item_ids, newest)
        # one list in four tells as much of their diversity
        for published in outgoing[::4]:
            self._diversity.add(published.items, newest)
        for policy, count in Counter([published.policy for published in outgoing]).items():
            self._metrics.policy_lists.labels(policy).inc(count)
        if outgoing and self._clock() >= self._next_exposure:
            self._next_exposure = self._clock() + _EXPOSURE_INTERVAL
            self._report_exposure(newest)

    def _observe_metrics(self, batch: _FlushBatch, seconds: float) -> None:
        metrics = self._metrics
        now = self._clock()
        if batch.documents:
            metrics.flush_seconds.observe(seconds)
            metrics.flush_lists.observe(len(batch.documents))
        observe = metrics.freshness.observe
        for received in batch.users.values():
            for at in received:
                observe(max(0.0, now - at))
        for search in batch.search_lists.values():
            if search.received is not None:
                metrics.search_freshness.observe(max(0.0, now - search.received))
        published: tuple[Sized, ...] = (
            batch.outgoing,
            batch.search_lists,
            batch.cycle.items,
            batch.cycle.queries,
            batch.cycle.segments,
        )
        for counter, lists in zip(self._published_counters, published, strict=True):
            counter.inc(len(lists))
        metrics.pending.users.set(len(self._pending))

    def _append_lists(self, batch: _FlushBatch) -> None:
        for user_id, partition, published, value in batch.outgoing:
            self._append_record(user_id, partition, append_features(value, published.features))
        for user_id, search in batch.search_lists.items():
            self._append_record(user_id, search.outgoing.partition, search.outgoing.value)

    def _append_record(self, user_id: str, partition: int, value: bytes | None) -> None:
        if not self._settings.audit_lists:
            return
        on_delivered = self._on_delivered.get(partition)
        if on_delivered is None:
            on_delivered = self._on_delivered[partition] = partial(
                self._log_progress.on_delivered, LISTS.name, partition
            )
        self._append(LISTS.name, partition, user_id.encode(), value, on_delivered)

    def _report_exposure(self, newest: float) -> None:
        report, metrics = self._exposure.report(newest), self._metrics
        metrics.exposure_gini.set(report.gini)
        metrics.exposure_new.set(report.new_share)
        metrics.exposure_long_tail.set(report.long_tail_share)
        diversity = self._diversity.report()
        metrics.diversity.dissimilarity.set(diversity.dissimilarity)
        metrics.diversity.categories.set(diversity.categories)

    def _requeue(self, batch: _FlushBatch) -> None:
        for each in (*batch.outgoing, *(search.outgoing for search in batch.search_lists.values())):
            self._lists.memory.discard(each.user_id, each.published)
        erased_users = self._erased_after_ranking(batch)
        self._pending.requeue({user: at for user, at in batch.users.items() if user not in erased_users})
        now = self._clock()
        for user, search in batch.search_lists.items():
            if user in erased_users:
                continue
            if search.received is not None:
                self._pending_searches.setdefault(user, search.received)
            else:
                # made again after a hurry, and no event will ask for it once more
                self._degraded.setdefault(user, _DegradedList(now, search=True))
        self._shared_lists.requeue(batch.cycle)
        self._metrics.pending.users.set(len(self._pending))


async def _wait_for_event(event: asyncio.Event, seconds: float | None) -> bool:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    return True

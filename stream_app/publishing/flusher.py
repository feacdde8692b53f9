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

from state.log_progress import Logged
from state.published_list import PublishedList, packed
from state.row import UserRow
from state.user_table import Rows
from stream_app.client.redis_contract import encode_list, search_key, user_key
from stream_app.kafka.append import Append
from stream_app.metrics import Metrics
from stream_app.publishing.list_documents import list_of, with_features
from stream_app.publishing.pending_set import DirtySet
from stream_app.publishing.prequential import PublishedLists
from stream_app.publishing.publisher import Document, Publisher, PublisherUnavailableError
from stream_app.publishing.shared_lists import NO_ROUND, Round, Rounds
from stream_app.ranking.exposure import Exposure
from stream_app.ranking.intra_list_diversity import IntraListDiversity
from stream_app.ranking.ranker import Ranker
from stream_app.ranking.request import RankRequest
from stream_app.ranking.row_request import request_of
from topics.catalog import LISTS
from topics.events import rfc3339
from topics.records import RecommendationList

_LOG: Final = logging.getLogger(__name__)
_EXPOSURE_EVERY: Final = 5.0
"""Seconds between two reports of exposure, which sort the items that were shown."""

_BUSY: Final = 8
"""Shoppers that become dirty in a linger when it pays to wait for a larger batch."""

_AGAIN: Final = 16
"""Shoppers ranked again in one flush: few, so that whoever comes does not wait long."""

_LEISURE: Final = 1.0
"""Seconds that a list made in a hurry stays at least: a lull is no end of the rush."""

_ERASED_AT_ONCE: Final = 1_000
"""Erased shoppers whose lists one pipeline removes, beside those who have a list in it."""

_KINDS: Final = ("user", "search", "item", "query", "segment")
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
    def item_list_interval(self) -> float:
        """Seconds between two rounds of item, query and segment lists."""

    @property
    def hurry(self) -> bool:
        """Whether shoppers are ranked in a hurry while as many wait as a flush takes."""

    @property
    def max_dirty(self) -> int:
        """Shoppers waiting for Redis that are remembered."""

    @property
    def buy_again(self) -> float:
        """Seconds after which a bought item may be listed again; 0 for never."""

    @property
    def audit_lists(self) -> bool:
        """Whether lists go to the ``lists`` topic too."""


class _Listed(NamedTuple):
    """A shopper's list on its way: whose, their partition, as it is remembered, as it goes to Kafka."""

    user_id: str
    partition: int
    published: PublishedList
    value: bytes


class _Batch(NamedTuple):
    documents: list[Document]
    users: dict[str, tuple[float, ...]]
    listed: list[_Listed]
    searched: dict[str, "_Searched"]
    round: Round
    erased: dict[str, int]
    generated_at: str
    outdated: list[str]
    at: float
    """`generated_at` as whoever reads a list back finds it, seconds since the epoch."""

    def without(self, users: set[str]) -> "_Batch":
        """The batch without shoppers who were erased after they had been ranked."""
        if not users.intersection(self.users):
            return self
        keys = {key for user in users for key in (user_key(user), search_key(user))}
        return self._replace(
            documents=[document for document in self.documents if document.key not in keys],
            users={user: received for user, received in self.users.items() if user not in users},
            listed=[entry for entry in self.listed if entry.user_id not in users],
            searched={user: each for user, each in self.searched.items() if user not in users},
        )


class _Hurried(NamedTuple):
    """When a shopper got a list in a hurry, and whether that of their search was made in one too."""

    at: float
    search: bool


class _Searched(NamedTuple):
    """A search list on its way: the broker's time of the search (None where no event is behind it), and the list."""

    received: float | None
    listed: _Listed


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
    logged
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
        rows: Rows,
        publisher: Publisher,
        lists: PublishedLists,
        append: Append,
        metrics: Metrics,
        settings: FlushSettings,
        clock: Callable[[], float] = time.time,
        logged: Logged | None = None,
    ) -> None:
        self._ranker = ranker
        self._rows = rows
        self._publisher = publisher
        self._lists = lists
        self._append = append
        self._metrics = metrics
        self._settings = settings
        self._clock = clock
        self._dirty = DirtySet(settings.max_dirty)
        # where fewer are remembered than a flush takes, these few are a crowd
        self._crowd = min(settings.flush_users, settings.max_dirty)
        # who has lists that were made in a hurry, the longest ago first
        self._hurried: dict[str, _Hurried] = {}
        self._backlog = 0
        self._was_pressed = False
        self._searches: dict[str, float] = {}
        self._rounds = Rounds(ranker, settings.item_list_interval)
        self._erased: dict[str, int] = {}
        self._erasures = 0
        self._wake = asyncio.Event()
        self._full = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._away = False
        self._task: asyncio.Task[None] | None = None
        self._sending: asyncio.Task[bool] | None = None
        self._evicted_reported = 0
        self._exposure = Exposure(ranker.models)
        self._diversity = IntraListDiversity(ranker.models)
        self._next_exposure = 0.0
        self._logged = logged if logged is not None else Logged()
        self._delivered: dict[int, Callable[[int], None]] = {}
        self._published = [metrics.lists_published.labels(kind) for kind in _KINDS]

    def __len__(self) -> int:
        """Shoppers whose list waits."""
        return len(self._dirty)

    def mark(self, user_id: str, *received: float) -> None:
        """Mark a shopper dirty, with the broker's times of the events the next list must reflect."""
        self._dirty.add(user_id, *received)
        waiting = len(self._dirty)
        if waiting == 1:
            self._idle.clear()
            self._wake.set()
        if waiting >= self._crowd and not self._full.is_set():
            self._full.set()
            self._let_in()

    def mark_search(self, user_id: str, received: float) -> None:
        """Mark a shopper dirty who searched: the order of what the shop found is published with their list.

        Parameters
        ----------
        user_id
            Who.
        received
            The broker's time of the search.
        """
        self._searches[user_id] = received
        if len(self._searches) > self._settings.max_dirty:
            del self._searches[next(iter(self._searches))]
        self.mark(user_id, received)

    def touch_query(self, query: str) -> None:
        """Note that somebody searched for a query, or chose something after it."""
        if not self._rounds:
            self._wake.set()
        self._rounds.touch_query(query)

    def touch(self, items: Iterable[str], segments: Iterable[str]) -> None:
        """Note that the lists of items and segments (and the overall one) have news."""
        if not self._rounds:
            self._wake.set()
        self._rounds.touch(items, segments)

    @property
    def items_waiting(self) -> int:
        """Items whose list waits."""
        return self._rounds.items_waiting

    def erase(self, user_id: str) -> None:
        """Remove a shopper's lists from Redis, and do not publish them again."""
        self._dirty.discard(user_id)
        self._hurried.pop(user_id, None)
        self._searches.pop(user_id, None)
        self._lists.memory.forget(user_id)
        # The lists of before are on the topic still: whoever reads it back must not remember them.
        self._log(user_id, self._rows.partition_of(user_id), None)
        self.erase_again(user_id)

    def erase_again(self, user_id: str) -> None:
        """Remove a shopper's lists from Redis who was erased before; a worker may have ended before it came to it."""
        self._erasures += 1
        self._erased[user_id] = self._erasures
        self._metrics.waiting.erasures.set(len(self._erased))
        self._idle.clear()
        self._wake.set()
        self._let_in()

    def leave_erasures(self) -> None:
        """Leave the erasures that wait to whoever gets the partitions, and finds them in the rows (`erase_again`)."""
        self._erased.clear()
        self._metrics.waiting.erasures.set(0)
        self._let_in()

    def _let_in(self) -> None:
        """Let whoever marks shoppers go on, or wait.

        While Redis is away shoppers are let in, since the set drops the oldest of them. Erasures are not dropped:
        when too many wait, nothing more is taken from Kafka until Redis returns.
        """
        crowded = len(self._dirty) >= self._crowd and not self._away
        if crowded or len(self._erased) >= self._settings.max_dirty:
            self._room.clear()
        else:
            self._room.set()

    async def room(self, backlog: int = 0) -> None:
        """Wait while a full batch is waiting and Redis is there: back-pressure for whoever marks shoppers.

        Parameters
        ----------
        backlog
            Events that are here and wait for their turn.
        """
        self._backlog = backlog
        if not self._room.is_set():
            await self._room.wait()

    async def drained(self) -> None:
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
            await asyncio.wait_for(self.drained(), patience)
        except TimeoutError:
            _LOG.warning(
                "%d lists were not published and %d erased shoppers' not removed before stopping; "
                "the next start does both",
                len(self._dirty),
                len(self._erased),
            )
        left = [task for task in (self._task, self._sending) if task is not None]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
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
                self._put_back(batch)
                self._away = True
                self._let_in()
                await asyncio.sleep(_BACKOFF[min(failures, len(_BACKOFF)) - 1])
                failures = 0 if await self._send(self._rank_batch()) else failures + 1
                self._away = failures > 0
                self._let_in()
            else:
                self._sending = asyncio.create_task(self._send(batch))

    async def _wait_for_work(self) -> None:
        while True:
            self._wake.clear()
            sending = self._sending
            if self._dirty or self._erased:
                await self._gather()
                return
            if sending is not None and not sending.done():
                wake = asyncio.ensure_future(self._wake.wait())
                try:
                    await asyncio.wait((sending, wake), return_when=asyncio.FIRST_COMPLETED)
                finally:
                    wake.cancel()
                    await asyncio.gather(wake, return_exceptions=True)
                continue
            if sending is not None and not sending.result():
                return
            now = self._clock()
            if self._rounds and self._rounds.due <= now:
                return
            self._idle.set()
            due = min(
                self._rounds.due if self._rounds else inf,
                next(iter(self._hurried.values())).at + _LEISURE if self._hurried else inf,
            )
            left = due - now
            if left <= 0:
                return
            await _wait(self._wake, None if left == inf else max(0.001, left))

    async def _gather(self) -> None:
        """Wait for company: a linger when events are few, up to three while they keep coming."""
        linger = self._settings.flush_linger
        for _ in range(3):
            before = len(self._dirty)
            if self._full.is_set() or await _wait(self._full, linger):
                return
            if len(self._dirty) - before < _BUSY:
                return

    def _rank_batch(self) -> _Batch:
        # a flush that events wait behind may have been begun before it was full: to take them in takes time too
        pressed = self._full.is_set() or self._backlog >= self._settings.flush_users
        hurry = self._settings.hurry and pressed and self._was_pressed
        # what waits is told anew with the next event
        self._was_pressed, self._backlog = pressed, 0
        users = self._dirty.take(self._settings.flush_users)
        if len(self._dirty) < self._crowd:
            self._full.clear()
        self._let_in()
        now = self._clock()
        again: dict[str, tuple[float, ...]] = {}
        if not pressed:
            oldest = islice(self._hurried.items(), _AGAIN)
            again = {user: () for user, made in oldest if now >= made.at + _LEISURE and user not in users}
            users.update(again)
        generated_at = rfc3339(now)
        at = datetime.fromisoformat(generated_at).timestamp()
        erased = {user: self._erased[user] for user in users if user in self._erased}
        batch = _Batch([], users, [], {}, NO_ROUND, erased, generated_at, [], at)
        for user_id, received in list(users.items()):
            # Whoever is published again without an event is in no hurry.
            republished = not received and user_id not in again
            if not self._rank_shopper(
                batch, user_id, hurry=hurry and bool(received), republished=republished
            ):
                del users[user_id]
        done = self._rounds.rank(now, generated_at, hurry=hurry)
        batch.documents.extend(done.documents)
        self._metrics.waiting.users.set(len(self._dirty))
        self._metrics.hurry.users.set(len(self._hurried))
        self._metrics.waiting.evicted.inc(self._dirty.evicted - self._evicted_reported)
        self._evicted_reported = self._dirty.evicted
        return batch._replace(round=done)

    def _rank_shopper(self, batch: _Batch, user_id: str, *, hurry: bool, republished: bool) -> bool:
        """Add the lists of a shopper to a batch; False where there is none to be had."""
        before = self._hurried.pop(user_id, None)
        search_received = self._searches.pop(user_id, None)
        started = time.perf_counter()
        row = self._rows.get(user_id)
        if not row.counts.total:
            # Erased, or the shopper's partition went to another worker, which publishes the list.
            return False
        request = request_of(user_id, row, self._settings.buy_again)
        try:
            ranked = self._ranker.rank_user_in_hurry(request) if hurry else self._ranker.rank_user(request)
        except Exception:  # noqa: BLE001  # told in the log, whatever it is
            # One shopper whose list cannot be ranked must not keep the others from theirs.
            _LOG.exception("could not rank the list of %r", user_id)
            self._metrics.ranking_failures.inc()
            return False
        found = list_of(user_key(user_id), ranked, batch.generated_at, events=row.counts.total, hurried=hurry)
        value = encode_list(found)
        batch.documents.append(Document(found.key, value))
        batch.listed.append(self._remember(user_id, found, value, batch.at, ranked.features))
        self._metrics.ranking_seconds.observe(time.perf_counter() - started)
        searched = search_received is not None
        # a search list that was made in a hurry is made again with leisure, however many hurries come before
        search_again = before is not None and before.search
        if hurry:
            self._rank_again(user_id, search=searched or search_again)
        # Redis may have lost what is published again, the search list too
        if row.queries and (searched or republished or (search_again and not hurry)):
            results = self._search_list(request, row, batch.generated_at, hurry=hurry)
            if results is not None:
                value = encode_list(results)
                remembered = self._remember(user_id, results, value, batch.at, search=True)
                batch.searched[user_id] = _Searched(search_received, remembered)
                batch.documents.append(Document(results.key, value))
        if republished and user_id not in batch.searched:
            # what is left of an earlier visit, or of before an erasure that the worker did not live to carry out
            batch.outdated.append(search_key(user_id))
        return True

    def _remember(
        self,
        user_id: str,
        found: RecommendationList,
        value: bytes,
        at: float,
        features: bytes = b"",
        *,
        search: bool = False,
    ) -> _Listed:
        partition = self._rows.partition_of(user_id)
        items = found.items
        published = PublishedList(
            found.list_id,
            found.policy,
            at,
            tuple([item.id for item in items]),
            packed([item.propensity for item in items]),
            features,
            search,
        )
        self._lists.memory.add(user_id, partition, published)
        return _Listed(user_id, partition, published, value)

    def _rank_again(self, user_id: str, *, search: bool) -> None:
        self._metrics.hurry.lists.inc()
        self._hurried[user_id] = _Hurried(self._clock(), search)
        if len(self._hurried) > self._settings.max_dirty:
            del self._hurried[next(iter(self._hurried))]
            self._metrics.waiting.evicted.inc()

    def _search_list(
        self, request: RankRequest, row: UserRow, generated_at: str, *, hurry: bool
    ) -> RecommendationList | None:
        """The order of the shopper's last search; None where it is of an earlier visit, or empty."""
        search = row.queries[-1]
        if search.ts < row.session.start:
            return None
        started = time.perf_counter()
        try:
            ranked = self._ranker.rank_search(
                request, search.query, search.results, prices=search.prices, hurry=hurry
            )
        except Exception:  # noqa: BLE001  # told in the log, whatever it is
            _LOG.exception("could not rank the search list of %r", request.user_id)
            self._metrics.ranking_failures.inc()
            return None
        if not ranked.items:
            return None
        self._metrics.ranking_seconds.observe(time.perf_counter() - started)
        return list_of(
            search_key(request.user_id),
            ranked,
            generated_at,
            events=row.counts.total,
            query=search.query,
            hurried=hurry,
        )

    async def _send(self, batch: _Batch) -> bool:
        batch = batch.without(self._erased_since(batch))
        # with those who came back after the erasure, and have a list in this very batch
        erased = dict(islice(self._erased.items(), _ERASED_AT_ONCE))
        erased |= {user: at for user, at in batch.erased.items() if user in self._erased}
        # Whoever is sent to while Redis is away is logged only when it took the list.
        redis_first = self._away
        if not redis_first:
            self._log_lists(batch)
        started = time.perf_counter()
        try:
            # First what is to go, then what is to come: some of the same shoppers.
            keys = [key for user in erased for key in (user_key(user), search_key(user))] + batch.outdated
            if keys:
                await self._publisher.delete(keys)
            if batch.documents:
                await self._publisher.publish(batch.documents)
        except PublisherUnavailableError as error:
            if not self._away:
                _LOG.warning("Redis is away, lists wait until it returns: %s", error)
            self._metrics.flush_failures.inc()
            self._put_back(batch)
            return False
        for user, at in erased.items():
            if self._erased.get(user) == at:
                del self._erased[user]
        self._metrics.waiting.erasures.set(len(self._erased))
        self._let_in()
        if redis_first:
            self._log_lists(batch.without(self._erased_since(batch)))
        self._acknowledged(batch, time.perf_counter() - started)
        return True

    def _erased_since(self, batch: _Batch) -> set[str]:
        """Who was erased after they had been ranked; whoever came back after the erasure is not among them."""
        erased = self._erased
        return {user for user in batch.users if user in erased and batch.erased.get(user) != erased[user]}

    def _acknowledged(self, batch: _Batch, seconds: float) -> None:
        self._measure(batch, seconds)
        newest = self._ranker.models.newest
        # Whoever was erased while the list was on its way: it goes with the next flush.
        listed = [entry.published for entry in batch.listed if entry.user_id not in self._erased]
        # all lists of a flush at once: what is counted is places, whosever list they are on
        shown = [item for published in listed for item in published.items]
        self._lists.published(shown)
        self._exposure.add(shown, newest)
        # one list in four tells as much of their diversity
        for published in listed[::4]:
            self._diversity.add(published.items, newest)
        for policy, count in Counter([published.policy for published in listed]).items():
            self._metrics.policy_lists.labels(policy).inc(count)
        if listed and self._clock() >= self._next_exposure:
            self._next_exposure = self._clock() + _EXPOSURE_EVERY
            self._report_exposure(newest)

    def _measure(self, batch: _Batch, seconds: float) -> None:
        metrics = self._metrics
        now = self._clock()
        if batch.documents:
            metrics.flush_seconds.observe(seconds)
            metrics.flush_lists.observe(len(batch.documents))
        observe = metrics.freshness.observe
        for received in batch.users.values():
            for at in received:
                observe(max(0.0, now - at))
        for search in batch.searched.values():
            if search.received is not None:
                metrics.search_freshness.observe(max(0.0, now - search.received))
        published: tuple[Sized, ...] = (
            batch.listed,
            batch.searched,
            batch.round.items,
            batch.round.queries,
            batch.round.segments,
        )
        for counter, lists in zip(self._published, published, strict=True):
            counter.inc(len(lists))
        metrics.waiting.users.set(len(self._dirty))

    def _log_lists(self, batch: _Batch) -> None:
        for user_id, partition, published, value in batch.listed:
            self._log(user_id, partition, with_features(value, published.features))
        for user_id, search in batch.searched.items():
            self._log(user_id, search.listed.partition, search.listed.value)

    def _log(self, user_id: str, partition: int, value: bytes | None) -> None:
        if not self._settings.audit_lists:
            return
        delivered = self._delivered.get(partition)
        if delivered is None:
            delivered = self._delivered[partition] = partial(self._logged.delivered, LISTS.name, partition)
        self._append(LISTS.name, partition, user_id.encode(), value, delivered)

    def _report_exposure(self, newest: float) -> None:
        report, metrics = self._exposure.report(newest), self._metrics
        metrics.exposure_gini.set(report.gini)
        metrics.exposure_new.set(report.new_share)
        metrics.exposure_long_tail.set(report.long_tail_share)
        diversity = self._diversity.report()
        metrics.diversity.unlikeness.set(diversity.unlikeness)
        metrics.diversity.categories.set(diversity.categories)

    def _put_back(self, batch: _Batch) -> None:
        for each in (*batch.listed, *(search.listed for search in batch.searched.values())):
            self._lists.memory.withdraw(each.user_id, each.published)
        gone = self._erased_since(batch)
        self._dirty.put_back({user: at for user, at in batch.users.items() if user not in gone})
        now = self._clock()
        for user, search in batch.searched.items():
            if user in gone:
                continue
            if search.received is not None:
                self._searches.setdefault(user, search.received)
            else:
                # made again after a hurry, and no event will ask for it once more
                self._hurried.setdefault(user, _Hurried(now, search=True))
        self._rounds.put_back(batch.round)
        self._metrics.waiting.users.set(len(self._dirty))


async def _wait(event: asyncio.Event, seconds: float | None) -> bool:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    return True

"""Ranks what became dirty and publishes it, one pipeline a flush.

A flush takes the longest waiting shoppers, ranks them, adds the lists of items and segments that are due, and
sends all in one pipeline. While Redis works on it the next batch is ranked. What Redis did not acknowledge goes
back into the set, and is ranked again when Redis returns: lists are always of now.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from hashlib import blake2b
from itertools import islice
from typing import Final, NamedTuple, Protocol

from state.request import request_of
from state.tables import Rows
from stream_app.agents.dead_letters import Append
from stream_app.agents.prequential import PublishedLists
from stream_app.metrics import Metrics
from stream_app.publish.contract import OVERALL, encode_list, item_key, popular_key, search_key, user_key
from stream_app.publish.dirty import DirtySet
from stream_app.publish.port import Document, Publisher, PublisherUnavailableError
from stream_app.ranker.ranker import Ranked, Ranker
from topics.catalogue import LISTS
from topics.events import rfc3339
from topics.records import RecommendationList

_LOG: Final = logging.getLogger(__name__)
_ITEM_LISTS_A_ROUND: Final = 25
_MAX_TOUCHED: Final = 200_000
_BUSY: Final = 8
"""Shoppers that become dirty in a linger when it pays to wait for a larger batch."""

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
        """Seconds between two rounds of item and segment lists."""

    @property
    def max_dirty(self) -> int:
        """Shoppers waiting for Redis that are remembered."""

    @property
    def audit_lists(self) -> bool:
        """Whether lists go to the ``lists`` topic too."""


class _Batch(NamedTuple):
    documents: list[Document]
    users: dict[str, tuple[float, ...]]
    listed: list[tuple[str, tuple[str, ...], bytes]]
    items: list[str]
    segments: list[str]
    erased: dict[str, int]

    def without(self, users: set[str]) -> "_Batch":
        """The batch without shoppers who were erased after they had been ranked."""
        if not users.intersection(self.users):
            return self
        keys = {user_key(user) for user in users}
        return self._replace(
            documents=[document for document in self.documents if document.key not in keys],
            users={user: received for user, received in self.users.items() if user not in users},
            listed=[entry for entry in self.listed if entry[0] not in users],
        )


class Flusher:
    """Publishes dirty shoppers, touched items and touched segments.

    Parameters
    ----------
    ranker
        Ranks.
    rows
        The shoppers' rows.
    publisher
        Where lists go.
    lists
        Told of each list that was acknowledged.
    append
        Where the audit record of a list goes.
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
        self._items: dict[str, None] = {}
        self._segments: dict[str, None] = {}
        self._erased: dict[str, int] = {}
        self._erasures = 0
        self._next_round = 0.0
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
        self._published = {kind: metrics.lists_published.labels(kind) for kind in ("user", "item", "segment")}

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
        if waiting >= self._settings.flush_users and not self._full.is_set():
            self._full.set()
            if not self._away:
                self._room.clear()

    def touch(self, items: Iterable[str], segments: Iterable[str]) -> None:
        """Note that the lists of items and segments (and the overall one) have news."""
        if not self._segments and not self._items:
            self._wake.set()
        for item in items:
            self._items.setdefault(item)
            if len(self._items) > _MAX_TOUCHED:
                del self._items[next(iter(self._items))]
        self._segments.setdefault(OVERALL)
        for segment in segments:
            if len(self._segments) < _MAX_TOUCHED:
                self._segments.setdefault(segment)

    @property
    def items_waiting(self) -> int:
        """Items whose list waits."""
        return len(self._items)

    def erase(self, user_id: str) -> None:
        """Remove a shopper's lists from Redis, and do not publish them again."""
        self._dirty.discard(user_id)
        self._lists.forget(user_id)
        self._erasures += 1
        self._erased[user_id] = self._erasures
        self._idle.clear()
        self._wake.set()

    async def room(self) -> None:
        """Wait while a full batch is waiting and Redis is there: back-pressure for whoever marks shoppers."""
        if not self._room.is_set():
            await self._room.wait()

    async def drained(self) -> None:
        """Wait until nothing is dirty and everything is acknowledged."""
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
            _LOG.warning("%d lists were not published before stopping", len(self._dirty))
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
                self._room.set()
                await asyncio.sleep(_BACKOFF[min(failures, len(_BACKOFF)) - 1])
                failures = 0 if await self._send(self._rank_batch()) else failures + 1
                self._away = failures > 0
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
            due = self._next_round - self._clock()
            touched = bool(self._items or self._segments)
            if touched and due <= 0:
                return
            self._idle.set()
            await _wait(self._wake, max(0.001, due) if touched else None)

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
        users = self._dirty.take(self._settings.flush_users)
        if len(self._dirty) < self._settings.flush_users:
            self._full.clear()
            self._room.set()
        now = self._clock()
        generated_at = rfc3339(now)
        documents: list[Document] = []
        listed = []
        gone = []
        observe = self._metrics.ranking_seconds.observe
        for user_id in users:
            started = time.perf_counter()
            row = self._rows.get(user_id)
            if not row.counts.total:
                # Erased, or the shopper's partition went to another worker, which publishes the list.
                gone.append(user_id)
                continue
            try:
                ranked = self._ranker.rank_user(request_of(user_id, row))
            except Exception:  # noqa: BLE001  # told in the log, whatever it is
                # One shopper whose list cannot be ranked must not keep the others from theirs.
                _LOG.exception("could not rank the list of %r", user_id)
                self._metrics.ranking_failures.inc()
                gone.append(user_id)
                continue
            key = user_key(user_id)
            value = self._document(key, ranked, generated_at, row.counts.total)
            documents.append(Document(key, value))
            listed.append((user_id, tuple([item.id for item in ranked.items]), value))
            observe(time.perf_counter() - started)
        for user_id in gone:
            del users[user_id]
        items: list[str] = []
        segments: list[str] = []
        if now >= self._next_round and (self._items or self._segments):
            # Items that wait in numbers are worked off between the shoppers' lists; a few wait for their round.
            many = len(self._items) > _ITEM_LISTS_A_ROUND
            self._next_round = now + self._settings.item_list_interval * (0.1 if many else 1.0)
            items, segments = self._rank_rounds(documents, generated_at)
        self._metrics.dirty_users.set(len(self._dirty))
        self._metrics.dirty_evicted.inc(self._dirty.evicted - self._evicted_reported)
        self._evicted_reported = self._dirty.evicted
        return _Batch(documents, users, listed, items, segments, dict(self._erased))

    def _rank_rounds(self, documents: list[Document], generated_at: str) -> tuple[list[str], list[str]]:
        items = []
        for item_id in list(islice(self._items, _ITEM_LISTS_A_ROUND)):
            del self._items[item_id]
            ranked = self._ranker.rank_item(item_id)
            if ranked.items:
                items.append(item_id)
                key = item_key(item_id)
                documents.append(Document(key, self._document(key, ranked, generated_at, 0)))
        segments = list(self._segments)
        self._segments.clear()
        for segment in segments:
            ranked = self._ranker.rank_segment(segment)
            key = popular_key(segment)
            documents.append(Document(key, self._document(key, ranked, generated_at, 0)))
        return items, segments

    def _document(self, key: str, ranked: Ranked, generated_at: str, events: int) -> bytes:
        name = f"{key}|{ranked.model_version}|{events}"
        return encode_list(
            RecommendationList(
                list_id=blake2b(name.encode(), digest_size=8).hexdigest(),
                key=key,
                generated_at=generated_at,
                policy=ranked.policy,
                model_version=ranked.model_version,
                items=ranked.items,
            )
        )

    async def _send(self, batch: _Batch) -> bool:
        erased = dict(self._erased)
        batch = batch.without({user for user, at in erased.items() if batch.erased.get(user) != at})
        started = time.perf_counter()
        try:
            # First what is to go: whoever came back after the erasure has a list in this very batch.
            if erased:
                keys = [key for user in erased for key in (user_key(user), search_key(user))]
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
        self._acknowledged(batch, time.perf_counter() - started)
        return True

    def _acknowledged(self, batch: _Batch, seconds: float) -> None:
        metrics = self._metrics
        now = self._clock()
        if batch.documents:
            metrics.flush_seconds.observe(seconds)
            metrics.flush_lists.observe(len(batch.documents))
        observe = metrics.freshness.observe
        for received in batch.users.values():
            for at in received:
                observe(max(0.0, now - at))
        self._published["user"].inc(len(batch.listed))
        self._published["item"].inc(len(batch.items))
        self._published["segment"].inc(len(batch.segments))
        audit = self._settings.audit_lists
        for user_id, items, value in batch.listed:
            if user_id in self._erased:
                # Erased while the list was on its way: it goes with the next flush.
                continue
            self._lists.published(user_id, items)
            if audit:
                self._append(LISTS.name, self._rows.partition_of(user_id), user_id.encode(), value)
        metrics.dirty_users.set(len(self._dirty))

    def _put_back(self, batch: _Batch) -> None:
        erased = self._erased
        self._dirty.put_back({user: at for user, at in batch.users.items() if user not in erased})
        if batch.items or batch.segments:
            self._next_round = 0.0
            self.touch(batch.items, batch.segments)
        self._metrics.dirty_users.set(len(self._dirty))


async def _wait(event: asyncio.Event, seconds: float | None) -> bool:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    return True

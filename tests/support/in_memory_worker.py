"""A worker without Faust, Kafka and Redis: the real components over ports in memory."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import msgspec

from state.published_list import PublishedList
from state.row import EMPTY_ROW, RowFormatError, UserRow, decode_row, encode_row
from state.snapshots.store import folder_store
from state.user_rows import UnreadableRow
from stream_app.client.redis_contract import SearchList, decode_list, decode_search_list
from stream_app.kafka.batch_producer import DeliveryError
from stream_app.metrics import Metrics
from stream_app.publishing.memory_publisher import MemoryPublisher
from stream_app.publishing.publisher import Document, OwnedKey, PublisherUnavailableError
from stream_app.settings import Settings
from stream_app.worker.agents.users import ForwardedEvents
from stream_app.worker.bootstrap import Ports, build_components
from stream_app.worker.warm_up import warm_up
from topics.catalog import DEAD_LETTERS, TopicSpec, topic_of
from topics.events import Click, Erasure, Event, Search, UserEvent
from topics.records import DeadLetter, RecommendationList

_compiled: set[str] = set()
"""The configurations whose kernels were compiled in this process."""

_SEARCH_KEYS = ("recs:search:", "recs:query:")

NOW = 1_700_000_000.0
"""The broker's time of a record by default."""


class ManualClock:
    """Seconds since the epoch, advanced by the test."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def _ignore_row(row: UnreadableRow) -> None:
    del row


class InMemoryUserRows:
    """Rows in a dict, as bytes; rows of the users in `unreadable` raise `RowFormatError`.

    While `failure` is set, reads and writes raise it.
    """

    def __init__(self) -> None:
        self.failure: Exception | None = None
        self.on_unreadable: Callable[[UnreadableRow], None] = _ignore_row
        self.stored: dict[str, bytes] = {}
        self.partitions: dict[str, int] = {}
        self.unreadable: set[str] = set()
        self.writes: Counter[str] = Counter()

    def get(self, user_id: str) -> UserRow:
        if self.failure is not None:
            raise self.failure
        if user_id in self.unreadable:
            raise RowFormatError("the stored row has format 99, this version reads 1")
        return decode_row(self.stored[user_id]) if user_id in self.stored else EMPTY_ROW

    def put(self, user_id: str, row: UserRow, partition: int) -> None:
        if self.failure is not None:
            raise self.failure
        self.stored[user_id] = encode_row(row)
        self.partitions[user_id] = partition
        self.writes[user_id] += 1

    def partition_of(self, user_id: str) -> int:
        return self.partitions.get(user_id, 0)

    def scan(self) -> Iterator[tuple[str, UserRow]]:
        for user_id in list(self.stored):
            yield user_id, self.get(user_id)

    def clear_cache(self) -> None:
        """Do nothing: there is no cache."""


class ProducedRecord(NamedTuple):
    """A record produced to Kafka."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None


class FakeBatchProducer:
    """Collects records; with `failing` it raises like a batch producer after a lost batch."""

    def __init__(self) -> None:
        self.records: list[ProducedRecord] = []
        self.failing = False

    def append(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        on_delivered: Callable[[int], None] | None = None,
        /,
    ) -> None:
        del on_delivered
        if self.failing:
            raise DeliveryError("an earlier batch was not delivered")
        self.records.append(ProducedRecord(topic, partition, key, value))

    def of(self, spec: TopicSpec) -> list[ProducedRecord]:
        return [record for record in self.records if record.topic == spec.name]


class BlockingPublisher(MemoryPublisher):
    """A memory publisher that can block in the middle of a flush, and signals its failures."""

    def __init__(self) -> None:
        super().__init__()
        self.publish_started = asyncio.Event()
        self.unblocked = asyncio.Event()
        self.unblocked.set()
        self.publish_failed = asyncio.Event()
        self.deletion_sizes: list[int] = []

    async def delete(self, keys: Sequence[OwnedKey]) -> None:
        try:
            await super().delete(keys)
        except PublisherUnavailableError:
            self.publish_failed.set()
            raise
        self.deletion_sizes.append(len(keys))

    async def publish(self, documents: Sequence[Document]) -> None:
        self.publish_started.set()
        await self.unblocked.wait()
        try:
            await super().publish(documents)
        except PublisherUnavailableError:
            self.publish_failed.set()
            raise

    def block(self) -> None:
        """Block flushes until `unblocked` is set."""
        self.publish_started.clear()
        self.unblocked.clear()


class InMemoryWorker:
    """The components of a worker, wired by the factory of the real worker, with ports in memory."""

    def __init__(self, folder: Path, forwarded: ForwardedEvents | None = None, **settings: Any) -> None:
        in_memory: dict[str, Any] = {
            "models": ["popularity", "item_to_item"],
            "fusion": "rrf",
            "policies": {"fixed": 1.0},
            "candidates_per_source": 50,
            "max_items": 1000,
            "max_users": 1000,
            "flush_linger": 0.0,
            "data_dir": folder,
        }
        self.settings = Settings(**{**in_memory, **settings})
        self.clock = ManualClock()
        self.metrics = Metrics()
        self.rows = InMemoryUserRows()
        self.producer = FakeBatchProducer()
        self.publisher = BlockingPublisher()
        store = folder_store(folder)
        self.components = build_components(
            self.settings,
            Ports(
                self.rows,
                self.producer.append,
                self.publisher,
                store,
                self.metrics,
                self.clock,
                timer=self.clock,
                forwarded=forwarded,
            ),
        )
        self.models = self.components.models
        self.replica = self.components.replica
        self.list_store = self.components.list_store
        self.lists = self.components.prequential
        self.log_progress = self.components.log_progress
        self.rewards = self.components.rewards
        self.queue = self.components.queue
        self.flush_loop = self.components.flush_loop
        self.events = self.components.user_events
        self._offsets: Counter[str] = Counter()

    def record(self, topic: str, key: bytes | None, value: bytes | None, **record_fields: Any) -> Any:
        """A Kafka record as Faust delivers it, by default with the next offset of its topic."""
        offset = self._offsets[topic]
        self._offsets[topic] += 1
        fields = {
            "offset": offset,
            "partition": 0,
            "timestamp": self.clock.now,
            "headers": (),
            **record_fields,
        }
        return SimpleNamespace(topic=topic, key=key, value=value, **fields)

    def message(self, event: Event, **record_fields: Any) -> Any:
        """The record of a user's event."""
        assert isinstance(event, UserEvent)
        topic = topic_of(type(event)).name
        return self.record(topic, event.user_id.encode(), msgspec.json.encode(event), **record_fields)

    def add_published_list(
        self, user_id: str, *items: str, list_id: str = "l", **fields: Any
    ) -> PublishedList:
        """Add a published list to the memory, at the time of the clock."""
        published = PublishedList(list_id, fields.pop("policy", "fixed"), self.clock.now, items, **fields)
        self.list_store.add(user_id, 0, published)
        return published

    def accept(self, *events: Event) -> None:
        """Handle valid events."""
        for event in events:
            assert self.events.handle(self.message(event)) is None
        assert self.dead_letters() == []

    def click(self, user_id: str, item_id: str, **fields: Any) -> Click:
        """A click at the time of the clock, with a unique event id."""
        self._offsets["event ids"] += 1
        event_id = f"e{self._offsets['event ids']}"
        return Click(
            **{
                "event_id": event_id,
                "ts": int(self.clock.now * 1000),
                "user_id": user_id,
                "item_id": item_id,
                **fields,
            }
        )

    def search(self, user_id: str, query: str, *results: str) -> Search:
        """A search at the time of the clock, with a unique event id."""
        self._offsets["event ids"] += 1
        return Search(
            event_id=f"e{self._offsets['event ids']}",
            ts=int(self.clock.now * 1000),
            user_id=user_id,
            query=query,
            results=list(results),
        )

    def erasure(self, user_id: str) -> Erasure:
        self._offsets["event ids"] += 1
        event_id = f"e{self._offsets['event ids']}"
        return Erasure(event_id=event_id, ts=int(self.clock.now * 1000), user_id=user_id)

    def dead_letters(self) -> list[DeadLetter]:
        """All dead letters so far."""
        values = [record.value for record in self.producer.of(DEAD_LETTERS)]
        return [msgspec.json.decode(value, type=DeadLetter) for value in values if value is not None]

    def published(self, key: str) -> RecommendationList | None:
        """The list at a key."""
        value = self.publisher.documents.get(key)
        if value is None:
            return None
        return decode_search_list(value) if key.startswith(_SEARCH_KEYS) else decode_list(value)

    def search_list(self, key: str) -> SearchList | None:
        """The list of a search or a query at a key."""
        found = self.published(key)
        assert found is None or isinstance(found, SearchList)
        return found

    def item_ids(self, key: str) -> list[str]:
        """The items of the list at a key, best first; none if there is no list."""
        found = self.published(key)
        return [] if found is None else [item.id for item in found.items]

    def count(self, name: str, **labels: str) -> float:
        """The value of a metric, by its name without the prefix ``headrace_``."""
        return self.metrics.registry.get_sample_value(f"headrace_{name}", labels) or 0.0

    def event_outcomes(self, spec: TopicSpec) -> dict[str, float]:
        """The counts of events of a topic by outcome, without zeros."""
        outcome_labels = ("accepted", "duplicate", "replayed", "dead_lettered", "rekeyed")
        counts = {
            outcome: self.count("events_total", topic=spec.name, outcome=outcome)
            for outcome in outcome_labels
        }
        return {outcome: count for outcome, count in counts.items() if count}

    @asynccontextmanager
    async def running_flush_loop(self) -> AsyncIterator[None]:
        """Run the flush loop; fail after two minutes, which do not include compiling its kernels."""
        _compile_kernels(self.settings)
        async with asyncio.timeout(120):
            self.flush_loop.start()
            try:
                yield
            finally:
                self.publisher.unblocked.set()
                await self.flush_loop.stop(patience=0.5)


def _compile_kernels(settings: Settings) -> None:
    """Compile what these settings use, list rules included: minutes on a busy machine without a cache."""
    configuration = repr(settings.ranking_config)
    if configuration not in _compiled:
        warm_up(settings)
        _compiled.add(configuration)


def click_shared_items(worker: InMemoryWorker) -> None:
    """Let two users click the same three items, so that the models have something to list."""
    for user in ("ann", "bob"):
        for item in ("shoe", "sock", "hat"):
            worker.accept(worker.click(user, item))


async def run_pending_tasks() -> None:
    """Let all tasks run that can."""
    for _ in range(20):
        await asyncio.sleep(0)

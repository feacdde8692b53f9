"""A worker without Kafka: its agents run over fake streams, its table is on disk."""

import asyncio
import time
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
from faust.events import Event
from faust.streams import _current_event
from faust.types.tuples import Message

from stream_app.kafka.partitioning import partition_of_key
from stream_app.kafka.unacknowledged_records import UnacknowledgedRecords
from stream_app.metrics import Metrics
from stream_app.publishing.memory_publisher import MemoryPublisher
from stream_app.settings import Settings
from stream_app.worker.app import create_app
from topics.catalog import DEAD_LETTERS
from topics.records import DeadLetter

PARTITIONS = 4


class FakeBatch:
    """A batch without a size limit."""

    def __init__(self) -> None:
        self.records: list[tuple[bytes | None, bytes | None]] = []
        self.times: list[float] = []

    def append(self, *, timestamp: None, key: bytes | None, value: bytes | None) -> object:
        del timestamp
        self.records.append((key, value))
        self.times.append(time.time())
        return object()

    def close(self) -> None: ...

    def _set_producer_state(self, producer_id: int, epoch: int, sequence: int) -> None: ...


class FakeCoordinator:
    """The client of a producer, whose coordinator grants every epoch."""

    async def coordinator_lookup(self, kind: int, key: str) -> int:
        del kind, key
        return 0

    async def ready(self, node: int, *, group: object) -> bool:
        del node, group
        return True

    async def send(self, node: int, request: object, *, group: object) -> SimpleNamespace:
        del node, request, group
        return SimpleNamespace(error_code=0, producer_id=1, producer_epoch=0)


class AcknowledgingProducer:
    """Acknowledges all records at once."""

    def __init__(self) -> None:
        self.client = FakeCoordinator()
        self.sent: list[tuple[str, int, bytes | None, bytes | None]] = []
        self.sent_at: list[float] = []
        self.forwarded: list[tuple[str, int, bytes, bytes]] = []
        self.forwarded_headers: list[list[tuple[str, bytes]]] = []

    def create_batch(self) -> FakeBatch:
        return FakeBatch()

    async def send_batch(self, batch: FakeBatch, topic: str, *, partition: int) -> "asyncio.Future[Any]":
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        done.set_result(SimpleNamespace(offset=len(self.sent)))
        self.sent += [(topic, partition, key, value) for key, value in batch.records]
        self.sent_at += batch.times
        return done

    async def send(
        self, topic: str, value: bytes, *, key: bytes, partition: int, headers: list[tuple[str, bytes]]
    ) -> "asyncio.Future[Any]":
        self.forwarded_headers.append(headers)
        self.forwarded.append((topic, partition, key, value))
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done


class FakeStream:
    """Replaces the stream of Faust, which needs a running application.

    Attributes
    ----------
    counted
        Partition and offset of the events that Faust would count as processed; its compiled streams do not ask the
        consumer.
    """

    def __init__(self, app: Any) -> None:
        self.app = app
        self.counted: list[tuple[int, int]] = []
        self.messages: asyncio.Queue[Message | None] = asyncio.Queue()
        self.channel = SimpleNamespace(queue=self.messages)

    async def events(self) -> AsyncIterator[Any]:
        """Yield events, each as the current event of Faust's tables, until None is queued."""
        while (message := await self.messages.get()) is not None:
            event = Event(self.app, message.key, message.value, {}, message)
            token = _current_event.set(weakref.ref(event))
            try:
                yield event
            finally:
                _current_event.reset(token)
                if not message.acked:
                    self.counted.append((message.partition, message.offset))


class WorkerWithoutKafka:
    """A worker, with its input and output."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(
            models=["popularity", "item_to_item"],
            data_dir=folder,
            flush_linger=0.0,
            producer_linger=0.0,
            flush_users=2,
            max_items=100,
            max_users=100,
        )
        self.publisher = MemoryPublisher()
        self.metrics = Metrics()
        self.app = create_app(self.settings, self.publisher, partitions=PARTITIONS, metrics=self.metrics)
        worker = self.app.headrace_worker
        self.components = worker.components
        self.rows = worker.rows
        self.batch_producer = worker.batch_producer
        self.fence = worker.fence
        self.catch_up_barrier = worker.catch_up_barrier
        self.producer = AcknowledgingProducer()
        self.app.producer = SimpleNamespace(
            _ensure_producer=lambda: self.producer, forwarded=UnacknowledgedRecords()
        )
        self.app.consumer = SimpleNamespace(suspend_flow=asyncio.Event())
        self.app.flow_control.resume()
        self._clicks = 0
        self._offsets: dict[tuple[str, int], int] = {}

    def suspend(self) -> None:
        """What Faust does at first when partitions are revoked, or the worker is told to stop."""
        self.app.consumer.suspend_flow.set()
        self.app.flow_control.suspend()

    @asynccontextmanager
    async def agent(self, name: str) -> "AsyncIterator[FakeStream]":
        """Run the function of an agent over a fake stream; raise its error, if any."""
        [agent] = [agent for agent in self.app.agents.values() if agent.name.endswith(name)]
        stream = FakeStream(self.app)
        running = asyncio.create_task(agent.fun(stream))
        yield stream
        stream.messages.put_nowait(None)
        await asyncio.wait_for(running, 10)

    async def put(
        self,
        stream: "FakeStream",
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int | None = None,
        *,
        offset: int | None = None,
    ) -> None:
        """Send a record to an agent, by default in the partition of its key, with the next offset there."""
        if partition is None:
            partition = partition_of_key(key or b"", PARTITIONS)
        topic_partition = (topic, partition)
        if offset is None:
            offset = self._offsets[topic_partition] = self._offsets.get(topic_partition, -1) + 1
        message = Message(topic, partition, offset, time.time(), 0, (), key, value, b"")
        message.generation_id = self.app.consumer_generation_id
        stream.messages.put_nowait(message)

    async def click(self, agent: Any, user: str, item: str, **fields: Any) -> bytes:
        """Send a click to an agent, by default under the user's key; return its bytes."""
        key, partition = fields.pop("key", user.encode()), fields.pop("partition", None)
        self._clicks += 1
        ts = int(time.time() * 1000) + self._clicks
        event = {"event_id": f"e{self._clicks}", "ts": ts, "user_id": user, "item_id": item}
        value = msgspec.json.encode(event | fields)
        await self.put(agent, "events.click", key, value, partition)
        return value

    def count(self, topic: str, outcome: str) -> float:
        labels = {"topic": topic, "outcome": outcome}
        return self.metrics.registry.get_sample_value("headrace_events_total", labels) or 0.0

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(120):
            while not condition():  # noqa: ASYNC110  # agents have no event to wait for
                await asyncio.sleep(0)

    def sent_to(self, topic: str) -> list[bytes | None]:
        return [value for name, _, _, value in self.producer.sent if name == topic]

    def letters(self) -> list[DeadLetter]:
        values = self.sent_to(DEAD_LETTERS.name)
        return [msgspec.json.decode(value, type=DeadLetter) for value in values if value is not None]


@asynccontextmanager
async def open_worker(folder: Path) -> AsyncIterator[WorkerWithoutKafka]:
    """Open a worker, and leave no task behind."""
    worker = WorkerWithoutKafka(folder)
    await worker.fence.acquire(range(PARTITIONS))
    yield worker
    await worker.components.flush_loop.stop(patience=0.1)
    await worker.batch_producer.flush()

"""Sends records to Kafka in batches, one open batch per partition.

Sending each record separately costs Faust and aiokafka about 100 µs (a future, a queue, a task switch); appending it
to a batch costs 3 µs. Delivery is then known per batch only, which is enough for the changelog and the commit:
`BatchProducer.flush` returns when all earlier records are acknowledged and raises if one is not, so that no offset
is committed over a lost record.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final, Protocol

from stream_app.kafka.partition_fence import PartitionFence
from topics.catalog import MAX_RECORD_BYTES

DeliveryCallback = Callable[[int], None]
"""Called with the offset of the last record of a delivered batch."""

_COLLECT_BYTES: Final = 256 * 1024
"""Bytes at which a batch is sent without waiting for the linger. A larger record has a batch of its own, because
Kafka's message limit applies to the batch."""


class BatchSender(Protocol):
    """The part of `aiokafka.AIOKafkaProducer` that is used."""

    def create_batch(self) -> Any:
        """A new batch builder."""

    async def send_batch(self, batch: Any, topic: str, *, partition: int) -> Any:
        """Queue a batch and return the future of its metadata."""


class DeliveryError(RuntimeError):
    """Kafka did not acknowledge a batch."""


class RecordTooLargeError(ValueError):
    """A record exceeds the maximum batch size; it was not appended, and other records are not affected."""


class _RecordBatch:
    __slots__ = ("builder", "bytes", "count", "generation", "number", "on_delivered", "partition", "topic")

    def __init__(self, builder: Any, topic: str, partition: int, generation: int) -> None:
        self.builder = builder
        self.topic = topic
        self.partition = partition
        self.generation = generation
        self.number = 0
        self.bytes = 0
        self.count = 0
        self.on_delivered: DeliveryCallback | None = None


class BatchProducer:
    """Sends records in batches, with one open batch per partition.

    Parameters
    ----------
    producer
        Returns the running producer; called at each use, since Faust replaces it on restart.
    linger
        Seconds that a batch waits for more records.
    on_failure
        Called once, with topic, partition and error, if a batch could not be delivered: the worker must stop and read
        the events again.
    fence
        The partitions that this worker owns. A record for the log of another partition is dropped, and a batch is
        sent under the ownership under which it was begun, or not at all. None fences nothing.

    on_dropped
        Called with the number of records that were dropped because their partition was not owned.
    """

    def __init__(
        self,
        producer: Callable[[], BatchSender],
        linger: float,
        on_failure: Callable[[str, int, Exception], None],
        fence: PartitionFence | None = None,
        on_dropped: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._fence = fence
        self._on_dropped = on_dropped
        self._dropped_logs: set[tuple[str, int]] = set()
        self._producer = producer
        self._linger = linger
        self._on_failure = on_failure
        self._filling: dict[tuple[str, int], _RecordBatch] = {}
        self._ready: list[_RecordBatch] = []
        self._sending: asyncio.Task[None] | None = None
        self._n_closed = 0
        # Closed batches that are neither acknowledged nor dropped, by their number.
        self._outstanding: dict[int, _RecordBatch] = {}
        self._settled = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._failure: Exception | None = None

    def append(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        on_delivered: DeliveryCallback | None = None,
    ) -> None:
        """Append one record without waiting.

        Raises
        ------
        DeliveryError
            If an earlier batch failed.
        RecordTooLargeError
            If the record exceeds the maximum batch size.
        """
        if self._failure is not None:
            raise DeliveryError("an earlier batch was not delivered") from self._failure
        if self._fence is not None and not self._fence.owns(topic, partition):
            self._drop(topic, partition, 1)
            return
        topic_partition = (topic, partition)
        batch = self._filling.get(topic_partition)
        size = len(value or b"") + len(key or b"")
        if size > MAX_RECORD_BYTES:
            raise RecordTooLargeError(
                f"a record of {size} bytes for {topic} exceeds the maximum of {MAX_RECORD_BYTES}"
            )
        # A batch of an earlier ownership is dropped; the marker of the new one must not be.
        is_outdated = batch is not None and self._is_fenced_off(batch)
        if batch is not None and (is_outdated or batch.bytes + size > 2 * _COLLECT_BYTES):
            self._close(topic_partition)
            batch = None
        if batch is None:
            batch = self._start(topic_partition)
        if batch.builder.append(timestamp=None, key=key, value=value) is None:
            self._close(topic_partition)
            batch = self._start(topic_partition)
            if batch.builder.append(timestamp=None, key=key, value=value) is None:
                del self._filling[topic_partition]
                raise RecordTooLargeError(
                    f"a record of {len(value or b'')} bytes for {topic} exceeds the maximum batch size"
                )
        batch.count += 1
        batch.bytes += size
        # A record without a callback must not replace that of the records before it.
        batch.on_delivered = on_delivered or batch.on_delivered
        if batch.bytes >= _COLLECT_BYTES:
            self._close(topic_partition)
            self._start_sending()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._linger, self._on_linger)

    def take_dropped_logs(self) -> set[tuple[str, int]]:
        """Topics and partitions of the records that were dropped since the last call."""
        dropped, self._dropped_logs = self._dropped_logs, set()
        return dropped

    def _drop(self, topic: str, partition: int, count: int) -> None:
        self._dropped_logs.add((topic, partition))
        self._on_dropped(count)

    async def flush(self) -> None:
        """Send all appended records and wait until Kafka acknowledges them; not those appended meanwhile.

        Raises
        ------
        DeliveryError
            If any batch, including earlier ones, was not delivered.
        """
        for topic_partition in list(self._filling):
            self._close(topic_partition)
        self._start_sending()
        last = self._n_closed
        while self._failure is None and min(self._outstanding, default=last + 1) <= last:
            self._settled.clear()
            await self._settled.wait()
        if self._failure is not None:
            raise DeliveryError("a batch was not delivered") from self._failure

    def _start(self, topic_partition: tuple[str, int]) -> _RecordBatch:
        batch = self._filling[topic_partition] = _RecordBatch(
            self._producer().create_batch(), *topic_partition, self._generation()
        )
        return batch

    def _generation(self) -> int:
        return 0 if self._fence is None else self._fence.generation

    def _is_fenced_off(self, batch: _RecordBatch) -> bool:
        """Whether a batch was begun before its partition was lost or acquired again."""
        fence = self._fence
        return fence is not None and batch.topic in fence.topics and batch.generation != fence.generation

    def _close(self, topic_partition: tuple[str, int]) -> None:
        batch = self._filling.pop(topic_partition)
        batch.builder.close()
        self._n_closed += 1
        batch.number = self._n_closed
        self._outstanding[batch.number] = batch
        self._ready.append(batch)

    def _on_linger(self) -> None:
        self._timer = None
        for topic_partition in list(self._filling):
            self._close(topic_partition)
        self._start_sending()

    def _start_sending(self) -> None:
        if self._ready and self._sending is None:
            self._sending = asyncio.get_running_loop().create_task(self._send_ready())

    async def _send_ready(self) -> None:
        # One task sends in order: a batch must not overtake an earlier one of its partition.
        try:
            while self._ready:
                batch = self._ready.pop(0)
                if self._is_fenced_off(batch):
                    self._drop(batch.topic, batch.partition, batch.count)
                    self._settle(batch)
                    continue
                if self._fence is not None:
                    self._fence.stamp(batch.builder, batch.topic, batch.partition, batch.count)
                future = await self._producer().send_batch(
                    batch.builder, batch.topic, partition=batch.partition
                )
                future.add_done_callback(lambda done, batch=batch: self._on_done(done, batch))
        except Exception as error:  # noqa: BLE001  # after any error no offset may be committed
            self._fail(batch, error)
        finally:
            self._sending = None
        self._start_sending()

    def _on_done(self, future: "asyncio.Future[Any]", batch: _RecordBatch) -> None:
        self._settle(batch)
        if future.cancelled():
            self._fail(batch, DeliveryError("sending was cancelled"))
            return
        error = future.exception()
        if error is not None:
            self._fail(batch, error if isinstance(error, Exception) else DeliveryError(str(error)))
        elif batch.on_delivered is not None:
            batch.on_delivered(future.result().offset + batch.count - 1)

    def _settle(self, batch: _RecordBatch) -> None:
        self._outstanding.pop(batch.number, None)
        self._settled.set()

    def _fail(self, batch: _RecordBatch, error: Exception) -> None:
        self._settle(batch)
        if self._failure is None:
            self._failure = error
            self._on_failure(batch.topic, batch.partition, error)

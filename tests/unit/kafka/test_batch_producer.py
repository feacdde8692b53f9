"""The batch producer."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from stream_app.kafka.batch_producer import BatchProducer, DeliveryError, RecordTooLargeError


class LimitedBatchBuilder:
    """A batch builder with a capacity in bytes."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.records: list[tuple[bytes | None, bytes | None]] = []

    def append(self, *, timestamp: None, key: bytes | None, value: bytes | None) -> object | None:
        assert timestamp is None
        size = len(value or b"")
        if size > self.capacity:
            return None
        self.capacity -= size
        self.records.append((key, value))
        return object()

    def close(self) -> None:
        self.capacity = -1


class ManualAckProducer:
    """A producer whose batches are acknowledged at once, or by the test."""

    def __init__(self, *, acknowledge_immediately: bool = True, capacity: int = 10_000_000) -> None:
        self.acknowledge_immediately = acknowledge_immediately
        self.capacity = capacity
        self.sent: list[tuple[str, int, LimitedBatchBuilder]] = []
        self.futures: list[asyncio.Future[Any]] = []

    def create_batch(self) -> LimitedBatchBuilder:
        return LimitedBatchBuilder(self.capacity)

    async def send_batch(
        self, batch: LimitedBatchBuilder, topic: str, *, partition: int
    ) -> asyncio.Future[Any]:
        base = sum(len(b.records) for t, p, b in self.sent if (t, p) == (topic, partition))
        self.sent.append((topic, partition, batch))
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.futures.append(future)
        if self.acknowledge_immediately:
            future.set_result(SimpleNamespace(offset=base))
        return future

    def values(self, topic: str, partition: int) -> list[bytes | None]:
        return [v for t, p, b in self.sent if (t, p) == (topic, partition) for _, v in b.records]


def make_batch_producer(
    producer: ManualAckProducer,
    linger: float = 60.0,
    on_failure: Callable[[str, int, Exception], None] = lambda *_: None,
) -> BatchProducer:
    return BatchProducer(lambda: producer, linger, on_failure)


async def test_flush_sends_everything_in_order_per_partition() -> None:
    producer = ManualAckProducer()
    batch_producer = make_batch_producer(producer)
    for n in range(10):
        batch_producer.append("t", n % 2, None, str(n).encode())
    assert producer.sent == []
    await batch_producer.flush()
    assert producer.values("t", 0) == [b"0", b"2", b"4", b"6", b"8"]
    assert producer.values("t", 1) == [b"1", b"3", b"5", b"7", b"9"]


async def test_the_delivery_callback_gets_the_last_offset_of_a_batch() -> None:
    batch_producer = make_batch_producer(ManualAckProducer())
    delivered_offsets: list[int] = []
    for n in range(3):
        batch_producer.append("t", 0, None, str(n).encode(), delivered_offsets.append)
    await batch_producer.flush()
    batch_producer.append("t", 0, None, b"3", delivered_offsets.append)
    await batch_producer.flush()
    assert delivered_offsets == [2, 3]


async def test_records_are_sent_after_the_linger_without_a_flush() -> None:
    producer = ManualAckProducer()
    batch_producer = make_batch_producer(producer, linger=0.001)
    batch_producer.append("t", 0, b"k", b"v")
    async with asyncio.timeout(5):
        while not producer.sent:  # noqa: ASYNC110  # the condition is the producer's, it has no event
            await asyncio.sleep(0)
    assert producer.values("t", 0) == [b"v"]


async def test_a_full_batch_is_sent_without_waiting() -> None:
    producer = ManualAckProducer()
    batch_producer = make_batch_producer(producer)
    for _ in range(3):
        batch_producer.append("t", 0, None, b"x" * 200_000)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(producer.sent) == 1
    await batch_producer.flush()
    assert len(producer.values("t", 0)) == 3


async def test_flush_does_not_wait_for_later_records() -> None:
    producer = ManualAckProducer(acknowledge_immediately=False)
    batch_producer = make_batch_producer(producer)
    batch_producer.append("t", 0, None, b"0")
    flushing = asyncio.ensure_future(batch_producer.flush())
    async with asyncio.timeout(5):
        for n in range(20):
            # Under load a batch is in flight at any time.
            while len(producer.futures) <= n:  # noqa: ASYNC110  # as above
                await asyncio.sleep(0)
            batch_producer.append("t", 0, None, b"later")
            later = asyncio.ensure_future(batch_producer.flush())
            while len(producer.futures) <= n + 1:  # noqa: ASYNC110  # as above
                await asyncio.sleep(0)
            producer.futures[n].set_result(SimpleNamespace(offset=n))
            if n == 0:
                await flushing
                assert not later.done()
        producer.futures[-1].set_result(SimpleNamespace(offset=99))
        await later


async def test_flush_raises_when_kafka_rejects_a_batch_and_stays_failed() -> None:
    producer = ManualAckProducer(acknowledge_immediately=False)
    failures: list[tuple[object, ...]] = []
    batch_producer = make_batch_producer(producer, on_failure=lambda *failure: failures.append(failure))
    batch_producer.append("t", 0, None, b"v")
    flushing = asyncio.ensure_future(batch_producer.flush())
    async with asyncio.timeout(5):
        while not producer.futures:  # noqa: ASYNC110  # as above
            await asyncio.sleep(0)
    error = ConnectionError("gone")
    producer.futures[0].set_exception(error)
    with pytest.raises(DeliveryError):
        await flushing
    assert failures == [("t", 0, error)]
    with pytest.raises(DeliveryError):
        batch_producer.append("t", 0, None, b"w")
    with pytest.raises(DeliveryError):
        await batch_producer.flush()


async def test_a_record_over_the_batch_size_is_rejected_and_others_are_sent() -> None:
    producer = ManualAckProducer(capacity=100)
    batch_producer = make_batch_producer(producer)
    batch_producer.append("t", 0, None, b"small")
    with pytest.raises(RecordTooLargeError, match="exceeds the maximum batch size"):
        batch_producer.append("t", 0, None, b"x" * 101)
    batch_producer.append("t", 0, None, b"other")
    await batch_producer.flush()
    assert producer.values("t", 0) == [b"small", b"other"]

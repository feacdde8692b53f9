"""Batches of records to Kafka."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from stream_app.kafka.batch_producer import DeliveryError, Outbox, RecordTooLargeError


class Builder:
    """A batch builder that takes up to `room` bytes."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.records: list[tuple[bytes | None, bytes | None]] = []

    def append(self, *, timestamp: None, key: bytes | None, value: bytes | None) -> object | None:
        assert timestamp is None
        size = len(value or b"")
        if size > self.room:
            return None
        self.room -= size
        self.records.append((key, value))
        return object()

    def close(self) -> None:
        self.room = -1


class Producer:
    """A producer whose batches are acknowledged by hand, or at once."""

    def __init__(self, *, at_once: bool = True, room: int = 10_000_000) -> None:
        self.at_once = at_once
        self.room = room
        self.sent: list[tuple[str, int, Builder]] = []
        self.futures: list[asyncio.Future[Any]] = []

    def create_batch(self) -> Builder:
        return Builder(self.room)

    async def send_batch(self, batch: Builder, topic: str, *, partition: int) -> asyncio.Future[Any]:
        base = sum(len(b.records) for t, p, b in self.sent if (t, p) == (topic, partition))
        self.sent.append((topic, partition, batch))
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.futures.append(future)
        if self.at_once:
            future.set_result(SimpleNamespace(offset=base))
        return future

    def values(self, topic: str, partition: int) -> list[bytes | None]:
        return [v for t, p, b in self.sent if (t, p) == (topic, partition) for _, v in b.records]


def outbox_of(
    producer: Producer, linger: float = 60.0, failed: Callable[[Exception], None] = lambda _: None
) -> Outbox:
    return Outbox(lambda: producer, linger, failed)


async def test_flush_sends_everything_in_order_a_partition() -> None:
    producer = Producer()
    outbox = outbox_of(producer)
    for n in range(10):
        outbox.append("t", n % 2, None, str(n).encode())
    assert producer.sent == []
    await outbox.flush()
    assert producer.values("t", 0) == [b"0", b"2", b"4", b"6", b"8"]
    assert producer.values("t", 1) == [b"1", b"3", b"5", b"7", b"9"]
    assert outbox.waiting == 0


async def test_delivered_is_told_the_last_offset_of_a_batch() -> None:
    outbox = outbox_of(Producer())
    told: list[int] = []
    for n in range(3):
        outbox.append("t", 0, None, str(n).encode(), told.append)
    await outbox.flush()
    outbox.append("t", 0, None, b"3", told.append)
    await outbox.flush()
    assert told == [2, 3]


async def test_records_are_sent_after_the_linger_without_a_flush() -> None:
    producer = Producer()
    outbox = outbox_of(producer, linger=0.001)
    outbox.append("t", 0, b"k", b"v")
    async with asyncio.timeout(5):
        while not producer.sent:  # noqa: ASYNC110  # the condition is the producer's, it has no event
            await asyncio.sleep(0)
    assert producer.values("t", 0) == [b"v"]


async def test_a_full_batch_goes_without_waiting() -> None:
    producer = Producer()
    outbox = outbox_of(producer)
    for _ in range(3):
        outbox.append("t", 0, None, b"x" * 200_000)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(producer.sent) == 1
    await outbox.flush()
    assert len(producer.values("t", 0)) == 3


async def test_flush_raises_when_kafka_did_not_take_a_batch_and_stays_failed() -> None:
    producer = Producer(at_once=False)
    failures: list[Exception] = []
    outbox = outbox_of(producer, failed=failures.append)
    outbox.append("t", 0, None, b"v")
    flushing = asyncio.ensure_future(outbox.flush())
    async with asyncio.timeout(5):
        while not producer.futures:  # noqa: ASYNC110  # as above
            await asyncio.sleep(0)
    lost = ConnectionError("gone")
    producer.futures[0].set_exception(lost)
    with pytest.raises(DeliveryError):
        await flushing
    assert failures == [lost]
    with pytest.raises(DeliveryError):
        outbox.append("t", 0, None, b"w")
    with pytest.raises(DeliveryError):
        await outbox.flush()


async def test_a_record_over_the_batch_size_is_refused_and_others_still_go() -> None:
    producer = Producer(room=100)
    outbox = outbox_of(producer)
    outbox.append("t", 0, None, b"small")
    with pytest.raises(RecordTooLargeError, match="over the batch size"):
        outbox.append("t", 0, None, b"x" * 101)
    outbox.append("t", 0, None, b"other")
    await outbox.flush()
    assert producer.values("t", 0) == [b"small", b"other"]

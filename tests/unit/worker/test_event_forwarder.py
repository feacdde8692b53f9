"""Events are forwarded to the partitions of their users, or become dead letters if Kafka refuses them."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaError, KafkaTimeoutError, MessageSizeTooLargeError

from stream_app.kafka.event_logs import EventLog
from stream_app.kafka.event_origin import EventOrigin, read_origin
from stream_app.worker.event_forwarder import EventForwarder
from topics.catalog import CLICKS
from topics.codec import RejectedError


class Batch:
    """A batch that a test reads."""

    def __init__(self) -> None:
        self.records: list[tuple[bytes, bytes, list[tuple[str, bytes]]]] = []

    def append(self, *, timestamp: None, key: bytes, value: bytes, headers: list[tuple[str, bytes]]) -> None:
        del timestamp
        self.records.append((key, value, headers))

    def close(self) -> None: ...


class Producer:
    """Collects records in one batch of at most `max_bytes`, as a broker with a small limit accepts them."""

    def __init__(self, max_bytes: int = 1_000) -> None:
        self.max_bytes = max_bytes
        self.failure: Exception | None = None
        self.pending: list[tuple[bytes, bytes, EventOrigin | None, asyncio.Future[Any]]] = []
        self.accepted: list[tuple[str, int, bytes, bytes]] = []
        self.origins: list[EventOrigin | None] = []

    async def send(
        self, topic: str, value: bytes, *, key: bytes, partition: int, headers: list[tuple[str, bytes]]
    ) -> "asyncio.Future[Any]":
        assert (topic, partition) == (CLICKS.name, 2)
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.pending.append((key, value, read_origin(headers, key, value), done))
        return done

    def answer(self) -> None:
        """Accept or refuse the batch."""
        size = sum(len(value) for _, value, _, _ in self.pending)
        failure = self.failure or (MessageSizeTooLargeError() if size > self.max_bytes else None)
        for key, value, origin, done in self.pending:
            if failure is not None:
                done.set_exception(failure)
            else:
                self.accepted.append((CLICKS.name, 2, key, value))
                self.origins.append(origin)
                done.set_result(None)
        self.pending.clear()

    def create_batch(self) -> Batch:
        return Batch()

    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> "asyncio.Future[Any]":
        [(key, value, headers)] = batch.records
        done = await self.send(topic, value, key=key, partition=partition, headers=headers)
        self.answer()
        return done


class Letters:
    """Collects dead letters."""

    def __init__(self) -> None:
        self.written: list[tuple[bytes, str]] = []

    def write(self, message: Any, error: RejectedError) -> None:
        self.written.append((message.value, error.detail))


def message(value: bytes, offset: int) -> SimpleNamespace:
    return SimpleNamespace(topic=CLICKS.name, value=value, partition=1, offset=offset)


async def forward(producer: Producer, letters: Letters, *values: bytes) -> None:
    forwarder = EventForwarder(lambda: producer, lambda _: 2, letters, {CLICKS.name: EventLog("x")})
    sent = [
        await forwarder.forward(message(value, 7 + 2 * number), "ann") for number, value in enumerate(values)
    ]
    producer.answer()
    await asyncio.gather(*sent)


async def test_an_event_larger_than_the_topic_allows_becomes_a_dead_letter() -> None:
    producer, letters = Producer(), Letters()
    await forward(producer, letters, b"x" * 1_001)
    assert producer.accepted == []
    [(value, detail)] = letters.written
    assert value == b"x" * 1_001
    assert "1001 bytes are more than max.message.bytes of events.click allows" in detail


async def test_events_that_are_too_large_together_are_sent_one_by_one() -> None:
    producer, letters = Producer(), Letters()
    values = [b"%d" % number * 400 for number in range(3)]
    await forward(producer, letters, *values)
    assert sorted(producer.accepted) == [(CLICKS.name, 2, b"ann", value) for value in values]
    assert letters.written == []
    # Each names the one before it, in whatever order they arrive.
    assert {(each.offset, each.previous) for each in producer.origins if each} == {(7, -1), (9, 7), (11, 9)}
    assert {(each.topic_id, each.partition) for each in producer.origins if each} == {("x", 1)}


async def test_after_a_revocation_no_event_precedes_the_next_one() -> None:
    producer = Producer()
    forwarder = EventForwarder(lambda: producer, lambda _: 2, Letters(), {CLICKS.name: EventLog("x")})
    for offset in (7, 9):
        sent = await forwarder.forward(message(b"x", offset), "ann")
        producer.answer()
        await sent
    forwarder.clear()
    sent = await forwarder.forward(message(b"x", 9), "ann")
    producer.answer()
    await sent
    assert [(each.offset, each.previous) for each in producer.origins if each] == [(7, -1), (9, 7), (9, -1)]


async def test_another_failure_is_raised_before_a_commit() -> None:
    producer, letters = Producer(), Letters()
    producer.failure = KafkaTimeoutError()
    with pytest.raises(KafkaError):
        await forward(producer, letters, b"x")
    assert letters.written == []

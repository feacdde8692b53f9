"""The fence of partitions on a real broker: former owners neither append nor renew."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import InvalidProducerEpoch, ProducerFenced
from aiokafka.structs import TopicPartition

from stream_app.kafka.batch_producer import BatchProducer, DeliveryError
from stream_app.kafka.log_consumer import log_consumer
from stream_app.kafka.partition_fence import PartitionFence
from stream_app.kafka.range_reader import LogRange, RangeReader
from stream_app.worker.ownership import append_markers
from topics import admin
from topics.catalog import DEAD_LETTERS, LISTS

TOPIC = LISTS.name


class Owner:
    """A worker's fence and producer."""

    def __init__(self, producer: Any, app_id: str) -> None:
        self.failures: list[Exception] = []
        self.fence = PartitionFence(lambda: producer.client, app_id, [TOPIC])
        self.producer = BatchProducer(
            lambda: producer, 60.0, lambda _topic, _partition, error: self.failures.append(error), self.fence
        )

    async def acquire(self) -> None:
        await self.fence.acquire([0])
        append_markers(self.producer, self.fence)
        await self.producer.flush()

    async def write(self, value: bytes) -> None:
        self.producer.append(TOPIC, 0, b"ann", value)
        await self.producer.flush()


@pytest.fixture
async def owners(broker: str) -> AsyncIterator[tuple[Owner, Owner]]:
    """Two workers of one application."""
    admin.create([LISTS, DEAD_LETTERS], broker, partitions=1, replication=1)
    producers = [AIOKafkaProducer(bootstrap_servers=broker, acks="all") for _ in range(2)]
    await asyncio.gather(*(each.start() for each in producers))
    app_id = f"fence-{uuid.uuid4().hex[:8]}"
    yield Owner(producers[0], app_id), Owner(producers[1], app_id)
    await asyncio.gather(*(each.stop() for each in producers))


async def values(broker: str) -> list[bytes]:
    """The values of the topic without markers."""
    consumer = log_consumer(broker)
    await consumer.start()
    try:
        tp = TopicPartition(TOPIC, 0)
        ends = await consumer.end_offsets([tp])
        reader = RangeReader(consumer, [LogRange(tp, 0, ends[tp])])
        return [each.value async for records in reader.read() for each in records if each.value is not None]
    finally:
        await consumer.stop()


async def test_a_former_owner_neither_appends_nor_renews(owners: tuple[Owner, Owner], broker: str) -> None:
    former, owner = owners
    await former.acquire()
    await former.write(b"1")
    await former.fence.renew()
    await former.write(b"2")
    await owner.acquire()
    # It was stopped, and does not know of the new owner.
    with pytest.raises(InvalidProducerEpoch):
        await former.fence.renew()
    await owner.fence.renew()
    await owner.write(b"3")
    with pytest.raises(DeliveryError):
        await former.write(b"old")
    assert [type(each) for each in former.failures] == [ProducerFenced]
    await owner.write(b"4")
    assert owner.failures == []
    assert await values(broker) == [b"1", b"2", b"3", b"4"]

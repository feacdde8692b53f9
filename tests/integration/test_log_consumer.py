"""What a log has at an offset, asked of a real broker: removed records, aborted transactions, and its ends."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from typing import Any, Final

import kafka
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.structs import TopicPartition

from stream_app.kafka.log_consumer import log_consumer
from stream_app.kafka.range_reader import LogRange, RangeReader
from topics import admin
from topics.catalog import LISTS

LOG: Final = TopicPartition(LISTS.name, 0)


@asynccontextmanager
async def transactions(broker: str) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(bootstrap_servers=broker, transactional_id="shop")
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def append(producer: AIOKafkaProducer, count: int, *, commit: bool) -> None:
    """Append a transaction, whose end takes an offset too."""
    await producer.begin_transaction()
    for number in range(count):
        await producer.send_and_wait(LOG.topic, b"value", key=b"%d" % number, partition=LOG.partition)
    await (producer.commit_transaction() if commit else producer.abort_transaction())


@asynccontextmanager
async def started_consumer(broker: str) -> AsyncIterator[Any]:
    consumer = log_consumer(broker)
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


@pytest.fixture
def log(broker: str) -> str:
    """The broker, with an empty log."""
    admin.create([LISTS], broker, partitions=1, replication=1)
    return broker


async def test_the_first_visible_record_of_a_range_is_found(log: str) -> None:
    async with transactions(log) as producer:
        await append(producer, 3, commit=True)  # 0 to 2, and its end at 3
        for _ in range(30):
            await append(producer, 1, commit=False)  # 4 to 63
        await append(producer, 2, commit=True)  # 64 and 65, and its end at 66
    async with started_consumer(log) as consumer:
        found = {start: await consumer.first_offset(LOG, start, 67) for start in (0, 2, 3, 4, 40, 64, 66)}
        assert found == {0: 0, 2: 2, 3: 64, 4: 64, 40: 64, 64: 64, 66: 67}
        # Within the range alone, and unknown where the log has ended.
        assert await consumer.first_offset(LOG, 3, 20) == 20
        assert await consumer.first_offset(LOG, 66, 80) is None
        assert await consumer.first_offset(LOG, 90, 95) is None


async def test_a_range_with_removed_records_begins_after_them(log: str) -> None:
    async with transactions(log) as producer:
        await append(producer, 20, commit=True)
    with closing(kafka.KafkaAdminClient(bootstrap_servers=log)) as client:
        client.delete_records({kafka.TopicPartition(*LOG): 12})
    async with started_consumer(log) as consumer:
        assert await consumer.first_offset(LOG, 5, 15) == 12
        assert await consumer.first_offset(LOG, 5, 10) == 10


async def test_records_removed_under_a_consumer_are_reported(log: str) -> None:
    """Of those that it has not read, once; not the ends of transactions, nor what a seek passes."""
    async with transactions(log) as producer:
        await append(producer, 20, commit=True)
    removed: list[tuple[TopicPartition, int, int]] = []
    consumer = log_consumer(log)
    consumer.on_removed = lambda *found: removed.append(found)
    await consumer.start()
    try:
        consumer.assign([LOG])
        consumer.seek(LOG, 0)
        fetched = await consumer.getmany(LOG, timeout_ms=30_000, max_records=20)
        assert [each.offset for each in fetched[LOG]] == list(range(20))
        consumer.seek(LOG, 5)
        with closing(kafka.KafkaAdminClient(bootstrap_servers=log)) as client:
            client.delete_records({kafka.TopicPartition(*LOG): 12})
        while (first := await consumer.getone(LOG)).offset < 12:
            consumer.seek(LOG, 5)  # it was fetched before the records were removed
        assert first.offset == 12
        assert removed == [(LOG, 5, 12)]
        consumer.seek(LOG, 15)
        assert (await consumer.getone(LOG)).offset == 15
        await consumer.seek_to_beginning(LOG)
        assert (await consumer.getone(LOG)).offset == 12
        assert removed == [(LOG, 5, 12)]
    finally:
        await consumer.stop()


async def test_the_consumer_is_not_disturbed_by_the_question(log: str) -> None:
    async with transactions(log) as producer:
        await append(producer, 10, commit=True)
        await append(producer, 10, commit=False)
        await append(producer, 10, commit=True)
    async with started_consumer(log) as consumer:
        reader = RangeReader(consumer, [LogRange(LOG, 0, 33)])
        offsets = []
        async for records in reader.read():
            offsets += [each.offset for each in records]
            assert await consumer.first_offset(LOG, 10, 33) == 22
        assert offsets == [*range(10), *range(22, 32)]

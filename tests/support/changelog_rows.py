"""Rows on a changelog, written without a worker, and their comparison with the rows that a recovery holds."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from aiokafka import AIOKafkaProducer
from aiokafka.partitioner import murmur2

from state.row import EventCounts, UserRow, encode_row
from stream_app.kafka.batch_producer import BatchProducer
from tests.support.integration_environment import PARTITIONS

N_ROWS: Final = 20_000

Rows = dict[int, dict[bytes, bytes]]
"""Rows by partition and key."""


@asynccontextmanager
async def producer_of(broker: str) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(bootstrap_servers=broker, acks="all", max_request_size=8 * 2**20)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


def row_of(user: int, version: int) -> bytes:
    """A row of some 300 bytes; old, so that no worker publishes a list for it."""
    return encode_row(
        UserRow(
            watermarks=(version, user), ring=bytes(200), counts=EventCounts(clicks=1 + version), last_ts=1.0
        )
    )


async def write_changelog(broker: str, topic: str) -> Rows:
    """Write rows, a tenth of them twice and some removed; return the newest."""
    rows: Rows = {partition: {} for partition in range(PARTITIONS)}
    versions = [(user, 0) for user in range(N_ROWS)] + [(user, 1) for user in range(0, N_ROWS, 10)]
    async with producer_of(broker) as producer:
        batches = BatchProducer(lambda: producer, 0.005, lambda *_: None)
        for user, version in versions:
            key, value = f"user-{user}".encode(), row_of(user, version)
            partition = (murmur2(key) & 0x7FFFFFFF) % PARTITIONS
            batches.append(topic, partition, key, value)
            rows[partition][key] = value
            if user % 50 == 1:
                batches.append(topic, partition, key, None)
                del rows[partition][key]
        await batches.flush()
    return rows


def differences(held: Rows, wanted: Rows) -> dict[int, tuple[int, int, int]]:
    """Missing, additional and different rows by partition; without partitions that agree."""
    return {
        partition: (
            len(rows.keys() - held.get(partition, {}).keys()),
            len(held.get(partition, {}).keys() - rows.keys()),
            sum(value != rows.get(key, value) for key, value in held.get(partition, {}).items()),
        )
        for partition, rows in wanted.items()
        if held.get(partition, {}) != rows
    }

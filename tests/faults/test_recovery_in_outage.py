"""A recovery of the users table that meets an outage of the broker goes on after it, and holds every row."""

import asyncio
from pathlib import Path
from typing import Any, Final

import pytest
from aiokafka.structs import TopicPartition

from stream_app.kafka.batch_producer import BatchProducer
from stream_app.kafka.log_consumer import log_consumer
from stream_app.kafka.partition_fence import PartitionFence
from stream_app.metrics import Metrics
from stream_app.tools.embedded import EmbeddedServers
from stream_app.worker.table_recovery import TableRecovery
from tests.support.changelog_rows import differences, producer_of, write_changelog
from tests.support.integration_environment import PARTITIONS, clean_environment
from tests.support.table_in_memory import TableInMemory
from topics.catalog import changelog
from topics.kafka_connection import Broker

OUTAGE_SECONDS: Final = 4.0


class PausingConsumer:
    """A consumer that lets the test act after the first fetch."""

    def __init__(self, broker: Broker, fetched: asyncio.Event, go_on: asyncio.Event) -> None:
        self._consumer = log_consumer(broker)
        self._fetched, self._go_on = fetched, go_on

    def __getattr__(self, name: str) -> Any:
        return getattr(self._consumer, name)

    async def getmany(self, *tps: TopicPartition, **limits: int) -> Any:
        found = await self._consumer.getmany(*tps, **limits)
        if found:
            self._fetched.set()
            await self._go_on.wait()
        return found


@pytest.mark.faults
@pytest.mark.parametrize("moment", ["before the fence", "between two fetches"])
async def test_a_recovery_goes_on_after_an_outage(
    servers: EmbeddedServers, tmp_path: Path, moment: str
) -> None:
    """Promise: a recovery that meets an outage of the broker goes on after it, and holds every row."""
    if servers.broker is None:
        pytest.skip("the broker is not ours to kill")
    with clean_environment(servers, tmp_path) as environment:
        broker, topic = environment.settings.broker, changelog(environment.settings.app_id).name
        rows = await write_changelog(broker, topic)
        table, fetched, go_on = TableInMemory(topic), asyncio.Event(), asyncio.Event()
        async with producer_of(broker) as producer:
            fence = PartitionFence(lambda: producer.client, environment.settings.app_id, [topic])
            batches = BatchProducer(lambda: producer, 0.005, lambda *_: None, fence)
            recovery = TableRecovery(
                table, fence, batches, Metrics(), broker, lambda at: PausingConsumer(at, fetched, go_on)
            )
            if moment == "before the fence":
                await asyncio.to_thread(servers.broker.kill)
            recovering = asyncio.create_task(recovery.recover(range(PARTITIONS)))
            if moment == "between two fetches":
                await asyncio.wait_for(fetched.wait(), 120)
                await asyncio.to_thread(servers.broker.kill)
            go_on.set()
            # Some attempts fail; the condition is the end of the recovery.
            await asyncio.wait({recovering}, timeout=OUTAGE_SECONDS)
            assert not recovering.done()
            await asyncio.to_thread(servers.broker.start)
            await asyncio.wait_for(recovering, 240)
        assert differences(table.rows, rows) == {}

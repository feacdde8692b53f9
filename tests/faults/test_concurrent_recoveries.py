"""Recoveries of the users table side by side, with late and lost fetches, hold every row of the changelog."""

import asyncio
import random
import subprocess
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
import rocksdb
from aiokafka.structs import TopicPartition

from state.positions import is_positions
from stream_app.kafka.batch_producer import BatchProducer
from stream_app.kafka.log_consumer import log_consumer
from stream_app.kafka.partition_fence import PartitionFence
from stream_app.metrics import Metrics
from stream_app.tools.embedded import EmbeddedServers
from stream_app.worker.table_recovery import TableRecovery
from tests.support.changelog_rows import N_ROWS, Rows, differences, producer_of, write_changelog
from tests.support.integration_environment import PARTITIONS, IntegrationEnvironment, clean_environment
from tests.support.table_in_memory import TableInMemory
from topics.catalog import changelog
from topics.kafka_connection import Broker

SETTINGS: Final = {"models": '["popularity"]', "fusion": "rrf"}
N_ROUNDS: Final = 8
SIDE_BY_SIDE: Final = 6
"""48 recoveries in this process; two workers make 50."""

LATE_SECONDS: Final = 0.03
LOST_SHARE: Final = 0.2
"""Also of the fetches that repeat a lost one."""

_OFFSET_KEY: Final = b"__faust\0offset__"
"""The key under which Faust's store has its persisted offset."""


class HinderedConsumer:
    """A consumer whose answers from the broker are late, and which loses fetches, as Faust's did across a seek."""

    def __init__(self, broker: Broker, seed: int) -> None:
        self._consumer = log_consumer(broker)
        self._random = random.Random(seed)
        self.n_lost = 0
        send = self._consumer._client.send

        async def send_late(*request: Any, **fields: Any) -> Any:
            answer = await send(*request, **fields)
            await asyncio.sleep(self._random.uniform(0.0, LATE_SECONDS))
            return answer

        self._consumer._client.send = send_late

    def __getattr__(self, name: str) -> Any:
        return getattr(self._consumer, name)

    async def getmany(self, *tps: TopicPartition, timeout_ms: int, max_records: int) -> Any:
        # Small fetches have more ends.
        found = await self._consumer.getmany(*tps, timeout_ms=timeout_ms, max_records=max_records // 4)
        kept = {tp: records for tp, records in found.items() if self._random.random() >= LOST_SHARE}
        self.n_lost += len(found) - len(kept)
        return kept


@contextmanager
def busy_machine() -> Iterator[None]:
    """Keep two processors busy."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


async def recover(environment: IntegrationEnvironment, producer: Any, seed: int) -> tuple[Rows, int, int]:
    """Recover all partitions into an empty table; return its rows, the lost fetches and the gaps read again."""
    broker, topic = environment.settings.broker, changelog(environment.settings.app_id).name
    table, metrics, consumers = TableInMemory(topic), Metrics(), list[HinderedConsumer]()

    def hindered(address: Broker) -> HinderedConsumer:
        consumers.append(HinderedConsumer(address, seed * 10 + len(consumers)))
        return consumers[-1]

    # An id of its own: side by side, all own all partitions.
    fence = PartitionFence(lambda: producer.client, f"{environment.settings.app_id}-{seed}", [topic])
    batches = BatchProducer(lambda: producer, 0.005, lambda *_: None, fence)
    await TableRecovery(table, fence, batches, metrics, broker, hindered).recover(range(PARTITIONS))
    gaps = metrics.registry.get_sample_value("headrace_recovery_gaps_total") or 0.0
    return table.rows, sum(each.n_lost for each in consumers), int(gaps)


async def recover_side_by_side(environment: IntegrationEnvironment, rows: Rows) -> tuple[int, int]:
    """Run all rounds, each compared with the changelog; return the lost fetches and the gaps read again."""
    n_lost = n_gaps = 0
    async with producer_of(environment.settings.broker) as producer:
        for number in range(N_ROUNDS):
            seeds = range(number * SIDE_BY_SIDE, (number + 1) * SIDE_BY_SIDE)
            for recovered, lost, gaps in await asyncio.gather(
                *(recover(environment, producer, seed) for seed in seeds)
            ):
                assert differences(recovered, rows) == {}
                n_lost, n_gaps = n_lost + lost, n_gaps + gaps
    return n_lost, n_gaps


def rows_on_disk(folders: Collection[Path]) -> Rows:
    """The rows in the tables of workers that have ended."""
    rows: Rows = {}
    for folder in folders:
        for path in folder.rglob("users-*.db"):
            items = rocksdb.DB(str(path), rocksdb.Options(), read_only=True).iteritems()
            items.seek_to_first()
            rows[int(path.stem.rpartition("-")[2])] = {
                key: value for key, value in items if key != _OFFSET_KEY and not is_positions(key)
            }
    return rows


def recover_by_workers(environment: IntegrationEnvironment) -> Rows:
    """Start two workers with empty folders at once, and wait until each has recovered its half."""
    workers = [environment.start_worker(number) for number in (1, 2)]
    for worker in workers:
        worker.wait_until(
            lambda worker=worker: (  # type: ignore[misc]  # bound now
                worker.metric("headrace_ready") == 1 and 0 < worker.metric("headrace_table_users") < N_ROWS
            ),
            "both workers to have a part of the rows",
            seconds=240,
        )
    for worker in workers:
        assert worker.metric("headrace_recovery_mismatches_total") == 0
    for worker in workers:
        worker.suspend()
    for worker in workers:
        worker.kill()
    return rows_on_disk([environment.data_dir(number) for number in (1, 2)])


@pytest.mark.faults
def test_50_concurrent_recoveries_hold_every_row(servers: EmbeddedServers, tmp_path: Path) -> None:
    """Promise: a recovery holds every row of the changelog, however late its fetches, and whichever it loses."""
    with clean_environment(servers, tmp_path, **SETTINGS) as environment:
        topic = changelog(environment.settings.app_id).name
        rows = asyncio.run(write_changelog(environment.settings.broker, topic))
        assert sum(map(len, rows.values())) == N_ROWS - N_ROWS // 50
        n_lost, n_gaps = asyncio.run(recover_side_by_side(environment, rows))
        assert n_lost >= N_ROUNDS * SIDE_BY_SIDE
        # Fetches that are lost one after the other leave one gap.
        assert n_gaps >= N_ROUNDS * SIDE_BY_SIDE
        with busy_machine():
            assert differences(recover_by_workers(environment), rows) == {}

"""Erasures on a worker without Kafka, whose logs are made from what it sent."""

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import msgspec
import pytest
from faust.types import TP

from state.row import UserRow
from state.row_store import RowStore
from stream_app.kafka.partitioning import partition_of_key
from stream_app.worker.erasure_sweep import ErasureSweep
from stream_app.worker.erasures import sweep_config
from tests.support.app_without_kafka import PARTITIONS, WorkerWithoutKafka
from tests.support.log_in_memory import LogInMemory, LosingConsumer
from topics.catalog import DEAD_LETTERS, ERASURE_RECEIPTS, INTERACTIONS, LISTS, REWARDS
from topics.events import Erasure
from topics.records import ErasureReceipt

LOGS: Final = (INTERACTIONS.name, REWARDS.name, LISTS.name, DEAD_LETTERS.name)


class ErasingWorker:
    """A worker on disk that owns all partitions."""

    def __init__(self, worker: WorkerWithoutKafka, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.worker = worker
        self.folder = folder
        app_worker = worker.app.headrace_worker
        self.table = app_worker.rows.table
        actives = {TP(self.table.changelog_topic_name, each) for each in range(PARTITIONS)}
        monkeypatch.setattr(worker.app, "assignor", SimpleNamespace(assigned_actives=lambda: actives))
        self.store: RowStore = self.table.data
        self.erasures = app_worker.erasures
        self.rows = app_worker.rows
        self.sweep: ErasureSweep = self.erasures.sweep
        self.sweep._new_consumer = lambda _broker: LosingConsumer(self.log())
        self.config = sweep_config(worker.settings, {})
        self._n_erasures = 0
        worker.catch_up_barrier.set()
        worker.components.flush_loop.start()

    async def erase(self, agent: Any, user_id: str, **fields: Any) -> bytes:
        """Send an erasure to the agent; return its bytes."""
        self._n_erasures += 1
        ts = int(time.time() * 1000)
        fields = {"event_id": f"x{self._n_erasures}", **fields}
        value = msgspec.json.encode(Erasure(user_id=user_id, ts=ts, **fields))
        await self.worker.put(agent, "events.erasure", user_id.encode(), value)
        return value

    async def settle(self) -> None:
        """Publish everything, and complete the acknowledged erasures."""
        await self.worker.components.flush_loop.wait_until_idle()
        await self.erasures.completion.complete()
        await self.worker.batch_producer.flush()

    def stored(self, key: bytes) -> bytes | None:
        """What is stored under a key."""
        found = [value for each in range(PARTITIONS) if (value := self.store.read(each, key)) is not None]
        return found[0] if found else None

    def row(self, user_id: str) -> UserRow:
        """The row of a user, as stored."""
        self.rows.clear_cache()
        row: UserRow = self.rows.get(user_id)
        return row

    def changelog(self) -> dict[bytes, bytes]:
        """The changelog after compaction."""
        newest = {
            key: value
            for topic, _, key, value in self.worker.producer.sent
            if topic == self.table.changelog_topic_name and key is not None
        }
        return {key: value for key, value in newest.items() if value is not None}

    def log(self) -> LogInMemory:
        """What the worker has sent, as logs."""
        log = LogInMemory()
        producer = self.worker.producer
        for (topic, partition, key, value), sent_at in zip(producer.sent, producer.sent_at, strict=True):
            log.topic = topic  # type: ignore[misc]  # the logs of several topics
            offset = log.append(partition, key or b"", value)
            log.records[log.tp(partition)][offset].timestamp = int(sent_at * 1000)
        return log

    def compacted(self, topic: str) -> list[bytes]:
        """The records of a topic that compaction leaves: key and value as one, without tombstones."""
        newest = {
            (partition, key): value
            for name, partition, key, value in self.worker.producer.sent
            if name == topic
        }
        return [(key or b"") + value for (_, key), value in newest.items() if value is not None]

    def receipts(self) -> list[ErasureReceipt]:
        """All receipts."""
        values = self.worker.sent_to(ERASURE_RECEIPTS.name)
        return [msgspec.json.decode(value, type=ErasureReceipt) for value in values if value is not None]

    def files(self) -> bytes:
        """All bytes in the folder of the table."""
        return b"".join(path.read_bytes() for path in (self.folder / "table").rglob("*") if path.is_file())


def user_in(partition: int, prefix: str = "user-of-the-test") -> str:
    """The id of a user in a partition."""
    return next(
        user
        for user in (f"{prefix}-{number}" for number in range(1_000))
        if partition_of_key(user.encode(), PARTITIONS) == partition
    )

"""A table in memory with the part that a recovery uses, and the recovery of it."""

import asyncio
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from faust.types import TP

from stream_app.kafka.batch_producer import BatchProducer
from stream_app.kafka.partition_fence import PartitionFence
from stream_app.metrics import Metrics
from stream_app.worker.table_recovery import TableRecovery
from tests.support.app_without_kafka import AcknowledgingProducer, FakeBatch
from tests.support.log_in_memory import LogInMemory, LosingConsumer


class TableInMemory:
    """Rows by partition."""

    def __init__(self, changelog: str) -> None:
        self.changelog_topic_name = changelog
        self.rows: dict[int, dict[bytes, bytes]] = {}
        self.offsets: dict[TP, int] = {}

    def persisted_offset(self, tp: TP) -> int | None:
        return self.offsets.get(tp)

    def apply_changelog_batch(self, batch: Sequence[Any]) -> None:
        for event in batch:
            rows = self.rows.setdefault(event.message.partition, {})
            if event.value is None:
                rows.pop(event.key, None)
            else:
                rows[event.key] = event.value
            self.offsets[event.message.tp] = event.message.offset

    def clear_partition(self, partition: int) -> None:
        self.rows.pop(partition, None)
        self.offsets.pop(TP(self.changelog_topic_name, partition), None)


class _ChangelogProducer(AcknowledgingProducer):
    """Appends the markers of the changelog to its log."""

    def __init__(self, log: LogInMemory) -> None:
        super().__init__()
        self._log = log

    async def send_batch(self, batch: FakeBatch, topic: str, *, partition: int) -> "asyncio.Future[Any]":
        done = await super().send_batch(batch, topic, partition=partition)
        if topic == self._log.topic:
            done = asyncio.get_running_loop().create_future()
            done.set_result(SimpleNamespace(offset=self._log.append(partition, b"", None)))
        return done


class RecoveryInMemory:
    """A recovery over logs, a coordinator and a store in memory."""

    def __init__(self, log: LogInMemory, *, consumer: Callable[[], LosingConsumer] | None = None) -> None:
        self.log = log
        self.table = TableInMemory(log.topic)
        self.producer = _ChangelogProducer(log)
        self.metrics = Metrics()
        self.fence = PartitionFence(lambda: self.producer.client, "shop", [log.topic, "lists"])
        batch_producer = BatchProducer(lambda: self.producer, 60.0, lambda *_: None, self.fence)
        self.consumers: list[LosingConsumer] = []
        self.new_consumer = consumer or (lambda: LosingConsumer(log))
        self.recovery = TableRecovery(
            self.table, self.fence, batch_producer, self.metrics, "broker", self._consumer
        )

    def _consumer(self, _broker: object) -> LosingConsumer:
        self.consumers.append(self.new_consumer())
        return self.consumers[-1]

    def offsets_held(self, partition: int) -> list[int]:
        """The offsets of the records whose rows the table has."""
        return sorted(int(key) for key in self.table.rows.get(partition, {}))

    def count(self, name: str) -> float:
        return self.metrics.registry.get_sample_value(name) or 0.0

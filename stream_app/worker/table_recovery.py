"""Recovery of the users table after an assignment: fencing, then the changelog, then the stream.

It replaces Faust's recovery, which reads the changelog through the consumer of the stream: a fetch in flight across a
seek is lost there without a trace, and with it a range of rows. Here each recovery has a consumer of its own, and the
range that was read is checked against the log (`stream_app.kafka.range_reader`).

1. Fence: acquire a new epoch of each assigned partition, and append a marker to each of its logs. From then on no
   former owner can append to them (`stream_app.kafka.partition_fence`).
2. Read the changelog from the persisted offset up to its end, which is after the markers, into the local store.
3. Faust seeks the stream to the committed offsets, and resumes it.
"""

import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

from aiokafka.errors import IllegalStateError
from aiokafka.structs import TopicPartition
from faust.tables import TableManager
from faust.tables.recovery import RebalanceAgain, Recovery, ServiceStopped
from faust.types import TP

from stream_app.kafka.batch_producer import BatchProducer
from stream_app.kafka.log_consumer import log_consumer
from stream_app.kafka.partition_fence import MARKER_KEY, PartitionFence
from stream_app.kafka.range_reader import LogRange, read_ranges

_LOG: Final = logging.getLogger(__name__)


class _Message(NamedTuple):
    """A record of the changelog, in the form that the stores of Faust read."""

    tp: TP
    partition: int
    offset: int
    key: bytes
    value: bytes | None


class _ChangelogEvent(NamedTuple):
    message: _Message
    key: bytes
    value: bytes | None


class RecoverableTable(Protocol):
    """The part of a Faust table that recovery uses."""

    changelog_topic_name: str

    def persisted_offset(self, tp: TP) -> int | None:
        """Offset of the last record of the changelog in the local store; None for an empty store."""

    def apply_changelog_batch(self, batch: Sequence[Any]) -> None:
        """Write records to the local store, and advance the persisted offsets."""


class TableRecovery:
    """Recovers the rows of assigned partitions.

    Parameters
    ----------
    table
        The users table.
    fence, producer
        Fence the partitions; the producer appends the markers.
    broker
        Bootstrap servers.
    consumer
        Creates a consumer without a group.
    """

    def __init__(
        self,
        table: RecoverableTable,
        fence: PartitionFence,
        producer: BatchProducer,
        broker: str,
        consumer: Callable[[str], Any] = log_consumer,
    ) -> None:
        self._table = table
        self._fence = fence
        self._producer = producer
        self._broker = broker
        self._new_consumer = consumer

    async def recover(self, partitions: Collection[int]) -> None:
        """Fence the partitions and bring the local store up to the end of the changelog.

        Parameters
        ----------
        partitions
            The partitions that this worker owns now.
        """
        await self._fence.acquire(partitions)
        for partition in partitions:
            for topic in self._fence.topics:
                self._producer.append(topic, partition, MARKER_KEY, None)
        await self._producer.flush()
        if not partitions:
            return
        consumer = self._new_consumer(self._broker)
        try:
            await consumer.start()
            ranges = await self._ranges(consumer, partitions)
            n_records = 0
            async for records in read_ranges(consumer, ranges, self._report):
                self._table.apply_changelog_batch([_to_event(each) for each in records])
                n_records += len(records)
        finally:
            await consumer.stop()
        _LOG.info("recovered %d partitions of the users table from %d records", len(partitions), n_records)

    async def _ranges(self, consumer: Any, partitions: Collection[int]) -> list[LogRange]:
        topic = self._table.changelog_topic_name
        tps = [TopicPartition(topic, each) for each in sorted(partitions)]
        ends: Mapping[TopicPartition, int] = await consumer.end_offsets(tps)
        beginnings = await consumer.beginning_offsets(tps)
        ranges = []
        for tp in tps:
            persisted = self._table.persisted_offset(TP(*tp))
            start = beginnings[tp] if persisted is None else max(beginnings[tp], persisted + 1)
            ranges.append(LogRange(tp, start, ends[tp]))
        return ranges

    def _report(self, n_read: int, total: int) -> None:
        _LOG.info("recovering the users table: read %d of at most %d records", n_read, total)


def _to_event(record: Any) -> _ChangelogEvent:
    tp = TP(record.topic, record.partition)
    message = _Message(tp, record.partition, record.offset, record.key, record.value)
    return _ChangelogEvent(message, record.key, record.value)


class FencedTableManager(TableManager):  # type: ignore[misc]
    """Faust's table manager, with another recovery."""

    _recovery: Recovery | None = None
    recover: Callable[[Collection[int]], Awaitable[None]]
    """Recovers partitions; set by the worker."""

    @property
    def recovery(self) -> Recovery:
        """The recovery service."""
        recovery: Recovery | None = self._recovery
        if recovery is None:
            recovery = self._recovery = FencedRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return recovery


class FencedRecovery(Recovery):  # type: ignore[misc]
    """Faust's recovery service; `FencedTableManager.recover` reads the changelog."""

    @Recovery.task  # type: ignore[untyped-decorator]
    async def _restart_recovery(self) -> None:
        """Recover after each assignment; a rebalance in between starts again."""
        while not self.should_stop:
            if await self.wait_for_stopped(self.signal_recovery_start):
                break
            self.signal_recovery_start.clear()
            generation_id = self._generation_id
            try:
                self._set_recovery_started()
                await self._wait(self.tables.recover({tp.partition for tp in self.active_tps}))
                await self._wait(self.on_recovery_completed(generation_id))
            except (RebalanceAgain, IllegalStateError):
                continue
            except ServiceStopped:
                break

    @Recovery.task  # type: ignore[untyped-decorator]
    async def _slurp_changelogs(self) -> None:
        """Do nothing: no changelog record comes through the stream's consumer."""

"""Recovery of the users table after an assignment: fencing, then the changelog, then the stream.

It replaces Faust's recovery, which reads the changelog through the consumer of the stream: a fetch in flight across a
seek is lost there without a trace, and with it a range of rows. Here each recovery has a consumer of its own, and the
range that was read is checked against the log (`stream_app.kafka.range_reader`).

1. Fence: acquire a new epoch of each assigned partition, and append a marker to each of its logs. From then on no
   former owner can append to them (`stream_app.kafka.partition_fence`).
2. Read the changelog from the persisted offset up to the marker into the local store.
   Kafka removes the tombstone of a row some time after it was compacted. A store that is so far behind would keep the
   row, of an erased user perhaps: if records are missing in what it had to read, all of its rows are read again.
3. Prove it: the reader and the side that writes to the store each keep number, range and a running digest of the
   offsets of each partition. They and the persisted offset must agree; a partition that differs is read again, at
   last all of it into an empty store.
4. Faust seeks the stream to the committed offsets, and resumes it.

While no broker answers, each step is repeated. A revocation ends the recovery; the next assignment begins another.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple, Protocol

from aiokafka.errors import IllegalStateError
from aiokafka.structs import TopicPartition
from faust.tables import TableManager
from faust.tables.recovery import RebalanceAgain, Recovery, ServiceStopped
from faust.types import TP

from stream_app.kafka.availability import retry_while_unavailable
from stream_app.kafka.batch_producer import BatchProducer
from stream_app.kafka.log_consumer import log_consumer
from stream_app.kafka.partition_fence import NotOwnedError, PartitionFence
from stream_app.kafka.range_reader import LogRange, OffsetDigest, RangeReader
from stream_app.metrics import OwnershipMetrics
from stream_app.worker.ownership import append_markers
from topics.kafka_connection import Broker

_LOG: Final = logging.getLogger(__name__)
_MAX_READS: Final = 3
"""How often a partition is read until its rows agree with the changelog."""


class RecoveryError(RuntimeError):
    """The local rows of a partition do not agree with the changelog; the worker must not process events."""


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

    def clear_partition(self, partition: int) -> None:
        """Delete the rows of a partition and its persisted offset from the local store."""


class _Missing(NamedTuple):
    """What the local store lacks of a partition.

    Attributes
    ----------
    n_offsets
        Offsets from the persisted one to the end; 0 for an empty store, which cannot have rows that were deleted.
    whole
        All of the changelog.
    """

    range: LogRange
    n_offsets: int
    whole: LogRange


class _Read(NamedTuple):
    """What was read of a range, and whether the local store has it."""

    n_records: int
    is_proven: bool


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

    Attributes
    ----------
    log_ends
        The offset after the marker in each log of the partitions, by topic and partition: all records of former
        owners precede it. A new leader may report an older end of its log for a moment.
    """

    def __init__(
        self,
        table: RecoverableTable,
        fence: PartitionFence,
        producer: BatchProducer,
        metrics: OwnershipMetrics,
        broker: Broker,
        consumer: Callable[[Broker], Any] = log_consumer,
    ) -> None:
        self._table = table
        self._fence = fence
        self._producer = producer
        self._metrics = metrics
        self._broker = broker
        self._new_consumer = consumer
        self.log_ends: dict[tuple[str, int], int] = {}

    async def recover(self, partitions: Collection[int]) -> None:
        """Fence the partitions and bring the local store up to the end of the changelog.

        Parameters
        ----------
        partitions
            The partitions that this worker owns now.

        Raises
        ------
        NotOwnedError
            If the partitions were revoked meanwhile.
        RecoveryError
            If the local rows do not agree with the changelog, however often it is read.
        StoreError
            If the local store cannot be opened or written to; call it again.
        """
        topic = self._table.changelog_topic_name
        for each in partitions:
            # A store that cannot be opened fails here: each attempt would append markers.
            self._table.persisted_offset(TP(topic, each))
        generation = await self._fence.acquire(partitions)
        markers = append_markers(self._producer, self._fence)
        await self._producer.flush()
        self._fence.verify(generation)
        self.log_ends = {at: offset + 1 for at, offset in markers.items()}
        if partitions:
            ends = {TopicPartition(topic, each): self.log_ends[topic, each] for each in sorted(partitions)}
            await self._restore(ends, generation)
        self._fence.verify(generation)

    async def _restore(self, ends: Mapping[TopicPartition, int], generation: int) -> None:
        missing = await retry_while_unavailable(partial(self._find_missing, ends), "table recovery")
        reads = await self._read_until_proven([each.range for each in missing], generation)
        to_replace = []
        for each in missing:
            partition, read = each.range.tp.partition, reads[each.range.tp]
            if not read.is_proven:
                _LOG.error(
                    "deleting the local rows of partition %d, and reading all of them again: they do not agree with "
                    "the changelog after %d reads",
                    partition,
                    _MAX_READS,
                )
            elif read.n_records < each.n_offsets:
                _LOG.info(
                    "reading all rows of partition %d of the users table again: its changelog was compacted after "
                    "what the local files have",
                    partition,
                )
            else:
                continue
            await asyncio.to_thread(self._table.clear_partition, partition)
            to_replace.append(each.whole)
        reads = await self._read_until_proven(to_replace, generation)
        unproven = [tp.partition for tp, read in reads.items() if not read.is_proven]
        if unproven:
            raise RecoveryError(
                f"the rows of the partitions {unproven} do not agree with the changelog, though all of them were "
                "read again; the log has each difference. Check the disk of HEADRACE_DATA_DIR"
            )

    async def _read_until_proven(
        self, ranges: Sequence[LogRange], generation: int
    ) -> dict[TopicPartition, _Read]:
        """Write ranges to the local store until they agree with it, at most ``_MAX_READS`` times."""
        reads: dict[TopicPartition, _Read] = {}
        for _ in range(_MAX_READS):
            if not ranges:
                break
            read = partial(self._read, ranges, generation)
            reads |= await retry_while_unavailable(read, "table recovery")
            ranges = [each for each in ranges if not reads[each.tp].is_proven]
            self._metrics.recovery_mismatches.inc(len(ranges))
        return reads

    async def _find_missing(self, ends: Mapping[TopicPartition, int]) -> list[_Missing]:
        """What the local store does not have of the changelog."""
        consumer = self._new_consumer(self._broker)
        try:
            await consumer.start()
            beginnings = await consumer.beginning_offsets(list(ends))
        finally:
            await consumer.stop()
        missing = []
        for tp, end in ends.items():
            persisted = self._table.persisted_offset(TP(*tp))
            if persisted is not None and persisted >= end:
                raise RecoveryError(
                    f"the local rows of partition {tp.partition} reach offset {persisted} of {tp.topic}, which ends "
                    f"at {end}: the topic was made anew, or lost records. Remove the folder of the table, and start "
                    "again"
                )
            whole = LogRange(tp, beginnings[tp], end)
            if persisted is None:
                missing.append(_Missing(whole, 0, whole))
            else:
                start = max(beginnings[tp], persisted + 1)
                missing.append(_Missing(LogRange(tp, start, end), end - persisted - 1, whole))
        return missing

    async def _read(self, ranges: Sequence[LogRange], generation: int) -> dict[TopicPartition, _Read]:
        """Write ranges to the local store."""
        written = {each.tp: OffsetDigest() for each in ranges}
        consumer = self._new_consumer(self._broker)
        try:
            await consumer.start()
            reader = RangeReader(consumer, ranges, self._report)
            async for records in reader.read():
                self._fence.verify(generation)
                self._write(records, written[TopicPartition(records[0].topic, records[0].partition)])
        finally:
            await consumer.stop()
        self._metrics.recovered_records.inc(reader.n_read)
        self._metrics.recovery_gaps.inc(reader.gaps)
        _LOG.info("recovered %d partitions of the users table from %d records", len(ranges), reader.n_read)
        return {
            tp: _Read(reader.digest(tp).count, self._is_proven(tp, reader.digest(tp), written[tp]))
            for tp in written
        }

    def _write(self, records: Sequence[Any], written: OffsetDigest) -> None:
        events = [_to_event(each) for each in records]
        self._table.apply_changelog_batch(events)
        written.add(event.message.offset for event in events)

    def _is_proven(self, tp: TopicPartition, read: OffsetDigest, written: OffsetDigest) -> bool:
        """Whether the store has what was read of a partition."""
        persisted = self._table.persisted_offset(TP(*tp))
        if read == written and (not read.count or persisted == read.last):
            return True
        _LOG.error(
            "the local rows of %s[%s] differ from the changelog: read %s, written %s, persisted offset %s",
            tp.topic,
            tp.partition,
            read,
            written,
            persisted,
        )
        return False

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

    def on_partitions_revoked(self, revoked: Any) -> None:
        """End a recovery of the partitions."""
        self.recovery.revoked.set()
        super().on_partitions_revoked(revoked)

    async def on_rebalance(self, *args: Any, **kwargs: Any) -> None:
        """Recover the partitions of a new assignment."""
        self.recovery.revoked.clear()
        await super().on_rebalance(*args, **kwargs)


class FencedRecovery(Recovery):  # type: ignore[misc]
    """Faust's recovery service; `FencedTableManager.recover` reads the changelog.

    Attributes
    ----------
    revoked
        Set while the partitions are revoked, and none are assigned yet.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.revoked: Final = asyncio.Event()

    def _add(self, table: Any, tp: TP, offsets: Any) -> None:
        """Note a partition of an assignment.

        Faust reads its persisted offset here, and ends the worker if the local store fails: the disk may be full.
        `TableRecovery` reads it, and is repeated until the store works.
        """
        self.tp_to_table[tp] = table
        offsets.setdefault(tp, None)

    async def _wait(self, coro: Any, timeout: Any = None) -> None:  # noqa: ARG002, ASYNC109  # Faust's signature
        """Wait for a step of a recovery; it ends when the partitions are revoked.

        Faust ends it with the next assignment. Until then it would go on: acquire partitions that another one owns,
        and resume the flow of messages in the middle of a revocation, which are read by nobody.

        A seek may take as long as an outage. Faust takes its own time-out for the end of the service: no partition
        would be recovered any more, and the worker would wait for ever.
        """
        result = await self.wait_first(coro, self.signal_recovery_start, self.revoked)
        if result.stopped:
            raise ServiceStopped
        if self.signal_recovery_start in result.done or self.revoked.is_set():
            raise RebalanceAgain

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
            except (RebalanceAgain, NotOwnedError, IllegalStateError):
                continue
            except ServiceStopped:
                break

    @Recovery.task  # type: ignore[untyped-decorator]
    async def _slurp_changelogs(self) -> None:
        """Do nothing: no changelog record comes through the stream's consumer."""

    @Recovery.task  # type: ignore[untyped-decorator]
    async def _publish_stats(self) -> None:
        """Do nothing: `TableRecovery` reports its progress, and Faust takes a long recovery for an internal error."""

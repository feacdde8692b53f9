"""Consumers without a group, with which a worker reads the logs of all workers."""

import asyncio
import logging
from collections.abc import Callable, Collection
from typing import Any, Final, Protocol, TypeVar

import msgspec
from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.fetcher import READ_COMMITTED, PartitionRecords
from aiokafka.errors import OffsetOutOfRangeError, TopicAuthorizationFailedError, for_code
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition

from stream_app.kafka.removed_records import OnRemoved, report_removed_records
from stream_app.kafka.secured import aiokafka_arguments
from topics.kafka_connection import Broker

_LOG: Final = logging.getLogger(__name__)
_PROBE_WAIT_MS: Final = 100
_PROBE_BYTES: Final = 64 * 1024
"""Enough for many empty batches; the broker returns the first batch whole, however large it is."""

_REPLICA_VERSION: Final = 11
"""The version of a fetch whose answer has a field between the aborted transactions and the records."""

_RecordT_co = TypeVar("_RecordT_co", covariant=True)


class RecordDecoder(Protocol[_RecordT_co]):
    """The part of a msgspec decoder that is used."""

    def decode(self, raw: bytes, /) -> _RecordT_co:
        """The record in `raw`."""


_RecordT = TypeVar("_RecordT")


def decode_or_warn(decoder: RecordDecoder[_RecordT], record: Any, topic: str) -> _RecordT | None:
    """The value of a Kafka record; None, with a warning in the log, if it cannot be decoded.

    Parameters
    ----------
    record
        An aiokafka record.
    """
    try:
        return decoder.decode(record.value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, TypeError) as error:
        _LOG.warning("ignoring invalid record %s[%s]@%s: %s", topic, record.partition, record.offset, error)
        return None


class LogConsumer(AIOKafkaConsumer):  # type: ignore[misc]  # aiokafka is untyped
    """A consumer that can also ask the broker what a log has at an offset.

    Attributes
    ----------
    on_removed
        Called when Kafka has removed records before they were read, if it is set before the start.
    """

    on_removed: OnRemoved | None = None

    async def start(self) -> None:
        """Connect to the brokers."""
        await super().start()
        if self.on_removed is not None:
            report_removed_records(self, self.on_removed)

    async def first_offset(self, tp: TopicPartition, start: int, end: int) -> int | None:
        """The offset of the first record in a range that a consumer sees, whatever was fetched before.

        The answer is that of the log: a request of its own goes to the leader, and neither the positions nor the
        buffers of this consumer take part. Offsets without such a record are those of records that compaction or
        retention removed, of aborted transactions, and of their ends.

        Parameters
        ----------
        tp
            A partition; it need not be assigned.
        start, end
            The range, without `end`.

        Returns
        -------
        int or None
            The offset; `end` if the range has no record; None if that is not known now: the leader moves, or the log
            ends before the range does.

        Raises
        ------
        KafkaError
            If no broker answers, or this client may not read the topic.
        """
        offset = start
        while offset < end:
            try:
                records = await self._fetch_alone(tp, offset)
            except OffsetOutOfRangeError:
                # Retention removed the start of the range, or the log became shorter.
                beginnings = await self.beginning_offsets([tp])
                if beginnings[tp] <= offset:
                    return None
                offset = beginnings[tp]
                continue
            first = next(records, None)
            if first is not None:
                return min(int(first.offset), end)
            if records.next_fetch_offset <= offset:
                return None
            offset = records.next_fetch_offset
        return end

    async def _fetch_alone(self, tp: TopicPartition, offset: int) -> Any:
        """The visible records of a fetch of its own, as an iterator; none if the leader has none, or is not known."""
        client, raw, aborted = self._client, b"", None
        await client.add_topic(tp.topic)
        leader = client.cluster.leader_for_partition(tp)
        if leader is None or leader < 0:
            client.force_metadata_update()
        else:
            where = [(tp.topic, [(tp.partition, offset, _PROBE_BYTES)])]
            request = FetchRequest(_PROBE_WAIT_MS, 1, _PROBE_BYTES, READ_COMMITTED, where)
            response = await client.send(leader, request)
            [(_, [(_, error_code, _, *fields)])] = response.topics
            error = for_code(error_code)
            if error in {OffsetOutOfRangeError, TopicAuthorizationFailedError}:
                raise error(f"{tp.topic}[{tp.partition}] at offset {offset}")
            if error_code:
                client.force_metadata_update()
            else:
                raw, aborted = fields[-1], fields[-3 if response.API_VERSION >= _REPLICA_VERSION else -2]
        return PartitionRecords(
            tp,
            MemoryRecords(raw or b""),
            aborted,
            offset,
            key_deserializer=None,
            value_deserializer=None,
            check_crcs=True,
            isolation_level=READ_COMMITTED,
        )


def log_consumer(broker: Broker) -> Any:
    """A consumer with manual assignment that leaves no state on the broker; not started.

    It returns no record of an aborted or open transaction. Its end offsets are those of the committed records.
    """
    return LogConsumer(
        **aiokafka_arguments(broker),
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=100,
        request_timeout_ms=30_000,
    )


async def read_existing(consumer: Any, topic: str, apply: Callable[[Any], object]) -> None:
    """Read a topic of one partition from its beginning to its present end; the consumer goes on from there.

    Parameters
    ----------
    consumer
        A started consumer of `log_consumer`; its assignment is replaced.
    apply
        Called with each record.
    """
    tp = TopicPartition(topic, 0)
    consumer.assign([tp])
    await consumer.seek_to_beginning(tp)
    ends = await consumer.end_offsets([tp])
    while await consumer.position(tp) < ends[tp]:
        for batch in (await consumer.getmany(timeout_ms=500)).values():
            for record in batch:
                apply(record)


async def log_ends(broker: Broker, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
    """The offset after the last record of each log, records of open transactions included."""
    consumer = AIOKafkaConsumer(**aiokafka_arguments(broker), enable_auto_commit=False)
    try:
        await consumer.start()
        ends: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
    finally:
        await consumer.stop()
    return ends


async def stop_consumer_task(task: "asyncio.Task[None] | None", consumer: Any) -> None:
    """Stop a task that reads a consumer, then the consumer; both may be None if never started."""
    if task is not None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    if consumer is not None:
        await consumer.stop()

"""Consumers without a group, with which a worker reads the logs of all workers."""

import asyncio
import logging
from collections.abc import Collection
from typing import Any, Final, Protocol, TypeVar

import msgspec
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

_LOG: Final = logging.getLogger(__name__)
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
    except (msgspec.DecodeError, UnicodeDecodeError, TypeError) as error:
        _LOG.warning("ignoring invalid record %s[%s]@%s: %s", topic, record.partition, record.offset, error)
        return None


def log_consumer(broker: str) -> Any:
    """A consumer with manual assignment that leaves no state on the broker; not started.

    It returns no record of an aborted or open transaction. Its end offsets are those of the committed records.
    """
    return AIOKafkaConsumer(
        bootstrap_servers=broker,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=100,
        request_timeout_ms=30_000,
    )


async def log_ends(broker: str, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
    """The offset after the last record of each log, records of open transactions included."""
    consumer = AIOKafkaConsumer(bootstrap_servers=broker, enable_auto_commit=False)
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

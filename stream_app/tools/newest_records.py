"""Reads the newest records of partitions, without a group and within a deadline."""

import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

from kafka import TopicPartition

from stream_app.kafka.broker_errors import broker_errors, groupless_consumer
from topics.consumer_groups import OffsetRange
from topics.kafka_connection import Broker

_POLL_MS: Final = 300


def newest_records(
    broker: Broker, ranges: Mapping[TopicPartition, OffsetRange], n_records: int, seconds: float
) -> Iterator[Any]:
    """The newest records of each partition, those of one partition in their order.

    Parameters
    ----------
    broker
        Bootstrap servers.
    ranges
        The records of each partition.
    n_records
        How many offsets are read of each partition.
    seconds
        The reader ends after this time, with what it has read.

    Raises
    ------
    UserError
        If no broker answers.
    """
    starts = {
        tp: max(each.beginning, each.end - n_records)
        for tp, each in ranges.items()
        if each.beginning < each.end
    }
    if not starts:
        return
    with broker_errors(broker):
        consumer = groupless_consumer(broker)
        try:
            consumer.assign(list(starts))
            for tp, start in starts.items():
                consumer.seek(tp, start)
            deadline, unread = time.monotonic() + seconds, set(starts)
            while unread and time.monotonic() < deadline:
                for records in consumer.poll(timeout_ms=_POLL_MS).values():
                    yield from records
                unread = {tp for tp in unread if (consumer.position(tp) or 0) < ranges[tp].end}
        finally:
            consumer.close()

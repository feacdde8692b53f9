"""Records that the integration tests write to Kafka and read from it."""

import time
from collections.abc import Iterable
from itertools import count
from typing import Any, Final, NamedTuple

import kafka

from stream_app.kafka.event_records import event_record
from topics.events import Event


class KafkaRecord(NamedTuple):
    """A record to send; without a partition, the key decides."""

    topic: str
    key: bytes | None
    value: bytes | None
    partition: int | None = None
    timestamp_ms: int | None = None
    """When it is written, by the record; the current time by default."""


def to_record(event: Event) -> KafkaRecord:
    """The record of an event, with the topic and key that a shop uses."""
    sent = event_record(event)
    return KafkaRecord(sent.topic, sent.key, sent.value)


_numbers: Final = count()


def sent(event_type: type[Event], user_id: str, *, ts: int | None = None, **fields: Any) -> KafkaRecord:
    """The record of a new event with an id of its own, by default at the current time.

    Parameters
    ----------
    ts
        Milliseconds since the epoch.
    """
    event_id, now = f"sent-{next(_numbers)}", int(time.time() * 1000)
    return to_record(
        event_type(event_id=event_id, user_id=user_id, ts=now if ts is None else ts, **fields)  # type: ignore[call-arg]  # the fields of each type
    )


class ConsumedRecord(NamedTuple):
    """A record read from Kafka."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: float = 0.0
    """When it was written, seconds since the epoch."""


def producer_for(broker: str) -> Any:
    return kafka.KafkaProducer(
        bootstrap_servers=broker,
        acks="all",
        linger_ms=2,
        batch_size=65_536,
        max_request_size=2_000_000,
        max_in_flight_requests_per_connection=1,  # keeps the order, so that offsets agree between runs
        allow_auto_create_topics=False,
        metrics_enabled=False,
    )


def send_records(producer: Any, records: Iterable[KafkaRecord]) -> list[Any]:
    futures = [
        producer.send(
            record.topic,
            value=record.value,
            key=record.key,
            partition=record.partition,
            timestamp_ms=record.timestamp_ms,
        )
        for record in records
    ]
    producer.flush(timeout=120)
    return [future.get(timeout=120) for future in futures]

"""Records that the integration tests write to Kafka and read from it."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import kafka

from stream_app.kafka.event_records import event_record
from topics.events import Event


class KafkaRecord(NamedTuple):
    """A record to send; without a partition, the key decides."""

    topic: str
    key: bytes | None
    value: bytes | None
    partition: int | None = None


def to_record(event: Event) -> KafkaRecord:
    """The record of an event, with the topic and key that a shop uses."""
    sent = event_record(event)
    return KafkaRecord(sent.topic, sent.key, sent.value)


class ConsumedRecord(NamedTuple):
    """A record read from Kafka."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None


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
        producer.send(record.topic, value=record.value, key=record.key, partition=record.partition)
        for record in records
    ]
    producer.flush(timeout=120)
    return [future.get(timeout=120) for future in futures]

"""The port that sends event records, and an in-memory adapter; `kafka_event_sender` has the Kafka adapter."""

from typing import Protocol

from stream_app.kafka.event_records import ProducerRecord


class EventSender(Protocol):
    """Sends records."""

    def send(self, record: ProducerRecord) -> None:
        """Send one record; waits while too many are unacknowledged."""

    def flush(self) -> int:
        """Wait until all records are acknowledged, and return their number."""

    def close(self) -> None:
        """Close the connection."""


class InMemoryEventSender:
    """Stores the records in a list, for tests."""

    def __init__(self) -> None:
        self.records: list[ProducerRecord] = []

    def send(self, record: ProducerRecord) -> None:
        """Store one record."""
        self.records.append(record)

    def flush(self) -> int:
        """The number of stored records."""
        return len(self.records)

    def close(self) -> None:
        """Do nothing."""

"""The port that sends event records; `kafka_event_sender` has the Kafka adapter."""

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

"""The port that records leave by, and an in-memory adapter for tests; `kafka_outbox` has the real one."""

from typing import Protocol

from stream_app.kafka.event_records import ProducerRecord


class EventSender(Protocol):
    """Where records go."""

    def send(self, record: ProducerRecord) -> None:
        """Hand over one record; may wait for room."""

    def flush(self) -> int:
        """Wait until everything is acknowledged and return how many records were."""

    def close(self) -> None:
        """Let go of the connection."""


class InMemoryEventSender:
    """Keeps the records in a list, for tests."""

    def __init__(self) -> None:
        self.records: list[ProducerRecord] = []

    def send(self, record: ProducerRecord) -> None:
        """Keep one record."""
        self.records.append(record)

    def flush(self) -> int:
        """How many records there are."""
        return len(self.records)

    def close(self) -> None:
        """Nothing to let go of."""

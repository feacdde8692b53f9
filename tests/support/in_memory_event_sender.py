"""An event sender without Kafka."""

from stream_app.kafka.event_records import ProducerRecord


class InMemoryEventSender:
    """Stores the records in a list."""

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

"""The port by which the parts of a worker write to Kafka."""

from collections.abc import Callable
from typing import Protocol


class RecordAppender(Protocol):
    """Takes a record for Kafka; `stream_app.kafka.batch_producer.Outbox.append`."""

    def __call__(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        on_delivered: Callable[[int], None] | None = None,
        /,
    ) -> None:
        """Take it; never waits. `on_delivered` is called with the offset of the batch's last record."""

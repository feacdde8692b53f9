"""Writes dead letters: the record, whole, with the reason."""

from collections.abc import Callable
from typing import Any, Final, Protocol

import msgspec

from stream_app.metrics import Metrics
from topics.catalogue import DEAD_LETTERS
from topics.codec import RejectedError
from topics.records import DeadLetter

_encoder: Final = msgspec.json.Encoder()


class Append(Protocol):
    """Takes a record for Kafka; `stream_app.outbox.Outbox.append`."""

    def __call__(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        delivered: Callable[[int], None] | None = None,
        /,
    ) -> None:
        """Take it; never waits. `delivered` is called with the offset of the batch's last record."""


class DeadLetterWriter:
    """Appends to the dead-letter topic.

    Parameters
    ----------
    append
        Where records to Kafka go.
    metrics
        Counts them by reason.
    """

    def __init__(self, append: Append, metrics: Metrics) -> None:
        self._append = append
        self._metrics = metrics

    def write(self, message: Any, error: RejectedError) -> None:
        """Write a Kafka message (Faust's) that was rejected with `error`."""
        letter = DeadLetter(
            reason=str(error.reason),
            detail=error.detail[:500],
            topic=message.topic,
            partition=message.partition,
            offset=message.offset,
            timestamp=message.timestamp,
            key=message.key,
            value=message.value,
        )
        self._append(DEAD_LETTERS.name, 0, message.key, _encoder.encode(letter))
        self._metrics.dead_letters.labels(str(error.reason)).inc()
        self._metrics.events.labels(message.topic, "dead_lettered").inc()

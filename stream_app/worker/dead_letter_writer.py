"""Writes dead letters: the record, whole, with the reason."""

from typing import Any, Final

import msgspec

from stream_app.kafka.append import Append
from stream_app.metrics import Metrics
from topics.catalog import DEAD_LETTERS
from topics.codec import RejectedError
from topics.records import DeadLetter

_encoder: Final = msgspec.json.Encoder()

KEPT_BYTES: Final = 1024 * 1024
"""Bytes kept of a value: what Kafka takes by default. A record that was compressed can be far larger."""


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
        value, key = message.value, message.key
        detail = error.detail[:500]
        if value is not None and len(value) > KEPT_BYTES:
            detail += f" (the first {KEPT_BYTES} of {len(value)} bytes are kept)"
            value = value[:KEPT_BYTES]
        if key is not None and len(key) > KEPT_BYTES:
            key = key[:KEPT_BYTES]
        letter = DeadLetter(
            reason=str(error.reason),
            detail=detail,
            topic=message.topic,
            partition=message.partition,
            offset=message.offset,
            timestamp=message.timestamp,
            key=key,
            value=value,
        )
        self._append(DEAD_LETTERS.name, 0, key, _encoder.encode(letter))
        self._metrics.dead_letters.labels(str(error.reason)).inc()
        self._metrics.events.labels(message.topic, "dead_lettered").inc()

"""Writes rejected records to the dead-letter topic, whole, with the reason."""

from typing import Any, Final

import msgspec

from stream_app.kafka.append import RecordAppender
from stream_app.metrics import Metrics
from topics.catalog import DEAD_LETTERS
from topics.codec import RejectedError
from topics.records import DeadLetter

_encoder: Final = msgspec.json.Encoder()

MAX_VALUE_BYTES: Final = 1024 * 1024
"""Maximum size of a stored value: Kafka's default message limit. A record that was compressed can be far larger."""

MAX_KEY_BYTES: Final = 256 * 1024
"""Maximum size of a stored key, which the record of the dead letter has twice: in base64, and as its own key."""


class DeadLetterWriter:
    """Appends to the dead-letter topic."""

    def __init__(self, append: RecordAppender, metrics: Metrics) -> None:
        self._append = append
        self._metrics = metrics

    def write(self, message: Any, error: RejectedError) -> None:
        """Write a Kafka message (Faust's) that was rejected with `error`."""
        value, key = message.value, message.key
        detail = error.detail
        if value is not None and len(value) > MAX_VALUE_BYTES:
            detail += f" (truncated to {MAX_VALUE_BYTES} of {len(value)} bytes)"
            value = value[:MAX_VALUE_BYTES]
        if key is not None and len(key) > MAX_KEY_BYTES:
            detail += f" (key truncated to {MAX_KEY_BYTES} of {len(key)} bytes)"
            key = key[:MAX_KEY_BYTES]
        dead_letter = DeadLetter(
            reason=str(error.reason),
            detail=detail,
            topic=message.topic,
            partition=message.partition,
            offset=message.offset,
            timestamp=message.timestamp,
            key=key,
            value=value,
        )
        self._append(DEAD_LETTERS.name, 0, key, _encoder.encode(dead_letter))
        self._metrics.dead_letters.labels(str(error.reason)).inc()
        self._metrics.events.labels(message.topic, "dead_lettered").inc()

"""Writes rejected records, and rows that cannot be decoded, to the dead-letter topic, whole, with the reason."""

import time
from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import structs

from state.user_rows import UnreadableRow
from stream_app.kafka.append import RecordAppender
from stream_app.metrics import Metrics
from topics.catalog import DEAD_LETTERS
from topics.codec import RejectedError, RejectReason
from topics.events import MAX_ID_BYTES
from topics.log_keys import letter_key
from topics.records import DeadLetter

_encoder: Final = msgspec.json.Encoder()

MAX_VALUE_BYTES: Final = 1024 * 1024
"""Maximum size of a stored value: Kafka's default message limit. A record that was compressed can be far larger."""

MAX_KEY_BYTES: Final = 256 * 1024
"""Maximum size of a stored key, which the record of the dead letter has twice: in base64, and as its own key."""


class _Owner(msgspec.Struct):
    """The part of an event that names its user."""

    user_id: str = ""


_owner_decoder: Final = msgspec.json.Decoder(_Owner)


def owner_in(key: bytes | None, value: bytes | None) -> bytes:
    """The user id in the value of a record if it has one, else its key."""
    try:
        user_id = _owner_decoder.decode(value or b"").user_id.encode()
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        user_id = b""
    return user_id if 0 < len(user_id) <= MAX_ID_BYTES else key or b""


def owner_of(letter: DeadLetter) -> bytes:
    """The user of a dead letter: an erasure removes the dead letters of a user by it."""
    return owner_in(letter.key, letter.value)


class DeadLetterWriter:
    """Appends to the dead-letter topic, under keys that name the user (`topics.log_keys`)."""

    def __init__(
        self, append: RecordAppender, metrics: Metrics, clock: Callable[[], float] = time.time
    ) -> None:
        self._append = append
        self._metrics = metrics
        self._clock = clock

    def write(self, message: Any, error: RejectedError) -> None:
        """Write a Kafka message (Faust's) that was rejected with `error`."""
        self._write(
            DeadLetter(
                reason=str(error.reason),
                detail=error.detail,
                topic=message.topic,
                partition=message.partition,
                offset=message.offset,
                timestamp=message.timestamp,
                key=message.key,
                value=message.value,
            )
        )
        self._metrics.events.labels(message.topic, "dead_lettered").inc()

    def write_row(self, row: UnreadableRow) -> None:
        """Write a row that cannot be decoded; the offset of its record is not known, and 0 here."""
        self._write(
            DeadLetter(
                reason=str(RejectReason.UNREADABLE_ROW),
                detail=row.detail,
                topic=row.topic,
                partition=row.partition,
                offset=0,
                timestamp=self._clock(),
                key=row.key,
                value=row.value,
            )
        )
        self._metrics.rows_set_aside.inc()

    def _write(self, letter: DeadLetter) -> None:
        value, key = letter.value, letter.key
        # The error of a defect may quote anything.
        detail = letter.detail.encode("utf-8", "replace").decode()
        if value is not None and len(value) > MAX_VALUE_BYTES:
            detail += f" (truncated to {MAX_VALUE_BYTES} of {len(value)} bytes)"
            value = value[:MAX_VALUE_BYTES]
        if key is not None and len(key) > MAX_KEY_BYTES:
            detail += f" (key truncated to {MAX_KEY_BYTES} of {len(key)} bytes)"
            key = key[:MAX_KEY_BYTES]
        bounded = structs.replace(letter, detail=detail, key=key, value=value)
        owner = owner_of(letter)[:MAX_KEY_BYTES]
        record_key = letter_key(owner, letter.topic, letter.partition, letter.offset, letter.timestamp)
        self._append(DEAD_LETTERS.name, 0, record_key, _encoder.encode(bounded))
        self._metrics.dead_letters.labels(letter.reason).inc()

"""Rows of a log: an event, an ignored row, or an unreadable row."""

from typing import Final

import msgspec

from stream_app.kafka.event_records import MAX_RECORD_BYTES, ProducerRecord
from topics.catalog import CLICKS
from topics.events import Click, Event

MAX_UNREADABLE_BYTES: Final = 65_536
"""An unreadable row that exceeds the record limit is truncated to this size for its dead letter."""


class EventRow(msgspec.Struct, frozen=True):
    """A row that is an event.

    Attributes
    ----------
    line
        Number of the row's last line in the file, from 1.
    """

    line: int
    event: Event

    @property
    def time(self) -> float | None:
        """Event time, seconds since the epoch; None if a float cannot represent it."""
        try:
            return self.event.time
        except OverflowError:
            return None


class IgnoredRow(msgspec.Struct, frozen=True):
    """A valid row of a kind that Headrace does not use; counted, never sent."""

    line: int
    kind: str
    time: float | None = None


class UnreadableRow(msgspec.Struct, frozen=True):
    """A row that is not a valid event.

    It is sent unchanged, so that it becomes a dead letter like any other invalid input and the counts of a log add
    up.

    Attributes
    ----------
    line
        Number of the row's last line in the file, from 1.
    problem
        One sentence.
    topic
        Destination: the topic of its kind if the row has one, else clicks.
    """

    line: int
    raw: bytes
    problem: str
    topic: str = CLICKS.name

    @property
    def time(self) -> float | None:
        """Unknown; when sorted, the row follows the row before it."""
        return None


Row = EventRow | IgnoredRow | UnreadableRow
"""A row of a log."""

_CLICK: Final = msgspec.json.Decoder(Click)


def unreadable_record(row: UnreadableRow) -> ProducerRecord:
    """The Kafka record of an unreadable row: its bytes, which a worker is certain to reject.

    Bytes that a worker would accept as a click (JSON of an unknown kind with a click's fields) are wrapped into a
    JSON string.

    Examples
    --------
    >>> unreadable_record(UnreadableRow(7, b"a,b,c", "3 columns")).value
    b'a,b,c'
    """
    raw = row.raw[:MAX_UNREADABLE_BYTES] if len(row.raw) > MAX_RECORD_BYTES else row.raw
    if row.topic == CLICKS.name and _is_click(raw):
        raw = msgspec.json.encode(raw.decode())
    return ProducerRecord(row.topic, None, raw)


def _is_click(raw: bytes) -> bool:
    try:
        _CLICK.decode(raw)
    except (ValueError, RecursionError):
        return False
    return True

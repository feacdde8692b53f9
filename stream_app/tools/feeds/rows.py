"""What a row of a log can be: an event, something Headrace has no use for, or unreadable."""

from typing import Final

import msgspec

from stream_app.kafka.event_records import MAX_RECORD_BYTES, ProducerRecord
from topics.catalog import CLICKS
from topics.events import Click, Event

MAX_UNREADABLE_BYTES: Final = 65_536
"""So much of a row that is longer is sent, to be looked at among the dead letters."""


class EventRow(msgspec.Struct, frozen=True):
    """A row that is an event.

    Attributes
    ----------
    line
        Number of the row's last line in the file, from 1.
    event
        What it says.
    """

    line: int
    event: Event

    @property
    def time(self) -> float | None:
        """Event time, seconds since the epoch; None if it is beyond all numbers."""
        try:
            return self.event.time
        except OverflowError:
            return None


class IgnoredRow(msgspec.Struct, frozen=True):
    """A sound row of a kind that Headrace has no use for; counted, never sent."""

    line: int
    kind: str
    time: float | None = None


class UnreadableRow(msgspec.Struct, frozen=True):
    """A row that cannot be made an event.

    It is sent as it stands, so that it ends among the dead letters like any other bad input and no row of
    a log is lost from the count.

    Attributes
    ----------
    line
        Number of the row's last line in the file, from 1.
    raw
        Its bytes.
    problem
        One sentence.
    topic
        Where it is sent: its own topic when the row says what it is, else the clicks.
    """

    line: int
    raw: bytes
    problem: str
    topic: str = CLICKS.name

    @property
    def time(self) -> float | None:
        """Unknown: such a row keeps its place after the row before it."""
        return None


Row = EventRow | IgnoredRow | UnreadableRow
"""A row of a log."""

_CLICK: Final = msgspec.json.Decoder(Click)


def unreadable_record(row: UnreadableRow) -> ProducerRecord:
    """The Kafka record of a row that is no event: its own bytes, certain to be refused.

    Bytes that the worker would after all take for a click (JSON of an unknown kind with a click's fields)
    are wrapped into a JSON string, which is no event.

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

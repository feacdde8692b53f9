"""Converts events into Kafka records: topic, key and JSON value."""

from typing import Final

import msgspec

from topics.catalog import topic_of
from topics.events import Event

MAX_RECORD_BYTES: Final = 900_000
"""Maximum size of a sent value; Kafka's default limit is one mebibyte for a whole request."""


class ProducerRecord(msgspec.Struct, frozen=True):
    """One record to send to Kafka."""

    topic: str
    key: bytes | None
    value: bytes


def event_record(event: Event) -> ProducerRecord:
    """The Kafka record of an event.

    Examples
    --------
    >>> from topics.events import Click
    >>> record = event_record(Click(event_id="e", user_id="u", ts=0, item_id="i"))
    >>> record.topic, record.key
    ('events.click', b'u')
    """
    spec = topic_of(type(event))
    key: str = getattr(event, spec.key)
    return ProducerRecord(spec.name, key.encode("utf-8", "surrogatepass"), msgspec.json.encode(event))

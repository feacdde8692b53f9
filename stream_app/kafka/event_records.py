"""Events as Kafka records: the topic, the key and the JSON that a producer sends."""

from typing import Final

import msgspec

from topics.catalog import topic_of
from topics.events import Event

MAX_RECORD_BYTES: Final = 900_000
"""Longest value that is sent; Kafka's own bound is a mebibyte for a whole request."""


class ProducerRecord(msgspec.Struct, frozen=True):
    """One record as it goes to Kafka."""

    topic: str
    key: bytes | None
    value: bytes


def event_record(event: Event) -> ProducerRecord:
    """The Kafka record of an event: its topic, its key, its JSON.

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

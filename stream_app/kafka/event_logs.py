"""Offsets of user events that keep growing when a topic is deleted and created again.

Rows, models and interactions remember which events they have applied by offset. A topic that was made anew starts
at offset 0 again, below everything applied. The topic ``control`` therefore keeps the id of each topic of user events
and a base, which is added to all of its offsets. A new id raises the base above all offsets of the deleted topic. The
base follows from the record before it, so that all workers find the same one.
"""

import logging
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import kafka
import msgspec

from stream_app.kafka.broker_errors import broker_errors
from stream_app.kafka.topic_reader import topic_records
from topics.catalog import CONTROL
from topics.client_arguments import client_arguments
from topics.kafka_connection import Broker

_LOG: Final = logging.getLogger(__name__)

EVENT_LOGS_KEY: Final = b"event-logs"
"""Key of the record on ``control``."""

OFFSETS_PER_TOPIC: Final = 2**34
"""Offsets of one incarnation of a topic: 17 thousand million events a partition.

The ring of event ids stores 40 bits of an offset: of 64 incarnations.
"""

_SEND_SECONDS: Final = 20.0


class EventLog(msgspec.Struct, frozen=True):
    """The current incarnation of a topic: its id, and what is added to its offsets."""

    topic_id: str
    base: int = 0


EventLogs = Mapping[str, EventLog]
"""By name of the topic."""


class TopicIncarnations(NamedTuple):
    """The topics at the start of a worker.

    Attributes
    ----------
    topic_ids
        Id by topic; empty ids from a broker before Kafka 2.8.
    event_logs
        The topics of user events.
    """

    topic_ids: Mapping[str, str] = MappingProxyType({})
    event_logs: EventLogs = MappingProxyType({})


_decoder: Final = msgspec.json.Decoder(dict[str, EventLog])


def decode_event_logs(value: bytes | None) -> EventLogs:
    """The record's content; empty if it is missing or invalid."""
    try:
        return _decoder.decode(value) if value else {}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        _LOG.warning("ignoring the invalid record %s of control: %s", EVENT_LOGS_KEY.decode(), error)
        return {}


def with_topic_ids(known: EventLogs, topic_ids: Mapping[str, str]) -> EventLogs:
    """What is known of the topics, brought up to date with the ids that the broker reports.

    Parameters
    ----------
    topic_ids
        Id by topic; empty for a broker that reports none (before Kafka 2.8).

    Examples
    --------
    >>> first = with_topic_ids({}, {"events.click": "x"})
    >>> with_topic_ids(first, {"events.click": "x"}) == first
    True
    >>> with_topic_ids(first, {"events.click": "y"})["events.click"].base == OFFSETS_PER_TOPIC
    True
    """
    updated = dict(known)
    for topic, topic_id in topic_ids.items():
        before = known.get(topic)
        if topic_id and before is None:
            updated[topic] = EventLog(topic_id)
        elif topic_id and before is not None and before.topic_id != topic_id:
            updated[topic] = EventLog(topic_id, before.base + OFFSETS_PER_TOPIC)
    return updated


def later_of(known: EventLogs, others: EventLogs) -> EventLogs:
    """Of each topic the later incarnation; of two with one base the other's.

    Examples
    --------
    >>> known = {"events.click": EventLog("y"), "events.search": EventLog("s", 5)}
    >>> later = later_of(known, {"events.click": EventLog("x"), "events.search": EventLog("r")})
    >>> later["events.click"].topic_id, later["events.search"].topic_id
    ('x', 's')
    """
    later = {
        topic: other
        for topic, other in others.items()
        if topic not in known or other.base >= known[topic].base
    }
    return {**known, **later}


def read_event_logs(broker: Broker) -> EventLogs:
    """The newest record on ``control``; empty if there is none.

    Raises
    ------
    UserError
        If no broker answers.
    """
    newest: bytes | None = None
    for record in topic_records(broker, CONTROL):
        if record.key == EVENT_LOGS_KEY:
            newest = record.value
    return decode_event_logs(newest)


def resolve_event_logs(
    broker: Broker,
    topic_ids: Mapping[str, str],
    producer: Callable[..., Any] = kafka.KafkaProducer,
    *,
    remembered: EventLogs = MappingProxyType({}),
) -> EventLogs:
    """The current incarnations, after a record for topics that are new or were made anew.

    Parameters
    ----------
    remembered
        What is known from elsewhere, where ``control`` may have lost it.

    Raises
    ------
    UserError
        If no broker answers, or it refuses the record.
    """
    recorded = read_event_logs(broker)
    known = later_of(recorded, remembered)
    current = with_topic_ids(known, topic_ids)
    if current == recorded:
        return current
    for topic in sorted(set(known) & set(current)):
        if current[topic] != known[topic]:
            _LOG.warning(
                "topic %s was deleted and created anew; its offsets count from %d", topic, current[topic].base
            )
    with broker_errors(broker):
        sender = producer(**client_arguments(broker), acks="all", allow_auto_create_topics=False)
        try:
            sender.send(
                CONTROL.name, key=EVENT_LOGS_KEY, value=msgspec.json.encode(current), partition=0
            ).get(timeout=_SEND_SECONDS)
        finally:
            sender.close()
    return current


def bases(event_logs: EventLogs) -> dict[str, int]:
    """What is added to the offsets of each topic."""
    return {topic: each.base for topic, each in event_logs.items()}

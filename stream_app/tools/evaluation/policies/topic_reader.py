"""A topic of the broker, read from its beginning to where it ended when it was opened."""

from collections.abc import Iterator
from typing import Any, Final

from stream_app.errors import UserError
from stream_app.kafka.broker_errors import broker_errors, groupless_consumer, require_topic
from stream_app.tools.evaluation.policies.headrace_log import RawRecord
from topics.catalog import TopicSpec

_POLL_MS: Final = 500
_STALL_POLLS: Final = 40


def raw_records(broker: str, topic: TopicSpec) -> Iterator[RawRecord]:
    """Values of a topic, each with its place; as `topic_records` reads them."""
    for record in topic_records(broker, topic):
        yield f"{topic.name}[{record.partition}]@{record.offset}", record.value


def topic_records(broker: str, topic: TopicSpec) -> Iterator[Any]:
    """The records of a topic that have a value; without a consumer group, so reading leaves no trace.

    Parameters
    ----------
    broker
        Kafka bootstrap servers.
    topic
        Its catalog entry.

    Raises
    ------
    UserError
        If no broker answers, or there is no such topic.
    """
    from kafka import TopicPartition  # noqa: PLC0415  # heavy, and only this needs it

    with broker_errors(broker):
        consumer = groupless_consumer(broker)
        try:
            numbers = consumer.partitions_for_topic(topic.name)
            require_topic(topic.name, broker, exists=bool(numbers))
            partitions = [TopicPartition(topic.name, number) for number in sorted(numbers)]
            consumer.assign(partitions)
            ends = consumer.end_offsets(partitions)
            consumer.seek_to_beginning(*partitions)
            stalled = 0
            while any((consumer.position(each) or 0) < ends[each] for each in partitions):
                batches = consumer.poll(timeout_ms=_POLL_MS)
                stalled = 0 if batches else stalled + 1
                if stalled > _STALL_POLLS:
                    raise UserError(f"The Kafka broker at {broker} stopped answering.")
                for partition, records in batches.items():
                    for record in records:
                        if record.offset < ends[partition] and record.value is not None:
                            yield record
        finally:
            consumer.close()

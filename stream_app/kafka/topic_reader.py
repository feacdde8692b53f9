"""A topic read by a command: from the beginning to the end offsets, then new records."""

from collections.abc import Iterator
from typing import Any, Final, Self

from kafka import TopicPartition

from stream_app.errors import UserError
from stream_app.kafka.broker_errors import BOOTSTRAP_MS, broker_errors, groupless_consumer, require_topic
from topics.catalog import TopicSpec
from topics.kafka_connection import Broker

_POLL_MS: Final = 500
_MAX_STALLED_POLLS: Final = 40


class TopicReader:
    """Reads all partitions of a topic without a consumer group, so reading changes nothing on the broker.

    Raises
    ------
    UserError
        If no broker answers, or the topic does not exist.
    """

    def __init__(self, broker: Broker, topic: TopicSpec) -> None:
        self._broker = broker
        with broker_errors(broker):
            self._consumer: Any = groupless_consumer(broker)
        try:
            with broker_errors(broker):
                numbers = self._consumer.partitions_for_topic(topic.name)
                require_topic(topic.name, broker, exists=bool(numbers))
                self._partitions = [TopicPartition(topic.name, number) for number in sorted(numbers)]
                self._consumer.assign(self._partitions)
                self._end_offsets: dict[Any, int] = self._consumer.end_offsets(self._partitions)
        except BaseException:
            self._consumer.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def read(self) -> Iterator[Any]:
        """Yield the records from the beginning to the end offsets at the time the reader was opened.

        Raises
        ------
        UserError
            If the broker stops answering.
        """
        with broker_errors(self._broker):
            self._consumer.seek_to_beginning(*self._partitions)
        last_positions, stalled = None, 0
        while (positions := self._positions()) != self._end_offsets:
            # offsets advance without records, too, where a topic is compacted
            stalled = stalled + 1 if positions == last_positions else 0
            if stalled > _MAX_STALLED_POLLS:
                raise UserError(
                    f"The Kafka broker at {self._broker} stopped answering; check it, and run the command again."
                )
            last_positions = positions
            for partition, records in self._poll().items():
                end = self._end_offsets[partition]
                yield from (record for record in records if record.offset < end)

    def follow(self) -> Iterator[Any]:
        """Yield the records written since the reader was opened, and wait for more; never returns."""
        with broker_errors(self._broker):
            for partition in self._partitions:
                self._consumer.seek(partition, self._end_offsets[partition])
        while True:
            for records in self._poll().values():
                yield from records

    def _positions(self) -> dict[Any, int]:
        """The next offset to read of each partition, at most the end offset."""
        with broker_errors(self._broker):
            return {
                partition: min(self._consumer.position(partition, timeout_ms=BOOTSTRAP_MS) or 0, end)
                for partition, end in self._end_offsets.items()
            }

    def _poll(self) -> dict[Any, list[Any]]:
        with broker_errors(self._broker):
            batches: dict[Any, list[Any]] = self._consumer.poll(timeout_ms=_POLL_MS)
        return batches


def topic_records(broker: Broker, topic: TopicSpec) -> Iterator[Any]:
    """Yield the records of a topic that have a value; arguments and errors as for `TopicReader`."""
    with TopicReader(broker, topic) as reader:
        for record in reader.read():
            if record.value is not None:
                yield record


def raw_records(broker: Broker, topic: TopicSpec) -> Iterator[tuple[str, bytes]]:
    """Yield the values of a topic, each after its partition and offset as text."""
    for record in topic_records(broker, topic):
        yield f"{topic.name}[{record.partition}]@{record.offset}", record.value

"""The dead-letter topic: read it, and send originals to their topics again."""

from collections.abc import Iterator
from types import TracebackType
from typing import Any, Final, Self

from kafka import KafkaProducer, TopicPartition
from kafka.errors import KafkaTimeoutError

from stream_app.errors import UserError
from stream_app.kafka.broker_errors import BOOTSTRAP_MS, broker_errors, groupless_consumer, require_topic
from stream_app.tools.dead_letter_selection import deduplicate, parse_dead_letter
from topics.catalog import DEAD_LETTERS
from topics.records import DeadLetter

_POLL_MS: Final = 500
_MAX_STALLED_POLLS: Final = 40


class DeadLetterLog:
    """Reads the dead-letter topic from its beginning, without a consumer group: no offsets are committed.

    Parameters
    ----------
    broker
        Kafka bootstrap servers.

    Attributes
    ----------
    n_invalid
        Records read so far that are not dead letters.

    Raises
    ------
    UserError
        If no broker answers, or the topic does not exist.
    """

    def __init__(self, broker: str) -> None:

        self.n_invalid = 0
        self._broker = broker
        with broker_errors(broker):
            self._consumer: Any = groupless_consumer(broker)
        try:
            with broker_errors(broker):
                numbers = self._consumer.partitions_for_topic(DEAD_LETTERS.name)
                require_topic(DEAD_LETTERS.name, broker, exists=bool(numbers))
                self._partitions = [TopicPartition(DEAD_LETTERS.name, number) for number in sorted(numbers)]
                self._consumer.assign(self._partitions)
                self._end_offsets: dict[Any, int] = self._consumer.end_offsets(self._partitions)
        except BaseException:
            self._consumer.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._consumer.close()

    def read(self) -> Iterator[DeadLetter]:
        """Every dead letter up to the end offsets at opening, once per origin; repeatable."""
        return deduplicate(self._read_to_ends())

    def follow(self) -> Iterator[DeadLetter]:
        """Every dead letter written after the log was opened; never ends."""
        with broker_errors(self._broker):
            for partition in self._partitions:
                self._consumer.seek(partition, self._end_offsets[partition])
        while True:
            yield from self._poll()

    def _read_to_ends(self) -> Iterator[DeadLetter]:
        self.n_invalid = 0
        with broker_errors(self._broker):
            self._consumer.seek_to_beginning(*self._partitions)
        last_positions, stalled = None, 0
        while (positions := self._positions()) != self._end_offsets:
            stalled = stalled + 1 if positions == last_positions else 0
            if stalled > _MAX_STALLED_POLLS:
                raise UserError(f"The Kafka broker at {self._broker} stopped answering.")
            last_positions = positions
            yield from self._poll(up_to_ends=True)

    def _positions(self) -> dict[Any, int]:
        """The next offset to read of each partition, at most the end offset."""
        with broker_errors(self._broker):
            return {
                partition: min(self._consumer.position(partition, timeout_ms=BOOTSTRAP_MS) or 0, end)
                for partition, end in self._end_offsets.items()
            }

    def _poll(self, *, up_to_ends: bool = False) -> Iterator[DeadLetter]:
        with broker_errors(self._broker):
            batches = self._consumer.poll(timeout_ms=_POLL_MS)
        for partition, records in batches.items():
            for record in records:
                if up_to_ends and record.offset >= self._end_offsets[partition]:
                    break
                letter = parse_dead_letter(record.value)
                if letter is None:
                    self.n_invalid += 1
                else:
                    yield letter


class DeadLetterReplayer:
    """Sends the original records of dead letters to their topics.

    A record goes to its original partition, where the shop's producer, whatever its partitioner, puts the other
    events of the user. If that partition no longer exists, the partition follows from the key.

    Parameters
    ----------
    broker
        Kafka bootstrap servers.

    Raises
    ------
    UserError
        If no broker answers, or, on exit of the context, if a record was not acknowledged.
    """

    def __init__(self, broker: str) -> None:
        self._broker = broker
        self._pending: list[Any] = []
        with broker_errors(broker):
            self._producer: Any = KafkaProducer(
                bootstrap_servers=broker.split(","),
                bootstrap_timeout_ms=BOOTSTRAP_MS,
                allow_auto_create_topics=False,
                max_block_ms=BOOTSTRAP_MS,
                linger_ms=20,
                # The broker enforces its own limit; a record that it once accepted must not fail here.
                max_request_size=int(DEAD_LETTERS.config["max.message.bytes"]),
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._wait_for_acknowledgements()
        finally:
            self._producer.close()

    def send(self, letter: DeadLetter) -> None:
        """Send the original record of a dead letter, with its key."""
        with broker_errors(self._broker):
            exists = letter.partition in self._partitions_for(letter.topic)
            self._pending.append(
                self._producer.send(
                    letter.topic,
                    key=letter.key,
                    value=letter.value,
                    partition=letter.partition if exists else None,
                )
            )
        if len(self._pending) >= 1_000:
            self._wait_for_acknowledgements()

    def _partitions_for(self, topic: str) -> set[int]:
        try:
            partitions: set[int] | None = self._producer.partitions_for(topic)
        except KafkaTimeoutError:
            partitions = None
        require_topic(topic, self._broker, exists=bool(partitions))
        return partitions or set()

    def _wait_for_acknowledgements(self) -> None:
        with broker_errors(self._broker):
            self._producer.flush()
            for future in self._pending:
                future.get(timeout=BOOTSTRAP_MS / 1000)
        self._pending.clear()

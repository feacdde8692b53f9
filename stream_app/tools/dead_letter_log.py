"""The dead-letter topic: read it, and send originals to their topics again."""

from collections.abc import Iterator
from typing import Any, Self

from kafka import KafkaProducer
from kafka.errors import KafkaTimeoutError

from stream_app.kafka.broker_errors import BOOTSTRAP_MS, broker_errors, require_topic
from stream_app.kafka.topic_reader import TopicReader
from stream_app.tools.dead_letter_selection import deduplicate, parse_dead_letter
from stream_app.worker.dead_letter_writer import owner_in
from topics.broker_client import require_connection
from topics.catalog import DEAD_LETTERS, ERASURES
from topics.client_arguments import client_arguments
from topics.kafka_connection import Broker
from topics.log_keys import one_way_hash
from topics.records import DeadLetter


class DeadLetterLog:
    """Reads the dead-letter topic from its beginning, without a consumer group: no offsets are committed.

    Attributes
    ----------
    n_invalid
        Records read so far that are not dead letters.

    Raises
    ------
    UserError
        If no broker answers, or the topic does not exist.
    """

    def __init__(self, broker: Broker) -> None:
        self.n_invalid = 0
        self._reader = TopicReader(broker, DEAD_LETTERS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.__exit__(None, None, None)

    def read(self) -> Iterator[DeadLetter]:
        """Every dead letter up to the end offsets at opening, once per origin; repeatable."""
        self.n_invalid = 0
        return deduplicate(self._parse(self._reader.read()))

    def follow(self) -> Iterator[DeadLetter]:
        """Every dead letter written after the log was opened; never ends."""
        return self._parse(self._reader.follow())

    def _parse(self, records: Iterator[Any]) -> Iterator[DeadLetter]:
        for record in records:
            if record.value is None:
                continue  # the tombstone of a dead letter of an erased user
            letter = parse_dead_letter(record.value)
            if letter is None:
                self.n_invalid += 1
            else:
                yield letter


def read_erasures(broker: Broker) -> dict[bytes, float]:
    """Read the time of the last erasure of each user.

    Returns
    -------
    dict
        The broker's time, seconds since the epoch, by the one-way hash of the user id.

    Raises
    ------
    UserError
        If no broker answers, or the topic does not exist.
    """
    erasures: dict[bytes, float] = {}
    with TopicReader(broker, ERASURES) as reader:
        for record in reader.read():
            user = one_way_hash(owner_in(record.key, record.value))
            erasures[user] = max(record.timestamp / 1000, erasures.get(user, 0.0))
    return erasures


class DeadLetterReplayer:
    """Sends the original records of dead letters to their topics.

    A record goes to its original partition, where the shop's producer, whatever its partitioner, puts the other
    events of the user. If that partition no longer exists, the partition follows from the key.

    Raises
    ------
    UserError
        If no broker answers, or, on exit of the context, if a record was not acknowledged.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._pending: list[Any] = []
        with broker_errors(broker):
            require_connection(broker)
            self._producer: Any = KafkaProducer(
                **client_arguments(broker),
                bootstrap_timeout_ms=BOOTSTRAP_MS,
                allow_auto_create_topics=False,
                max_block_ms=BOOTSTRAP_MS,
                linger_ms=20,
                # The broker enforces its own limit; a record that it once accepted must not fail here.
                max_request_size=int(DEAD_LETTERS.config["max.message.bytes"]),
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
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

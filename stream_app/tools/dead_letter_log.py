"""Dead letters: read them from their topic, choose among them, show them safely, send them back.

What chooses and formats is pure; `DeadLetterLog` and `DeadLetterReplayer` are the rim that talks to Kafka.
"""

from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, Final, Protocol, Self

import msgspec

from stream_app.errors import UserError
from stream_app.kafka.broker_errors import BOOTSTRAP_MS, broker_errors, groupless_consumer, require_topic
from topics.catalog import DEAD_LETTERS, SHOP_TOPICS
from topics.codec import RejectReason
from topics.events import rfc3339
from topics.records import DeadLetter

_DECODER: Final = msgspec.json.Decoder(DeadLetter)
_POLL_MS: Final = 500
_MAX_STALLED_POLLS: Final = 40


class DeadLetterFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which dead letters are meant.

    Attributes
    ----------
    reason
        Only those with this reason code; None takes any.
    topic
        Only those of this topic; None takes any.

    Examples
    --------
    >>> letter = DeadLetter(reason="wrong_type", detail="", topic="events.click", partition=0, offset=1,
    ...                     timestamp=0.0, key=None, value=None)
    >>> letter in DeadLetterFilter(reason="wrong_type"), letter in DeadLetterFilter(topic="events.search")
    (True, False)
    """

    reason: str | None = None
    topic: str | None = None

    def __contains__(self, letter: DeadLetter) -> bool:
        return self.reason in {None, letter.reason} and self.topic in {None, letter.topic}


def select(*, reason: str | None = None, topic: str | None = None) -> DeadLetterFilter:
    """A selection whose names exist.

    Raises
    ------
    UserError
        If there is no such reason or no such topic of the shop: a misspelt one would select nothing.
    """
    reasons = [str(known) for known in RejectReason]
    if reason is not None and reason not in reasons:
        raise UserError(f"There is no reason {reason!r}; there are {', '.join(reasons)}.")
    topics = [spec.name for spec in SHOP_TOPICS]
    if topic is not None and topic not in topics:
        raise UserError(f"Dead letters come from {', '.join(topics)}; not from {topic!r}.")
    return DeadLetterFilter(reason=reason, topic=topic)


def parse_dead_letter(raw: bytes | None) -> DeadLetter | None:
    """A record of the dead-letter topic, or None where it is no dead letter.

    Examples
    --------
    >>> parse_dead_letter(b"no JSON") is None
    True
    """
    if raw is None:
        return None
    try:
        return _DECODER.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def deduplicate(letters: Iterable[DeadLetter]) -> Iterator[DeadLetter]:
    """Each dead letter once: a crash makes the worker write one again with the same origin."""
    seen: set[tuple[str, int, int]] = set()
    for letter in letters:
        origin = (letter.topic, letter.partition, letter.offset)
        if origin not in seen:
            seen.add(origin)
            yield letter


def printable(text: str) -> str:
    r"""Text that a terminal shows as it is: whatever could steer it is written as an escape.

    Besides control characters that is every character Unicode calls unprintable: direction marks, line
    separators, lone surrogates, private and unassigned ones.

    Examples
    --------
    >>> printable("caf\u00e9 \x1b[31m\u202e")
    'café \\x1b[31m\\u202e'
    """
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def preview(raw: bytes | None, length: int = 120) -> str:
    r"""The beginning of a key or value, escaped for a terminal.

    Parameters
    ----------
    raw
        The bytes as Kafka had them.
    length
        Most characters to show; what was cut off is counted.

    Examples
    --------
    >>> preview(b'{"a":"\xff\x00"}'), preview(b"x" * 9, 4), preview(None)
    ('{"a":"\\xff\\x00"}', 'xxxx… 9 bytes', '(null)')
    """
    if raw is None:
        return "(null)"
    # A character takes at most 4 bytes, so that much is enough to fill the length.
    text = printable(raw[: length * 4].decode("utf-8", "backslashreplace"))
    if len(text) <= length and len(raw) <= length * 4:
        return text
    return f"{text[:length]}… {len(raw)} bytes"


def format_time(seconds: float) -> str:
    """The time of a record, RFC 3339 where it is a time at all."""
    try:
        return rfc3339(seconds)
    except (ValueError, OverflowError, OSError):
        return str(seconds)


class LetterSender(Protocol):
    """Sends a record back to where it came from."""

    def send(self, letter: DeadLetter) -> None:
        """Send the original of a dead letter."""


def replay(letters: Iterable[DeadLetter], sender: LetterSender) -> int:
    """Send the originals back in their order.

    Returns
    -------
    int
        How many were sent.
    """
    sent = 0
    for letter in letters:
        sender.send(letter)
        sent += 1
    return sent


class DeadLetterLog:
    """The dead-letter topic, read from its beginning without a consumer group: reading leaves no trace.

    Parameters
    ----------
    broker
        Kafka bootstrap servers.

    Attributes
    ----------
    n_invalid
        Records read so far that are no dead letters.

    Raises
    ------
    UserError
        If no broker answers, or the topic does not exist.
    """

    def __init__(self, broker: str) -> None:
        from kafka import TopicPartition  # noqa: PLC0415  # heavy, and only commands need it

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
        """Every dead letter from the beginning up to the end offsets that held when the log was opened.

        Each origin comes once. Reading again reads the same.
        """
        return deduplicate(self._read_to_ends())

    def follow(self) -> Iterator[DeadLetter]:
        """Every dead letter written after the log was opened, as it comes; never ends by itself."""
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
        """The next offset to read of each partition, no higher than the end."""
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
    """Sends the originals of dead letters back to their topics.

    A record goes to the partition it came from: that is where the shop's own producer puts the shopper's
    other events, whichever partitioner it has. Only a partition that is gone is replaced by the key's.

    Parameters
    ----------
    broker
        Kafka bootstrap servers.

    Raises
    ------
    UserError
        If no broker answers, or, on leaving the context, if a record was not taken.
    """

    def __init__(self, broker: str) -> None:
        from kafka import KafkaProducer  # noqa: PLC0415  # heavy, and only commands need it

        self._broker = broker
        self._pending: list[Any] = []
        with broker_errors(broker):
            self._producer: Any = KafkaProducer(
                bootstrap_servers=broker.split(","),
                bootstrap_timeout_ms=BOOTSTRAP_MS,
                allow_auto_create_topics=False,
                max_block_ms=BOOTSTRAP_MS,
                linger_ms=20,
                # The broker's own limit decides; a record it once took must not fail here.
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
        """Send the original of a dead letter, with its original key."""
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
        from kafka.errors import KafkaTimeoutError  # noqa: PLC0415

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

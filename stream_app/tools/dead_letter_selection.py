"""Dead letters: select, deduplicate, print and replay them; pure functions.

`stream_app.tools.dead_letter_log` reads them from Kafka and sends them there.
"""

from collections.abc import Iterable, Iterator, Mapping
from math import inf
from typing import Final, Protocol

import msgspec

from stream_app.errors import UserError
from stream_app.worker.dead_letter_writer import owner_of
from topics.catalog import ERASURES, SHOP_TOPICS
from topics.codec import RejectReason
from topics.log_keys import one_way_hash
from topics.records import DeadLetter

_DECODER: Final = msgspec.json.Decoder(DeadLetter)


class DeadLetterFilter(msgspec.Struct, frozen=True, kw_only=True):
    """A selection of dead letters by reason code and original topic; None matches all.

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
    """A selection with valid names.

    Raises
    ------
    UserError
        If there is no such reason or no such topic of the shop; a misspelled name would select nothing.
    """
    reasons = [str(known) for known in RejectReason]
    if reason is not None and reason not in reasons:
        raise UserError(f"There is no reason {reason!r}; there are {', '.join(reasons)}.")
    topics = [spec.name for spec in SHOP_TOPICS]
    if topic is not None and topic not in topics:
        raise UserError(f"Dead letters come from {', '.join(topics)}; not from {topic!r}.")
    return DeadLetterFilter(reason=reason, topic=topic)


def parse_dead_letter(raw: bytes | None) -> DeadLetter | None:
    """Decode a record of the dead-letter topic; None if it is not a dead letter.

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
    """Yield one dead letter per origin: after a crash a worker writes some of them again.

    The time of the original tells the records of a topic from those of one that was deleted and created anew.
    """
    seen: set[tuple[str, int, int, float | bytes | None]] = set()
    for letter in letters:
        # All rows that could not be decoded have offset 0, and the time at which they were found.
        record = letter.key if letter.reason == RejectReason.UNREADABLE_ROW else letter.timestamp
        origin = (letter.topic, letter.partition, letter.offset, record)
        if origin not in seen:
            seen.add(origin)
            yield letter


def printable(text: str) -> str:
    r"""Escape every character that is not printable, so that the text cannot control a terminal.

    Besides control characters these are direction marks, line separators, lone surrogates, private and unassigned
    characters.

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
    length
        Maximum number of characters; a longer text is truncated and followed by the number of bytes.

    Examples
    --------
    >>> preview(b'{"a":"\xff\x00"}'), preview(b"x" * 9, 4), preview(None)
    ('{"a":"\\xff\\x00"}', 'xxxx… 9 bytes', '(null)')
    """
    if raw is None:
        return "(null)"
    # A character has at most 4 bytes.
    text = printable(raw[: length * 4].decode("utf-8", "backslashreplace"))
    if len(text) <= length and len(raw) <= length * 4:
        return text
    return f"{text[:length]}… {len(raw)} bytes"


def is_replayable(letter: DeadLetter) -> bool:
    """Whether the original is a record of the shop; a row that could not be decoded must not be written again."""
    return letter.reason != RejectReason.UNREADABLE_ROW


def is_erased(letter: DeadLetter, erasures: Mapping[bytes, float]) -> bool:
    """Whether the user of a dead letter asked to be erased after it; sent again, it would make them a new user.

    A request that was rejected itself is sent again.

    Parameters
    ----------
    erasures
        The broker's time of the last request of each user, seconds since the epoch, by the one-way hash of the id.
    """
    if letter.topic == ERASURES.name:
        return False
    return letter.timestamp <= erasures.get(one_way_hash(owner_of(letter)), -inf)


class LetterSender(Protocol):
    """Sends the original record of a dead letter to its topic."""

    def send(self, letter: DeadLetter) -> None:
        """Send the original record of a dead letter."""


def replay(letters: Iterable[DeadLetter], sender: LetterSender) -> int:
    """Send the original records in order; return their number."""
    sent = 0
    for letter in letters:
        sender.send(letter)
        sent += 1
    return sent

"""What a partition of the users table remembers of the topics of events: the positions, and what was forwarded to it.

The changelog of each partition has one record for it, under a key that no user id has. It is appended after the rows
and before the offsets are committed, so that it never claims more than the rows hold.

Kafka forgets the committed offsets of a group that is empty for a week, and the topic ``control`` may be deleted.
The positions are then what is known: which records were removed before they were read, and that a topic was made
anew.
"""

import logging
from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import structs

from topics.log_keys import SEPARATOR

_LOG: Final = logging.getLogger(__name__)

FORMAT: Final = 1
MAX_MISSING: Final = 16
"""Ranges that a `ForwardedOffsets` keeps; then the two oldest become one."""

_KEY_PREFIX: Final = SEPARATOR + b"positions/"


def positions_key(partition: int) -> bytes:
    """Key of the record of a partition; no user id begins with its first byte.

    Examples
    --------
    >>> is_positions(positions_key(3)), is_positions(b"ann")
    (True, False)
    """
    return _KEY_PREFIX + str(partition).encode()


def is_positions(key: bytes) -> bool:
    """Whether a key of the table is that of the positions of a partition."""
    return key.startswith(_KEY_PREFIX)


class TopicPosition(msgspec.Struct, frozen=True, array_like=True):
    """The next offset to read of one partition of a topic.

    Attributes
    ----------
    topic_id
        Id of the topic; empty if the broker reports none.
    base
        What was added to the offsets of this incarnation of the topic (`stream_app.kafka.event_logs`).
    next_offset
        The offset as Kafka counts it, without the base.
    """

    topic_id: str
    base: int
    next_offset: int


class ForwardedOffsets(msgspec.Struct, frozen=True, array_like=True):
    """Which events of one source partition were forwarded to this one, and processed.

    Each forwarded event names its offset and that of the event that was forwarded before it. An event that arrives
    before its predecessor leaves a range of missing offsets: the events in it are still to come. So an event that is
    forwarded again after a crash is found, and one that arrives out of order is not taken for it.

    Attributes
    ----------
    newest
        The highest offset; -1 for none.
    missing
        Ranges of lower offsets, first and last, ascending, that may be still to come; at most ``MAX_MISSING``.
    """

    newest: int = -1
    missing: tuple[tuple[int, int], ...] = ()

    def has(self, offset: int) -> bool:
        """Whether the event at an offset was processed.

        Examples
        --------
        >>> forwarded = ForwardedOffsets().with_offset(4, -1).with_offset(9, 7)
        >>> forwarded.has(4), forwarded.has(9), forwarded.has(7), forwarded.has(12)
        (True, True, False, False)
        """
        return offset <= self.newest and not any(first <= offset <= last for first, last in self.missing)

    def with_offset(self, offset: int, previous: int) -> "ForwardedOffsets":
        """These offsets and another.

        Parameters
        ----------
        offset
            The event's.
        previous
            That of the event forwarded before it, by the same worker to the same partition; -1 if it was the first.

        Examples
        --------
        >>> ForwardedOffsets(4).with_offset(9, 7).with_offset(7, 4)
        ForwardedOffsets(newest=9, missing=((5, 6),))
        """
        if offset > self.newest:
            gap = ((self.newest + 1, previous),) if previous > self.newest else ()
            return ForwardedOffsets(offset, _bounded(self.missing + gap))
        missing: list[tuple[int, int]] = []
        for first, last in self.missing:
            if first <= offset <= last:
                missing += [each for each in ((first, offset - 1), (offset + 1, last)) if each[0] <= each[1]]
            else:
                missing.append((first, last))
        return ForwardedOffsets(self.newest, _bounded(tuple(missing)))


def _bounded(missing: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
    """At most ``MAX_MISSING`` ranges: an event may count twice if it is in none of them, but none is lost."""
    if len(missing) <= MAX_MISSING:
        return missing
    (first, _), (_, last) = missing[:2]
    return ((first, last), *missing[2:])


class PartitionPositions(msgspec.Struct, frozen=True, array_like=True):
    """The record of one partition.

    Attributes
    ----------
    format
        Version of this layout.
    topics
        By topic of events.
    forwarded
        By topic of events and source partition; offsets include the base.
    """

    format: int = FORMAT
    topics: dict[str, TopicPosition] = {}
    forwarded: dict[str, dict[int, ForwardedOffsets]] = {}

    def moved_to(self, topics: Mapping[str, TopicPosition]) -> "PartitionPositions":
        """With other positions of some topics."""
        return structs.replace(self, topics={**self.topics, **topics})

    def forwarded_from(self, topic: str, partition: int) -> ForwardedOffsets:
        """What was forwarded from a partition of a topic."""
        return self.forwarded.get(topic, {}).get(partition, _NOTHING)


_NOTHING: Final = ForwardedOffsets()
_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(PartitionPositions)


def encode_positions(positions: PartitionPositions) -> bytes:
    """Msgpack bytes of the record."""
    return _encoder.encode(positions)


def decode_positions(raw: bytes | None) -> PartitionPositions:
    """The positions in `raw`; none if it is None, cannot be decoded, or has another format.

    Examples
    --------
    >>> positions = PartitionPositions().moved_to({"events.click": TopicPosition("x", 0, 7)})
    >>> decode_positions(encode_positions(positions)) == positions
    True
    """
    if raw is None:
        return PartitionPositions()
    try:
        positions = _decoder.decode(raw)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:  # ValueError: invalid UTF-8
        _LOG.warning("ignoring the stored positions of a partition, which cannot be decoded: %s", error)
        return PartitionPositions()
    if positions.format != FORMAT:
        _LOG.warning(
            "ignoring the stored positions of a partition: they have format %d, this version reads %d",
            positions.format,
            FORMAT,
        )
        return PartitionPositions()
    return positions

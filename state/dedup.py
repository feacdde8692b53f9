"""The ring of a shopper's recent events, by which duplicates are found.

An entry is 12 bytes: 6 of the hash of the event id, 1 of the source topic, 5 of the offset. Two different ids
fall on one hash with a chance of 64 / 2**48 an event. The place is kept too, so that an event read again after
a crash (same place) is told from one sent again (another place).
"""

from hashlib import blake2b
from typing import Final, NamedTuple

from topics.records import Source

CAPACITY: Final = 64
"""Events remembered; an older one's id is forgotten."""

_HASH: Final = 6
_ENTRY: Final = 12


class Place(NamedTuple):
    """Where an event stood: source topic, partition, offset."""

    source: Source
    partition: int
    offset: int


def _hash(event_id: str) -> bytes:
    return blake2b(event_id.encode(), digest_size=_HASH).digest()


def find(ring: bytes, event_id: str) -> tuple[Source, int] | None:
    """The source and offset at which an event id was first taken, or None.

    Examples
    --------
    >>> ring = remember(b"", "e1", Source.CLICK, 41)
    >>> find(ring, "e1")
    (<Source.CLICK: 0>, 41)
    >>> find(ring, "e2") is None
    True
    """
    wanted = _hash(event_id)
    at = ring.find(wanted)
    while at >= 0:
        if at % _ENTRY == 0:
            return Source(ring[at + _HASH]), int.from_bytes(ring[at + _HASH + 1 : at + _ENTRY])
        at = ring.find(wanted, at + 1)
    return None


def remember(ring: bytes, event_id: str, source: Source, offset: int) -> bytes:
    """A ring with one more event, the oldest dropped when it is full.

    Parameters
    ----------
    ring
        The ring so far.
    event_id, source, offset
        The event and its place; offsets are kept modulo 2**40.

    Returns
    -------
    bytes
        At most ``CAPACITY`` entries.
    """
    kept = ring if len(ring) < CAPACITY * _ENTRY else ring[_ENTRY:]
    return kept + _hash(event_id) + bytes((source,)) + (offset & 0xFF_FFFF_FFFF).to_bytes(5)

"""The ring of a user's recent event ids, for deduplication.

An entry has 12 bytes: 6 of a hash of the event id, 1 of the source, 5 of the offset. Two different ids collide with
probability 64 / 2**48 per event. The offset distinguishes an event that is read again after a crash (same offset)
from one that was sent twice (another offset).
"""

from hashlib import blake2b
from typing import Final, NamedTuple

from topics.records import Source

CAPACITY: Final = 64
"""Number of events in the ring."""

_HASH_BYTES: Final = 6
_ENTRY_BYTES: Final = 12


class RecordId(NamedTuple):
    """The position of an event in the log: source, partition, offset."""

    source: Source
    partition: int
    offset: int


def _hash(event_id: str) -> bytes:
    return blake2b(event_id.encode(), digest_size=_HASH_BYTES).digest()


def find(ring: bytes, event_id: str) -> tuple[int, int] | None:
    """The source and offset at which an event id was accepted, or None; of an erasure's, which may recur, the last.

    Examples
    --------
    >>> ring = remember(b"", "e1", Source.CLICK, 41)
    >>> find(ring, "e1")
    (0, 41)
    >>> find(ring, "e2") is None
    True
    """
    hashed = _hash(event_id)
    index = ring.rfind(hashed)
    while index >= 0:
        if index % _ENTRY_BYTES == 0:
            return ring[index + _HASH_BYTES], int.from_bytes(
                ring[index + _HASH_BYTES + 1 : index + _ENTRY_BYTES]
            )
        index = ring.rfind(hashed, 0, index + _HASH_BYTES - 1)
    return None


def remember(ring: bytes, event_id: str, source: Source, offset: int) -> bytes:
    """The ring with one more event; the oldest is dropped if the ring is full.

    Parameters
    ----------
    event_id, source, offset
        The event and its position; offsets are stored modulo 2**40.

    Returns
    -------
    bytes
        At most ``CAPACITY`` entries.
    """
    remaining = ring if len(ring) < CAPACITY * _ENTRY_BYTES else ring[_ENTRY_BYTES:]
    return remaining + _hash(event_id) + bytes((source,)) + (offset & 0xFF_FFFF_FFFF).to_bytes(5)

"""Keys of the records on Headrace's logs, and the hash that stands for an erased user.

Each record on ``interactions``, ``rewards``, ``lists`` and ``dead-letters`` has a key of its own: the user id, a
byte that no UTF-8 text has, and what identifies the record. A log that is compacted by key therefore keeps every
record, until a tombstone with the same key removes it: the records of one user can be removed, and no others
(`stream_app.worker.erasure_sweep`). A record that is written again after a crash has the same key and the same
bytes.

A record without a value whose key is the bare user id is no tombstone of a record: on ``lists`` it says that the
user was erased, so that earlier lists are not restored.
"""

from hashlib import blake2b
from typing import Final

SEPARATOR: Final = b"\xff"
"""Between the user id and the rest of a key. UTF-8 has no such byte, so that no user id can end elsewhere."""

HASH_BYTES: Final = 32

MAX_SUFFIX_BYTES: Final = 128
"""More than the separator and what follows it in the key of an interaction, a reward or a list."""


def one_way_hash(text: str | bytes) -> bytes:
    """BLAKE2b-256 of a text: it stands for an erased user where something must be remembered of them.

    Who knows a user id can find its hash, but no id can be read from a hash.

    Examples
    --------
    >>> one_way_hash("ann").hex()[:16], len(one_way_hash("ann"))
    ('62498115adfdffb3', 32)
    """
    return blake2b(text.encode() if isinstance(text, str) else text, digest_size=HASH_BYTES).digest()


def event_key(user_id: bytes, source: int, partition: int, offset: int) -> bytes:
    r"""Key of an interaction: the user, and the record id of the event.

    Examples
    --------
    >>> event_key(b"ann", 0, 3, 41)
    b'ann\xff0.3.41'
    """
    return b"%b\xff%d.%d.%d" % (user_id, source, partition, offset)


def reward_key(user_id: bytes, source: int, partition: int, offset: int, line: int) -> bytes:
    r"""Key of a reward: the user, the record id of the event, and the line.

    Examples
    --------
    >>> reward_key(b"ann", 2, 3, 41, 1)
    b'ann\xff2.3.41.1'
    """
    return b"%b\xff%d.%d.%d.%d" % (user_id, source, partition, offset, line)


def list_key(user_id: bytes, list_id: str, published_at: float) -> bytes:
    r"""Key of a list: the user, the list, and when it was published; a list may be published again.

    Examples
    --------
    >>> list_key(b"ann", "5d0c", 1700000000.25)
    b'ann\xff5d0c.1700000000250'
    """
    return b"%b\xff%b.%d" % (user_id, list_id.encode(), round(published_at * 1000))


def letter_key(user_id: bytes, topic: str, partition: int, offset: int, timestamp: float) -> bytes:
    r"""Key of a dead letter: the user as far as one is known, and the position and time of the rejected record.

    By the time compaction keeps the letters of a topic apart from those of one that was made anew.

    Parameters
    ----------
    timestamp
        Seconds since the epoch.

    Examples
    --------
    >>> letter_key(b"ann", "events.click", 3, 41, 1.5)
    b'ann\xffevents.click.3.41@1500'
    """
    name = topic.encode("utf-8", "replace")
    return b"%b\xff%b.%d.%d@%d" % (user_id, name, partition, offset, round(timestamp * 1000))


def user_of(key: bytes) -> bytes:
    r"""The user id in a key; the key itself if it has no more than that.

    Examples
    --------
    >>> user_of(b"ann\xff0.3.41"), user_of(b"ann")
    (b'ann', b'ann')
    """
    return key.partition(SEPARATOR)[0]


def record_id_of(key: bytes) -> tuple[int, int, int] | None:
    r"""Source, partition and offset of the event in the key of an interaction or a reward; None in another key.

    Examples
    --------
    >>> record_id_of(b"ann\xff0.3.41"), record_id_of(b"ann\xff2.3.41.1"), record_id_of(b"ann")
    ((0, 3, 41), (2, 3, 41), None)
    """
    parts = key.partition(SEPARATOR)[2].split(b".")
    try:
        return int(parts[0]), int(parts[1]), int(parts[2])
    except (IndexError, ValueError):
        return None


def letter_position_of(key: bytes) -> tuple[str, int, int] | None:
    r"""Topic, partition and offset of the rejected record in the key of a dead letter; None in another key.

    Keys of earlier versions have no time.

    Examples
    --------
    >>> letter_position_of(b"ann\xffevents.click.3.41@1500"), letter_position_of(b"ann")
    (('events.click', 3, 41), None)
    >>> letter_position_of(b"ann\xffevents.click.3.41")
    ('events.click', 3, 41)
    """
    parts = key.partition(SEPARATOR)[2].partition(b"@")[0].rsplit(b".", 2)
    try:
        return parts[0].decode(), int(parts[1]), int(parts[2])
    except (IndexError, ValueError):
        return None

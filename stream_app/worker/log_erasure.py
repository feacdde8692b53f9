"""Which records on Headrace's logs are of an erased user, and from before the erasure; pure functions.

The sweep knows erased users by the one-way hash of their id alone: it hashes the user id in the key of each record.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from state.row import ErasureMark, watermark_of
from topics.catalog import INTERACTIONS, REWARDS
from topics.log_keys import SEPARATOR, one_way_hash, record_id_of, user_of
from topics.records import Source

_WITH_RECORD_ID: Final = frozenset({INTERACTIONS.name, REWARDS.name})


class ErasedUser(NamedTuple):
    """An erased user, as the records on the logs are compared with.

    Attributes
    ----------
    user_hash
        One-way hash of the user id.
    partition
        The partition of the user's events; -1 if it is not known.
    mark
        The erasure.
    """

    user_hash: bytes
    partition: int
    mark: ErasureMark


class ObsoleteRecord(NamedTuple):
    """A record that is to be removed.

    Attributes
    ----------
    is_erasure
        Whether it tells replicas of the erasure itself: it must outlive the records before it.
    """

    user_hash: bytes
    key: bytes
    is_erasure: bool


def obsolete_records(
    topic: str, records: Iterable[Any], erased: Mapping[bytes, ErasedUser]
) -> Iterator[ObsoleteRecord]:
    """The records of erased users from before their erasure.

    An interaction or a reward is from before the erasure if the row had applied its event by then. A list, a dead
    letter, or a record of an earlier version, whose key is the bare user id, is by the time of the record. A user who
    returned keeps what is newer.

    Parameters
    ----------
    records
        Kafka's records of one topic.
    erased
        The erased users by the hash of their id.
    """
    has_record_id = topic in _WITH_RECORD_ID
    for record in records:
        key = record.key
        if not key or record.value is None:
            continue
        user = erased.get(one_way_hash(user_of(key)))
        if user is None:
            continue
        record_id = record_id_of(key) if has_record_id else None
        if record_id is not None and record_id[1] == user.partition:
            source, _, offset = record_id
            is_obsolete = offset <= watermark_of(user.mark.watermarks, Source(source))
            is_erasure = source == Source.ERASURE
        else:
            is_obsolete, is_erasure = record.timestamp <= user.mark.at * 1000, False
        if is_obsolete:
            yield ObsoleteRecord(user.user_hash, key, is_erasure)


def has_bare_key(key: bytes) -> bool:
    """Whether a key is a user id alone, as an earlier version wrote it: one tombstone removes all records with it."""
    return SEPARATOR not in key

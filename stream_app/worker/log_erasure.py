"""Which records on Headrace's logs are of an erased user, and from before the erasure; pure functions.

The sweep knows erased users by the one-way hash of their id alone: it hashes the user id in the key of each record.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from state.row import ErasureMark, watermark_of
from topics.catalog import DEAD_LETTERS, INTERACTIONS, LISTS, REWARDS
from topics.event_types import EVENT_TYPES
from topics.log_keys import SEPARATOR, letter_position_of, one_way_hash, record_id_of, user_of
from topics.records import Source

_WITH_RECORD_ID: Final = frozenset({INTERACTIONS.name, REWARDS.name})

_SOURCES: Final = {each.topic: each.source for each in EVENT_TYPES}
_NO_BASES: Final[Mapping[str, int]] = {}
_MAX_LATER_LISTS: Final = 200_000
"""Keys of lists that look newer than the erasure, held until the record of the erasure is read: about 20 MB."""


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


class ObsoleteRecords:
    """Finds the records of erased users from before their erasure, in a pass over each log from its start.

    An interaction or a reward is from before the erasure if the row had applied its event by then. A list, a dead
    letter, or a record of an earlier version, whose key is the bare user id, is by the time of the record. Former
    owners may have had another clock than the worker that erased. So a list is obsolete, too, if the record of the
    erasure follows it on the log (`stream_app.publishing.list_log.ListLog.erase`), and a dead letter if the row had
    applied its offset or a later one by then. A user who returned keeps what is newer.

    Parameters
    ----------
    erased
        The erased users by the hash of their id.
    bases
        What is added to the offsets of each topic of events (`stream_app.kafka.event_logs`).
    """

    def __init__(self, erased: Mapping[bytes, ErasedUser], bases: Mapping[str, int] = _NO_BASES) -> None:
        self._erased = erased
        self._bases = bases
        self._later_lists: dict[bytes, list[bytes]] = {}
        self._n_later_lists = 0

    def find(self, topic: str, records: Iterable[Any]) -> Iterator[ObsoleteRecord]:
        """The obsolete records among the next ones of a topic.

        Parameters
        ----------
        records
            Kafka's records, in the order of the log.
        """
        for record in records:
            key = record.key
            if not key:
                continue
            user = self._erased.get(one_way_hash(user_of(key)))
            if user is None:
                continue
            if record.value is None:
                if topic == LISTS.name and has_bare_key(key):
                    for each in self._later_lists.pop(user.user_hash, ()):
                        self._n_later_lists -= 1
                        yield ObsoleteRecord(user.user_hash, each, is_erasure=False)
                continue
            is_obsolete, is_erasure = self._compare(topic, key, record.timestamp, user)
            if is_obsolete:
                yield ObsoleteRecord(user.user_hash, key, is_erasure)
            elif topic == LISTS.name and self._n_later_lists < _MAX_LATER_LISTS:
                self._later_lists.setdefault(user.user_hash, []).append(key)
                self._n_later_lists += 1

    def _compare(self, topic: str, key: bytes, timestamp: int, user: ErasedUser) -> tuple[bool, bool]:
        """Whether a record is from before an erasure, and whether it tells of it."""
        mark = user.mark
        if topic in _WITH_RECORD_ID and (record_id := record_id_of(key)) and record_id[1] == user.partition:
            number, _, offset = record_id
            return offset <= watermark_of(mark.watermarks, Source(number)), number == Source.ERASURE
        if timestamp <= mark.at * 1000:
            return True, False
        if topic == DEAD_LETTERS.name and (position := letter_position_of(key)):
            source_topic, partition, offset = position
            source = _SOURCES.get(source_topic)
            if source is not None and partition == user.partition:
                # of a letter from before the topic was made anew the sum is too large: its time decides
                return offset + self._bases.get(source_topic, 0) <= watermark_of(
                    mark.watermarks, source
                ), False
        return False, False


def has_bare_key(key: bytes) -> bool:
    """Whether a key is a user id alone, as an earlier version wrote it: one tombstone removes all records with it."""
    return SEPARATOR not in key

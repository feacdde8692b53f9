"""The positions of the owned partitions, stored with the rows (`state.positions`).

The record of a partition is appended to the changelog before offsets are committed, and after the rows of all events
before them: Kafka keeps the order, so that a crash leaves positions that are at most as far as the rows.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, Protocol

from msgspec import structs

from state.positions import (
    ForwardedOffsets,
    PartitionPositions,
    TopicPosition,
    decode_positions,
    encode_positions,
    positions_key,
)
from state.user_rows import StoreError
from stream_app.kafka.event_logs import EventLog, EventLogs, later_of
from stream_app.kafka.event_origin import EventOrigin
from topics.catalog import USER_EVENTS

_EVENT_TOPICS: Final = frozenset(spec.name for spec in USER_EVENTS)


def event_logs_of(stored: Iterable[PartitionPositions]) -> EventLogs:
    """The latest incarnation of each topic that the rows of some partitions have seen."""
    event_logs: EventLogs = {}
    for positions in stored:
        seen = {
            topic: EventLog(each.topic_id, each.base)
            for topic, each in positions.topics.items()
            if each.topic_id
        }
        event_logs = later_of(event_logs, seen)
    return event_logs


class PositionTable(Protocol):
    """The part of `state.user_table.ChangelogTable` that is used."""

    def read(self, key: bytes, partition: int) -> bytes | None:
        """The stored value of a key of a partition; None if there is none."""

    def append_change(self, key: bytes, value: bytes | None, partition: int) -> None:
        """Append a change to the changelog that no event has caused."""

    def apply_change(self, key: bytes, value: bytes | None, partition: int) -> None:
        """Make a change in the local store, after Kafka has acknowledged it."""


class Flushable(Protocol):
    """The part of `stream_app.kafka.batch_producer.BatchProducer` that is used."""

    async def flush(self) -> None:
        """Wait until Kafka has acknowledged all records."""


class PositionLog:
    """Reads and stores positions.

    Parameters
    ----------
    table
        The users table.
    producer
        Appends to its changelog.
    event_logs
        The current incarnations of the topics of events.
    """

    def __init__(self, table: PositionTable, producer: Flushable, event_logs: EventLogs) -> None:
        self._table: Final = table
        self._producer: Final = producer
        self._event_logs: Final = event_logs
        self._positions: dict[int, PartitionPositions] = {}
        self._changed: set[int] = set()
        self._n_loads = 0

    def load(self, partitions: Iterable[int]) -> None:
        """Read the positions of the partitions that this worker owns now, after their rows are recovered.

        Raises
        ------
        StoreError
            If the local store cannot be read.
        """
        self.clear()
        self._positions = {
            each: decode_positions(self._table.read(positions_key(each), each)) for each in partitions
        }

    def clear(self) -> None:
        """Forget the positions, when the partitions are revoked."""
        self._positions = {}
        self._changed = set()
        self._n_loads += 1

    def later_event_logs(self) -> EventLogs:
        """The incarnations that the rows know, where ``control`` knows only earlier ones.

        It was deleted: offsets would count from a base that the rows have left behind, and all events would look
        like replays.
        """
        known = self._event_logs
        later = later_of(known, event_logs_of(self._positions.values()))
        return {topic: each for topic, each in later.items() if topic in known and each != known[topic]}

    def next_offset(self, topic: str, partition: int) -> int | None:
        """The next offset to read of a topic as it is now; None if it is not known."""
        stored = self._stored(topic, partition)
        if stored is None or (stored.topic_id, stored.base) != self._incarnation(topic):
            return None
        return stored.next_offset

    def is_of_deleted_topic(self, topic: str, partition: int) -> bool:
        """Whether the stored offset is of a topic that was deleted and created anew since.

        Positions are stored before offsets are committed, and where reading begins. So no worker has read the topic
        as it is now, and a committed offset is of the deleted one: a worker that had not noticed committed it.
        """
        stored = self._stored(topic, partition)
        topic_id, _ = self._incarnation(topic)
        return stored is not None and bool(stored.topic_id and topic_id) and stored.topic_id != topic_id

    def _stored(self, topic: str, partition: int) -> TopicPosition | None:
        positions = self._positions.get(partition)
        return None if positions is None else positions.topics.get(topic)

    def _incarnation(self, topic: str) -> tuple[str, int]:
        event_log = self._event_logs.get(topic)
        return ("", 0) if event_log is None else (event_log.topic_id, event_log.base)

    # Forwarded events

    def is_repeated(self, topic: str, partition: int, origin: EventOrigin) -> bool:
        """Whether a forwarded event was forwarded to an owned partition, and processed, before.

        The header of a record that was copied from another topic says nothing.
        """
        topic_id, base = self._incarnation(topic)
        positions = self._positions.get(partition)
        if positions is None or origin.topic_id != topic_id:
            return False
        return positions.forwarded_from(topic, origin.partition).has(origin.offset + base)

    def on_processed(self, topic: str, partition: int, origin: EventOrigin) -> None:
        """Remember a forwarded event, after its row was written."""
        topic_id, base = self._incarnation(topic)
        positions = self._positions.get(partition)
        if positions is None or origin.topic_id != topic_id:
            return
        known = positions.forwarded_from(topic, origin.partition)
        if not known.has(origin.offset + base):
            previous = origin.previous + base if origin.previous >= 0 else -1
            self._remember(
                positions,
                topic,
                partition,
                origin.partition,
                known.with_offset(origin.offset + base, previous),
            )

    def _remember(
        self,
        positions: PartitionPositions,
        topic: str,
        partition: int,
        source: int,
        offsets: ForwardedOffsets,
    ) -> None:
        of_topic = {**positions.forwarded.get(topic, {}), source: offsets}
        self._positions[partition] = structs.replace(
            positions, forwarded={**positions.forwarded, topic: of_topic}
        )
        self._changed.add(partition)

    # Storing

    async def begin(self, offsets: Mapping[Any, int]) -> None:
        """Store where partitions are read from, where it is not known: before an assignment is taken up.

        Parameters
        ----------
        offsets
            The next offset to read by topic and partition.

        Raises
        ------
        DeliveryError
            If Kafka did not acknowledge a record.
        """
        await self.store(
            {tp: offset for tp, offset in offsets.items() if self.next_offset(tp.topic, tp.partition) is None}
        )

    async def store(self, offsets: Mapping[Any, int]) -> dict[Any, int]:
        """Store the positions that are committed next.

        Parameters
        ----------
        offsets
            The next offset to read by topic and partition.

        Returns
        -------
        dict
            The offsets that may be committed: not those of a partition of user events that is not owned any more,
            and none after a revocation meanwhile. The new owner reads these events again, and finds them in the
            rows.

        Raises
        ------
        DeliveryError
            If Kafka did not acknowledge a record.
        """
        n_loads, owned = self._n_loads, self._positions
        moved: dict[int, dict[str, TopicPosition]] = {}
        for tp, offset in offsets.items():
            if tp.topic in _EVENT_TOPICS and tp.partition in owned:
                position = TopicPosition(*self._incarnation(tp.topic), offset)
                moved.setdefault(tp.partition, {})[tp.topic] = position
        for partition, topics in moved.items():
            owned[partition] = owned[partition].moved_to(topics)
        values = {each: encode_positions(owned[each]) for each in {*moved, *self._changed}}
        self._changed.clear()
        for partition, value in values.items():
            self._table.append_change(positions_key(partition), value, partition)
        if values:
            await self._producer.flush()
        if self._n_loads != n_loads:
            # The partitions were revoked: the records of their positions may have been dropped, and a commit of an
            # earlier generation of the group would only make the worker leave the next one.
            return {}
        for partition, value in values.items():
            self._apply(partition, value)
        return {
            tp: offset
            for tp, offset in offsets.items()
            if tp.topic not in _EVENT_TOPICS or tp.partition in moved
        }

    def _apply(self, partition: int, value: bytes) -> None:
        try:
            self._table.apply_change(positions_key(partition), value, partition)
        except StoreError:
            # The disk may be full; the next commit stores them again.
            self._changed.add(partition)

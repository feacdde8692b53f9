"""How far the topics of lists and rewards are known to a worker."""

from collections.abc import Collection

from state.dedup import RecordId
from topics.records import Source


class LogProgress:
    """How far the log of lists and rewards is known to this worker: what was read from it and what was delivered."""

    def __init__(self) -> None:
        self.positions: dict[tuple[str, int], int] = {}
        """Next offset to read, by topic and partition."""
        self.last_rewarded: dict[tuple[Source, int], tuple[int, int]] = {}
        """Offset and line of the newest event that has its reward in the log, by its source and partition."""

    def on_delivered(self, topic: str, partition: int, offset: int) -> None:
        """Note the offset of the newest of this worker's own records that Kafka has.

        One that is told of when its partition has gone to another worker says nothing of what that one writes.
        """
        position = self.positions.get((topic, partition))
        if position is not None:
            self.positions[topic, partition] = max(position, offset + 1)

    def first_unrewarded_line(self, record_id: RecordId) -> int | None:
        """The first line of an event that may lack its reward; None where none does."""
        offset, line = self.last_rewarded.get((record_id.source, record_id.partition), (-1, -1))
        if record_id.offset > offset:
            return 0
        return line + 1 if record_id.offset == offset else None

    def retain_partitions(self, partitions: Collection[int]) -> None:
        """Know nothing of all other partitions any more."""
        self.positions = {at: offset for at, offset in self.positions.items() if at[1] in partitions}
        self.last_rewarded = {at: line for at, line in self.last_rewarded.items() if at[1] in partitions}

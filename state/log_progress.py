"""Progress of a worker in the log of lists and rewards."""

from collections.abc import Collection

from state.dedup import RecordId
from topics.records import Source


class LogProgress:
    """How much of the log of lists and rewards this worker has read or delivered."""

    def __init__(self) -> None:
        self.positions: dict[tuple[str, int], int] = {}
        """Next offset to read, by topic and partition."""
        self.last_rewarded: dict[tuple[Source, int], tuple[int, int]] = {}
        """Offset and line of the newest event with a reward in the log, by source and partition of the event."""

    def on_delivered(self, topic: str, partition: int, offset: int) -> None:
        """Record the offset of this worker's newest acknowledged record.

        An acknowledgement after the partition moved to another worker is ignored: it does not cover the records of
        the new owner.
        """
        position = self.positions.get((topic, partition))
        if position is not None:
            self.positions[topic, partition] = max(position, offset + 1)

    def first_unrewarded_line(self, record_id: RecordId) -> int | None:
        """The first line of an event that may lack its reward in the log; None if no line does."""
        offset, line = self.last_rewarded.get((record_id.source, record_id.partition), (-1, -1))
        if record_id.offset > offset:
            return 0
        return line + 1 if record_id.offset == offset else None

    def retain_partitions(self, partitions: Collection[int]) -> None:
        """Remove the progress of all other partitions."""
        self.positions = {at: offset for at, offset in self.positions.items() if at[1] in partitions}
        self.last_rewarded = {at: line for at, line in self.last_rewarded.items() if at[1] in partitions}

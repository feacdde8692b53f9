"""How far the topics of lists and rewards are known to a worker."""

from collections.abc import Collection

from state.dedup import Place
from topics.records import Source


class Logged:
    """How far the log of lists and rewards is known to this worker: what was read from it and what was delivered."""

    def __init__(self) -> None:
        self.positions: dict[tuple[str, int], int] = {}
        """Next offset to read, by topic and partition."""
        self.rewarded: dict[tuple[Source, int], tuple[int, int]] = {}
        """Offset and line of the newest event that has its reward in the log, by its source and partition."""

    def delivered(self, topic: str, partition: int, offset: int) -> None:
        """Note the offset of the newest of this worker's own records that Kafka has.

        One that is told of when its partition has gone to another worker says nothing of what that one writes.
        """
        known = self.positions.get((topic, partition))
        if known is not None:
            self.positions[topic, partition] = max(known, offset + 1)

    def first_line(self, place: Place) -> int | None:
        """The first line of an event that may lack its reward; None where none does."""
        offset, line = self.rewarded.get((place.source, place.partition), (-1, -1))
        if place.offset > offset:
            return 0
        return line + 1 if place.offset == offset else None

    def keep(self, partitions: Collection[int]) -> None:
        """Know nothing of all other partitions any more."""
        self.positions = {at: offset for at, offset in self.positions.items() if at[1] in partitions}
        self.rewarded = {at: line for at, line in self.rewarded.items() if at[1] in partitions}

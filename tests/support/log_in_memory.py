"""A log in memory, and a consumer of it that can lose fetches, as one that is read across a seek does."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from types import SimpleNamespace
from typing import Any, Final

from aiokafka.structs import TopicPartition

MAX_EMPTY_FETCHES: Final = 1_000
"""Fetches in a row without a record after which a reader counts as caught in a loop."""


class LogInMemory:
    """Records by partition; offsets without a record are those of removed records and control records."""

    def __init__(self, topic: str = "t") -> None:
        self.topic: Final = topic
        self.records: dict[TopicPartition, dict[int, Any]] = {}
        self.ends: dict[TopicPartition, int] = {}
        self.beginnings: dict[TopicPartition, int] = {}

    def tp(self, partition: int) -> TopicPartition:
        """A partition of the topic."""
        return TopicPartition(self.topic, partition)

    def fill(
        self, partition: int, offsets: Iterable[int], *, end: int | None = None, value: bytes | None = b"row"
    ) -> TopicPartition:
        """Add a record at each offset, with the offset as its key; the log ends at `end`, or after the last."""
        tp = self.tp(partition)
        records = self.records.setdefault(tp, {})
        for offset in offsets:
            records[offset] = SimpleNamespace(
                topic=self.topic,
                partition=partition,
                offset=offset,
                key=b"%d" % offset,
                value=value,
            )
        self.ends[tp] = max(records, default=-1) + 1 if end is None else end
        return tp

    def remove_before(self, tp: TopicPartition, beginning: int) -> None:
        """Remove the records before an offset, as retention does."""
        self.beginnings[tp] = beginning
        self.records[tp] = {at: record for at, record in self.records[tp].items() if at >= beginning}

    def append(self, partition: int, key: bytes, value: bytes | None) -> int:
        """Add a record at the end of a partition; return its offset."""
        tp = self.tp(partition)
        offset = self.ends.get(tp, 0)
        self.fill(partition, [offset], value=value)
        self.records[tp][offset].key = key
        return offset


class LosingConsumer:
    """The part of aiokafka's consumer that reads of ranges use.

    Parameters
    ----------
    fetch_size
        Records of one fetch.
    lost
        Numbers of fetches, from 0, whose records are lost: the position moves past them.
    """

    def __init__(self, log: LogInMemory, fetch_size: int = 3, lost: Collection[int] = ()) -> None:
        self._log = log
        self._fetch_size = fetch_size
        self._lost = frozenset(lost)
        self._positions: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()
        self._empty = 0
        self.fetches = 0
        self.checked: list[tuple[int, int]] = []
        self.read: Counter[tuple[int, int]] = Counter()
        self.stopped = False

    async def start(self) -> None: ...

    async def stop(self) -> None:
        self.stopped = True

    def assign(self, tps: Collection[TopicPartition]) -> None:
        self._positions, self._paused = dict.fromkeys(tps, 0), set()

    def seek(self, tp: TopicPartition, offset: int) -> None:
        self._positions[tp] = offset

    def pause(self, *tps: TopicPartition) -> None:
        self._paused.update(tps)

    async def position(self, tp: TopicPartition) -> int:
        return self._positions[tp]

    def highwater(self, tp: TopicPartition) -> int | None:
        return self._log.ends[tp] if self.fetches else None

    async def end_offsets(self, tps: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        return {tp: self._log.ends.get(tp, 0) for tp in tps}

    async def beginning_offsets(self, tps: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        return {tp: self._log.beginnings.get(tp, 0) for tp in tps}

    async def offsets_for_times(self, times: Mapping[TopicPartition, int]) -> dict[TopicPartition, Any]:
        """The first record of each log, whatever the time."""
        return {tp: SimpleNamespace(offset=0) for tp in times if self._log.ends.get(tp)}

    async def first_offset(self, tp: TopicPartition, start: int, end: int) -> int | None:
        """The offset of the first record of a range, as the broker has it."""
        self.checked.append((start, end))
        return min((each for each in self._log.records[tp] if start <= each < end), default=end)

    async def getmany(
        self, *tps: TopicPartition, timeout_ms: int, max_records: int
    ) -> dict[TopicPartition, list[Any]]:
        del timeout_ms
        found: dict[TopicPartition, list[Any]] = {}
        for tp in tps:
            if tp in self._paused or self._positions[tp] >= self._log.ends[tp]:
                continue
            records = self._log.records[tp]
            offsets = [each for each in sorted(records) if each >= self._positions[tp]]
            fetched = offsets[: min(self._fetch_size, max_records)]
            self._positions[tp] = self._log.ends[tp] if fetched == offsets else fetched[-1] + 1
            self.fetches += 1
            if fetched and self.fetches - 1 not in self._lost:
                self.read.update((tp.partition, offset) for offset in fetched)
                found[tp] = [records[offset] for offset in fetched]
        self._empty = 0 if found else self._empty + 1
        assert self._empty < MAX_EMPTY_FETCHES, "the reader does not end"
        return found

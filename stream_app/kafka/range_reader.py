"""Reads ranges of logs completely: each gap between two fetches is read again before it is accepted.

Compaction leaves gaps in the offsets of a log; so does a fetch that was lost in the client. Within one fetch the
broker returns all records that the log has, so that only a gap between two fetches is in doubt. It is accepted if a
second fetch from its beginning starts with the same record.
"""

import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final, NamedTuple

from aiokafka.structs import TopicPartition

_FETCH_RECORDS: Final = 2_000
_FETCH_TIMEOUT_MS: Final = 500
_REPORT_INTERVAL: Final = 5.0


class LogRange(NamedTuple):
    """A range of a log: offset of its first record, and the offset after its last record."""

    tp: TopicPartition
    start: int
    end: int


class _RangeProgress:
    """Progress in one range.

    Parameters
    ----------
    log_range
        The range.
    """

    def __init__(self, log_range: LogRange) -> None:
        self.tp: Final = log_range.tp
        self.end: Final = log_range.end
        self.next: int = log_range.start
        self._doubted: tuple[int, int] | None = None

    def _accepts(self, consumer: Any, first: int) -> bool:
        """Whether the next record has the offset `first`; if in doubt, the gap is read again."""
        gap = (self.next, first)
        if first <= self.next or self._doubted == gap:
            return True
        self._doubted = gap
        consumer.seek(self.tp, self.next)
        return False

    def take(self, consumer: Any, records: list[Any]) -> list[Any]:
        """Accept a fetch; return its records in the range."""
        if not self._accepts(consumer, records[0].offset):
            return []
        kept = [each for each in records if self.next <= each.offset < self.end]
        self.next = records[-1].offset + 1
        return kept

    async def is_finished(self, consumer: Any, *, fetched: bool) -> bool:
        """Whether the range was read to its end: only removed records and control records may be left."""
        if self.next >= self.end:
            return True
        at_end = not fetched and await consumer.position(self.tp) >= self.end
        return at_end and self._accepts(consumer, self.end)


async def read_ranges(
    consumer: Any,
    ranges: Sequence[LogRange],
    on_progress: Callable[[int, int], None] = lambda _read, _total: None,
) -> AsyncIterator[list[Any]]:
    """Yield the records of the ranges of one topic, in order of offset per partition.

    Parameters
    ----------
    consumer
        A started aiokafka consumer without a group; its assignment is replaced.
    ranges
        One per partition; empty ranges are skipped.
    on_progress
        Called every five seconds with the number of records read and an upper bound of their total.

    Yields
    ------
    list of aiokafka.ConsumerRecord
        Not empty, of one partition.
    """
    unfinished = {each.tp: _RangeProgress(each) for each in ranges if each.start < each.end}
    if not unfinished:
        # aiokafka's consumer waits forever if an empty assignment is followed by another at once.
        return
    consumer.assign(list(unfinished))
    for tp, progress in unfinished.items():
        consumer.seek(tp, progress.next)
    total, n_read, reported_at = (
        sum(each.end - each.next for each in unfinished.values()),
        0,
        time.monotonic(),
    )
    while unfinished:
        fetched = await consumer.getmany(
            *unfinished, timeout_ms=_FETCH_TIMEOUT_MS, max_records=_FETCH_RECORDS
        )
        for tp, records in fetched.items():
            kept = unfinished[tp].take(consumer, records)
            n_read += len(kept)
            if kept:
                yield kept
        for tp, progress in tuple(unfinished.items()):
            if await progress.is_finished(consumer, fetched=tp in fetched):
                del unfinished[tp]
        if time.monotonic() - reported_at > _REPORT_INTERVAL:
            reported_at = time.monotonic()
            on_progress(n_read, total)

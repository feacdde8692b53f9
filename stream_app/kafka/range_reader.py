"""Reads ranges of logs completely: each gap between two fetches is checked at the broker before it is accepted.

Compaction leaves gaps in the offsets of a log; so does a fetch that was lost in the client. Within one fetch the
broker returns all records that the log has, so that only a gap between two fetches is in doubt. The leader of the log
is asked for the first record of the gap, by a request whose answer no buffer and no seek of the consumer can take
away (`stream_app.kafka.log_consumer.LogConsumer.first_offset`): if there is one, the records from there on are read
again.
"""

import logging
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from aiokafka.structs import TopicPartition

from stream_app.kafka.removed_records import OnRemoved

_LOG: Final = logging.getLogger(__name__)
_FETCH_RECORDS: Final = 2_000
_FETCH_TIMEOUT_MS: Final = 500
_REPORT_INTERVAL: Final = 5.0
_PATIENCE: Final = 10.0
"""Seconds without a record after which it is checked that the logs are as long as they were."""

_DIGEST_FACTOR: Final = 0x9E3779B97F4A7C15
_DIGEST_MASK: Final = 2**64 - 1


class LogRange(NamedTuple):
    """A range of a log: offset of its first record, and the offset after its last record."""

    tp: TopicPartition
    start: int
    end: int


class TruncatedLogError(RuntimeError):
    """A log ends before a record that it had: the brokers lost records, or the topic was deleted."""


class OffsetDigest(msgspec.Struct):
    """Number, first and last of a sequence of offsets, and a running digest of them in their order.

    Examples
    --------
    >>> read, written = OffsetDigest(), OffsetDigest()
    >>> read.add([3, 4, 7])
    >>> written.add([3, 4])
    >>> written == read
    False
    >>> written.add([7])
    >>> written == read
    True
    """

    count: int = 0
    first: int = -1
    last: int = -1
    digest: int = 0

    def add(self, offsets: Iterable[int]) -> None:
        """Add offsets to the end of the sequence."""
        for offset in offsets:
            if not self.count:
                self.first = offset
            self.count += 1
            self.last = offset
            self.digest = (self.digest * _DIGEST_FACTOR + offset + 1) & _DIGEST_MASK


class _RangeProgress:
    """Progress in one range.

    Parameters
    ----------
    log_range
        The range.
    on_removed
        Called if retention removed the next records.
    """

    def __init__(self, log_range: LogRange, on_removed: OnRemoved | None) -> None:
        self.tp: Final = log_range.tp
        self.end: Final = log_range.end
        self.next: int = log_range.start
        self.gaps = 0
        self.digest: Final = OffsetDigest()
        self._on_removed = on_removed

    async def _accepts(self, consumer: Any, first: int) -> bool:
        """Whether the next record has the offset `first`; if not, or not known to, the consumer goes back."""
        if first <= self.next:
            return True
        self.gaps += 1
        found = await consumer.first_offset(self.tp, self.next, first)
        if found == first:
            await self._report_removed(consumer, first)
            return True
        _LOG.info("reading %s[%s] again from offset %d: a fetch was lost", *self.tp, self.next)
        consumer.seek(self.tp, self.next)
        return False

    async def _report_removed(self, consumer: Any, first: int) -> None:
        """Tell the part of a gap that is before the log's first record: compaction leaves the others."""
        if self._on_removed is None:
            return
        beginnings = await consumer.beginning_offsets([self.tp])
        beginning = min(first, beginnings[self.tp])
        if beginning > self.next:
            self._on_removed(self.tp, self.next, beginning)

    async def take(self, consumer: Any, records: list[Any]) -> list[Any]:
        """Accept a fetch; return its records in the range."""
        if not await self._accepts(consumer, records[0].offset):
            return []
        kept = [each for each in records if self.next <= each.offset < self.end]
        # The client starts at the beginning of a log that became shorter.
        self.next = max(self.next, records[-1].offset + 1)
        self.digest.add(each.offset for each in kept)
        return kept

    async def is_finished(self, consumer: Any, *, fetched: bool) -> bool:
        """Whether the range was read to its end: only removed records and control records may be left."""
        if self.next >= self.end:
            return True
        at_end = not fetched and await consumer.position(self.tp) >= self.end
        return at_end and await self._accepts(consumer, self.end)


class RangeReader:
    """Reads ranges of one topic.

    Parameters
    ----------
    consumer
        A started `stream_app.kafka.log_consumer.LogConsumer`; its assignment is replaced.
    ranges
        One per partition; empty ranges are skipped.
    on_progress
        Called every five seconds with the number of records read and an upper bound of their total.
    on_removed
        Called if retention removes records of a range before they are read.
    """

    def __init__(
        self,
        consumer: Any,
        ranges: Sequence[LogRange],
        on_progress: Callable[[int, int], None] = lambda _read, _total: None,
        on_removed: OnRemoved | None = None,
    ) -> None:
        self._consumer = consumer
        self._progress: Final = {each.tp: _RangeProgress(each, on_removed) for each in ranges}
        self._on_progress = on_progress
        self._total = sum(max(0, each.end - each.start) for each in ranges)
        self._reported_at = time.monotonic()

    @property
    def gaps(self) -> int:
        """Gaps between two fetches that were checked at the broker."""
        return sum(each.gaps for each in self._progress.values())

    @property
    def n_read(self) -> int:
        """Number of records read."""
        return sum(each.digest.count for each in self._progress.values())

    def digest(self, tp: TopicPartition) -> OffsetDigest:
        """The digest of the records that were read of a partition."""
        return self._progress[tp].digest

    async def read(self) -> AsyncIterator[list[Any]]:
        """Yield the records of all ranges, in order of offset per partition.

        Yields
        ------
        list of aiokafka.ConsumerRecord
            Not empty, of one partition.

        Raises
        ------
        TruncatedLogError
            If a log ends before the end of its range.
        """
        consumer = self._consumer
        unfinished = {tp: each for tp, each in self._progress.items() if each.next < each.end}
        if not unfinished:
            # aiokafka's consumer waits forever if an empty assignment is followed by another at once.
            return
        consumer.assign(list(unfinished))
        for tp, progress in unfinished.items():
            consumer.seek(tp, progress.next)
        fetched_at = time.monotonic()
        while unfinished:
            fetched = await consumer.getmany(
                *unfinished, timeout_ms=_FETCH_TIMEOUT_MS, max_records=_FETCH_RECORDS
            )
            for tp, records in fetched.items():
                kept = await unfinished[tp].take(consumer, records)
                if kept:
                    yield kept
            for tp in await self._finished(unfinished, fetched):
                del unfinished[tp]
                consumer.pause(tp)
            if fetched or time.monotonic() - fetched_at > _PATIENCE:
                fetched_at = time.monotonic()
                if not fetched:
                    self._verify_ends(unfinished)
            self._report()

    async def _finished(
        self, unfinished: Mapping[TopicPartition, _RangeProgress], fetched: Collection[TopicPartition]
    ) -> list[TopicPartition]:
        return [
            tp
            for tp, progress in unfinished.items()
            if await progress.is_finished(self._consumer, fetched=tp in fetched)
        ]

    def _report(self) -> None:
        if time.monotonic() - self._reported_at > _REPORT_INTERVAL:
            self._reported_at = time.monotonic()
            self._on_progress(self.n_read, self._total)

    def _verify_ends(self, unfinished: Mapping[TopicPartition, _RangeProgress]) -> None:
        """Check that the logs are as long as they were; no records arrive in an outage, too."""
        for tp, progress in unfinished.items():
            # As of the last fetch; in an open transaction it is beyond what can be read.
            end = self._consumer.highwater(tp)
            if end is not None and end < progress.end:
                raise TruncatedLogError(
                    f"{tp.topic}[{tp.partition}] ends at offset {end}, but had records up to {progress.end}"
                )

"""Reads of ranges over a consumer that loses fetches."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import pytest
from aiokafka.structs import TopicPartition

from stream_app.kafka import range_reader as range_reader_module
from stream_app.kafka.range_reader import LogRange, OffsetDigest, RangeReader, TruncatedLogError
from tests.support.log_in_memory import LogInMemory, LosingConsumer


async def read_all(reader: RangeReader) -> dict[int, list[int]]:
    """The offsets that a reader yields, by partition."""
    found: dict[int, list[int]] = {}
    async for records in reader.read():
        assert records
        found.setdefault(records[0].partition, []).extend(each.offset for each in records)
    return found


def whole(log: LogInMemory, *partitions: int) -> list[LogRange]:
    return [LogRange(log.tp(each), 0, log.ends[log.tp(each)]) for each in partitions]


@pytest.mark.parametrize(
    "lost", [(), (0,), (1,), (2,), (3,), (0, 1), (1, 2), (0, 3), (0, 1, 2), range(1, 20), range(9)]
)
async def test_lost_fetches_are_read_again(lost: Sequence[int]) -> None:
    log = LogInMemory()
    log.fill(0, range(12))
    consumer = LosingConsumer(log, fetch_size=3, lost=lost)
    assert await read_all(RangeReader(consumer, whole(log, 0))) == {0: list(range(12))}


async def test_each_lost_fetch_counts_as_a_gap() -> None:
    log = LogInMemory()
    log.fill(0, range(12))
    reader = RangeReader(LosingConsumer(log, fetch_size=3, lost=[1]), whole(log, 0))
    await read_all(reader)
    assert (reader.gaps, reader.n_read) == (1, 12)


async def test_gaps_of_compaction_are_accepted_when_the_broker_has_no_record_there() -> None:
    log = LogInMemory()
    offsets = [0, 1, 5, 9, 20, 21, 22, 40]
    log.fill(0, offsets)
    consumer = LosingConsumer(log, fetch_size=2)
    assert await read_all(RangeReader(consumer, whole(log, 0))) == {0: offsets}
    # Only a gap between two fetches is in doubt: 1 to 5, 9 to 20, 21 to 22 has none. Nothing is fetched twice.
    assert consumer.checked == [(2, 5), (10, 20)]
    assert set(consumer.read.values()) == {1}


async def test_a_gap_that_the_broker_cannot_tell_of_is_read_again() -> None:
    log = LogInMemory()
    log.fill(0, [0, 1, 2, 9, 10])
    answers = iter([None, None])

    class Consumer(LosingConsumer):
        async def first_offset(self, tp: TopicPartition, start: int, end: int) -> int | None:
            return next(answers, await super().first_offset(tp, start, end))

    consumer = Consumer(log)
    assert await read_all(RangeReader(consumer, whole(log, 0))) == {0: [0, 1, 2, 9, 10]}
    assert consumer.read[0, 9] == 3


async def test_a_lost_fetch_within_gaps_of_compaction_is_read_again() -> None:
    log = LogInMemory()
    offsets = list(range(0, 60, 3))
    log.fill(0, offsets)
    for lost in range(12):
        consumer = LosingConsumer(log, fetch_size=4, lost=[lost])
        assert await read_all(RangeReader(consumer, whole(log, 0))) == {0: offsets}, lost


@pytest.mark.parametrize("offsets", [[0, 1, 2, 3], []])
async def test_trailing_control_records_are_passed(offsets: list[int]) -> None:
    log = LogInMemory()
    log.fill(0, offsets, end=9)
    found = await read_all(RangeReader(LosingConsumer(log), whole(log, 0)))
    assert found == ({0: offsets} if offsets else {})


async def test_a_lost_fetch_at_the_end_is_read_again() -> None:
    log = LogInMemory()
    log.fill(0, range(6), end=8)
    consumer = LosingConsumer(log, fetch_size=3, lost=[1])
    assert await read_all(RangeReader(consumer, whole(log, 0))) == {0: list(range(6))}


async def test_several_partitions_are_read_side_by_side() -> None:
    log = LogInMemory()
    for partition in range(4):
        log.fill(partition, range(10 * partition))
    consumer = LosingConsumer(log, fetch_size=4, lost=[2, 7, 9])
    found = await read_all(RangeReader(consumer, whole(log, 0, 1, 2, 3)))
    assert found == {each: list(range(10 * each)) for each in (1, 2, 3)}


async def test_only_the_range_is_read() -> None:
    log = LogInMemory()
    tp = log.fill(0, range(20))
    assert await read_all(RangeReader(LosingConsumer(log), [LogRange(tp, 5, 11)])) == {0: list(range(5, 11))}


async def test_a_range_whose_records_are_all_removed_ends() -> None:
    log = LogInMemory()
    tp = log.fill(0, [0, 1, 15, 16])
    assert await read_all(RangeReader(LosingConsumer(log), [LogRange(tp, 2, 12)])) == {}


async def test_empty_ranges_read_nothing() -> None:
    log = LogInMemory()
    tp = log.fill(0, range(3))
    consumer = LosingConsumer(log)
    reader = RangeReader(consumer, [LogRange(tp, 3, 3), LogRange(log.tp(1), 5, 2)])
    assert await read_all(reader) == {}
    assert consumer.fetches == 0
    assert reader.digest(tp) == OffsetDigest()


async def test_a_log_that_became_shorter_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(range_reader_module, "_PATIENCE", 0.0)
    log = LogInMemory()
    tp = log.fill(0, range(5))
    with pytest.raises(TruncatedLogError, match="ends at offset 5, but had records up to 9"):
        await read_all(RangeReader(LosingConsumer(log), [LogRange(tp, 0, 9)]))


async def test_progress_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(range_reader_module, "_REPORT_INTERVAL", -1.0)
    log = LogInMemory()
    log.fill(0, range(6))
    reports: list[Any] = []
    await read_all(
        RangeReader(LosingConsumer(log), whole(log, 0), lambda *progress: reports.append(progress))
    )
    assert reports == [(3, 6), (6, 6)]


def test_a_digest_tells_sequences_apart() -> None:
    def digest(*offsets: int) -> OffsetDigest:
        result = OffsetDigest()
        result.add(offsets)
        return result

    assert digest(1, 2, 3) == digest(1, 2, 3)
    sequences = [(), (0,), (0, 0), (1, 2, 4), (1, 3, 4), (3, 1, 4), (1, 4), (0, 1, 4)]
    for one, other in combinations(sequences, 2):
        assert digest(*one) != digest(*other)
    assert digest(*range(100)).count == 100


@pytest.mark.parametrize(
    ("beginning", "reported"), [(5, [(3, 5)]), (12, [(3, 12)]), (3, []), (30, [(3, 20)])], ids=str
)
async def test_records_that_retention_removes_meanwhile_are_reported_once(
    beginning: int, reported: list[tuple[int, int]]
) -> None:
    log = LogInMemory()
    tp = log.fill(0, range(20))
    log.fill(0, [], end=40)
    removed: list[tuple[TopicPartition, int, int]] = []
    reader = RangeReader(
        LosingConsumer(log, fetch_size=3, lost=[2]),
        [LogRange(tp, 0, 20)],
        on_removed=lambda *each: removed.append(each),
    )
    found: list[int] = []
    async for records in reader.read():
        if not found:
            log.remove_before(tp, beginning)
        found += [each.offset for each in records]
    assert found == [0, 1, 2, *range(max(3, beginning), 20)]
    assert removed == [(tp, *each) for each in reported]


async def test_records_that_compaction_removed_are_not_reported() -> None:
    log = LogInMemory()
    tp = log.fill(0, [0, 1, 2, 9, 10, 19], end=25)
    removed: list[Any] = []
    reader = RangeReader(
        LosingConsumer(log), [LogRange(tp, 0, 25)], on_removed=lambda *each: removed.append(each)
    )
    assert await read_all(reader) == {0: [0, 1, 2, 9, 10, 19]}
    assert removed == []

"""Recovery of the users table: fencing first, complete rows, proof, and outages."""

import asyncio
from collections.abc import Collection, Iterator
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError, KafkaTimeoutError, TopicAuthorizationFailedError
from aiokafka.structs import TopicPartition
from faust.types import TP

from state.user_rows import StoreError
from stream_app.kafka import availability
from stream_app.kafka.partition_fence import MARKER_KEY, NotOwnedError
from stream_app.worker.table_recovery import FencedRecovery, FencedTableManager, RecoveryError
from tests.support.log_in_memory import LogInMemory, LosingConsumer
from tests.support.table_in_memory import RecoveryInMemory
from tests.support.users_table_alone import CHANGELOG, UsersTableAlone

MISMATCHES = "headrace_recovery_mismatches_total"


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(availability, "_RETRY_SECONDS", 0.0)


@pytest.fixture
def log() -> LogInMemory:
    log = LogInMemory("changelog")
    for partition in range(3):
        log.fill(partition, range(10))
    return log


async def test_rows_of_the_assigned_partitions_are_recovered(log: LogInMemory) -> None:
    run = RecoveryInMemory(log)
    await run.recovery.recover({0, 2})
    assert [run.offsets_held(each) for each in range(3)] == [list(range(10)), [], list(range(10))]
    # With a marker of each partition.
    assert run.count("headrace_recovered_records_total") == 22
    assert run.count(MISMATCHES) == 0
    assert all(each.stopped for each in run.consumers)


async def test_the_logs_are_fenced_and_read_up_to_the_markers(log: LogInMemory) -> None:
    class Consumer(LosingConsumer):
        async def end_offsets(self, tps: Collection[TopicPartition]) -> Any:
            # A new leader may report an older end for a moment.
            return dict.fromkeys(tps, 3)

    run = RecoveryInMemory(log, consumer=lambda: Consumer(log))
    await run.recovery.recover({0, 2})
    marked = [("changelog", 0), ("changelog", 2), ("dead-letters", 0), ("lists", 0), ("lists", 2)]
    assert sorted(run.producer.sent) == [(*log, MARKER_KEY, None) for log in marked]
    assert run.offsets_held(0) == run.offsets_held(2) == list(range(10))
    assert run.table.offsets[TP("changelog", 0)] == 10


async def test_only_records_after_the_persisted_offset_are_read(log: LogInMemory) -> None:
    run = RecoveryInMemory(log)
    run.table.offsets[TP("changelog", 0)] = 6
    await run.recovery.recover({0})
    assert run.offsets_held(0) == [7, 8, 9]
    await run.recovery.recover({0})
    assert run.count("headrace_recovered_records_total") == 3 + 2


async def test_a_tombstone_removes_its_row(log: LogInMemory) -> None:
    log.fill(0, [4], end=10, value=None)
    run = RecoveryInMemory(log)
    await run.recovery.recover({0})
    assert run.offsets_held(0) == [0, 1, 2, 3, 5, 6, 7, 8, 9]


def compacted_log(*, without: Collection[int]) -> LogInMemory:
    """A log from which compaction removed offsets, tombstones perhaps."""
    log = LogInMemory("changelog")
    log.fill(0, (offset for offset in range(10) if offset not in without), end=10)
    return log


@pytest.mark.parametrize("removed", [3, 6, 9])
async def test_a_row_whose_tombstone_was_compacted_is_not_kept(removed: int) -> None:
    run = RecoveryInMemory(compacted_log(without=[1, removed]))
    # the files are of before the tombstone at `removed`, which deleted the row of offset 1
    run.table.rows[0] = {b"%d" % offset: b"row" for offset in range(3)}
    run.table.offsets[TP("changelog", 0)] = 2
    await run.recovery.recover({0})
    assert run.offsets_held(0) == [offset for offset in range(10) if offset not in (1, removed)]
    assert run.table.offsets[TP("changelog", 0)] == 10


async def test_a_store_that_is_as_new_as_the_compaction_is_read_on() -> None:
    # what was compacted before the persisted offset the store has applied
    run = RecoveryInMemory(compacted_log(without=[1, 2]))
    run.table.rows[0] = {b"0": b"row", b"3": b"row", b"kept": b"row"}
    run.table.offsets[TP("changelog", 0)] = 3
    await run.recovery.recover({0})
    assert b"kept" in run.table.rows[0]
    assert run.count("headrace_recovered_records_total") == 7


async def test_a_store_from_before_the_beginning_of_the_log_is_read_again(log: LogInMemory) -> None:
    log.remove_before(log.tp(0), 5)
    run = RecoveryInMemory(log)
    run.table.rows[0] = {b"1": b"row"}
    run.table.offsets[TP("changelog", 0)] = 1
    await run.recovery.recover({0})
    assert run.offsets_held(0) == [5, 6, 7, 8, 9]


@pytest.mark.parametrize("lost", range(4))
async def test_a_lost_fetch_loses_no_row(log: LogInMemory, lost: int) -> None:
    run = RecoveryInMemory(log, consumer=lambda: LosingConsumer(log, lost=[lost]))
    await run.recovery.recover({1})
    assert run.offsets_held(1) == list(range(10))
    assert run.count("headrace_recovery_gaps_total") == 1


async def test_rows_that_the_store_lost_are_written_again(log: LogInMemory) -> None:
    run = RecoveryInMemory(log)
    apply, is_lossy = run.table.apply_changelog_batch, iter([True])

    def lose_the_end_of_the_log(batch: Any) -> None:
        at_end = batch[-1].message.offset == 10
        apply(batch[:-1] if at_end and next(is_lossy, False) else batch)

    run.table.apply_changelog_batch = lose_the_end_of_the_log  # type: ignore[method-assign]  # a failing disk
    await run.recovery.recover({0})
    assert run.offsets_held(0) == list(range(10))
    assert run.count(MISMATCHES) == 1


async def test_only_a_partition_that_differs_is_read_again(log: LogInMemory) -> None:
    run = RecoveryInMemory(log)
    persisted, wrong = run.table.persisted_offset, chain([None] * 5, [7], repeat(None))

    def persisted_offset(tp: TP) -> int | None:
        return next(wrong) or persisted(tp)

    run.table.persisted_offset = persisted_offset  # type: ignore[method-assign]  # wrong once, after the read
    await run.recovery.recover({0, 2})
    assert run.count(MISMATCHES) == 1
    assert run.count("headrace_recovered_records_total") == 33


async def test_a_store_that_keeps_losing_rows_is_refused(
    log: LogInMemory, caplog: pytest.LogCaptureFixture
) -> None:
    run = RecoveryInMemory(log)
    run.table.apply_changelog_batch = lambda batch: None  # type: ignore[method-assign]  # noqa: ARG005  # writes nothing
    with pytest.raises(RecoveryError, match="partitions \\[0\\] do not agree with the changelog"):
        await run.recovery.recover({0})
    assert run.count(MISMATCHES) == 6
    assert "the local rows of changelog[0] differ from the changelog" in caplog.text


async def test_local_rows_that_cannot_be_completed_are_replaced(
    log: LogInMemory, caplog: pytest.LogCaptureFixture
) -> None:
    run = RecoveryInMemory(log)
    apply, clear = run.table.apply_changelog_batch, run.table.clear_partition
    run.table.apply_changelog_batch = lambda batch: None  # type: ignore[method-assign]  # noqa: ARG005  # writes nothing

    def clear_partition(partition: int) -> None:
        clear(partition)
        run.table.apply_changelog_batch = apply  # type: ignore[method-assign]  # new files

    run.table.clear_partition = clear_partition  # type: ignore[method-assign]
    await run.recovery.recover({0})
    assert run.offsets_held(0) == list(range(10))
    assert run.count(MISMATCHES) == 3
    assert "deleting the local rows of partition 0" in caplog.text


async def test_rows_beyond_the_end_of_the_changelog_are_refused(log: LogInMemory) -> None:
    run = RecoveryInMemory(log)
    run.table.offsets[TP("changelog", 0)] = 11
    with pytest.raises(RecoveryError, match="made anew"):
        await run.recovery.recover({0})


async def test_without_partitions_nothing_is_read(log: LogInMemory) -> None:
    run = RecoveryInMemory(log)
    await run.recovery.recover({0})
    await run.recovery.recover(())
    assert not run.fence.owns("changelog", 0)
    assert len(run.consumers) == 2


@pytest.mark.parametrize("method", ["start", "beginning_offsets", "getmany"])
async def test_a_recovery_is_repeated_while_no_broker_answers(log: LogInMemory, method: str) -> None:
    failures: Iterator[Exception] = iter([KafkaConnectionError("refused"), KafkaTimeoutError()])

    class Consumer(LosingConsumer):
        async def _fail(self, name: str) -> None:
            if name == method and (failure := next(failures, None)) is not None:
                raise failure

        async def start(self) -> None:
            await self._fail("start")

        async def beginning_offsets(self, tps: Collection[TopicPartition]) -> Any:
            await self._fail("beginning_offsets")
            return await super().beginning_offsets(tps)

        async def getmany(self, *tps: TopicPartition, timeout_ms: int, max_records: int) -> Any:
            if self.fetches == 2:
                await self._fail("getmany")
            return await super().getmany(*tps, timeout_ms=timeout_ms, max_records=max_records)

    run = RecoveryInMemory(log, consumer=lambda: Consumer(log))
    await run.recovery.recover({0})
    assert run.offsets_held(0) == list(range(10))
    assert next(failures, None) is None
    assert all(each.stopped for each in run.consumers)


async def test_a_refusal_ends_the_recovery(log: LogInMemory) -> None:
    class Consumer(LosingConsumer):
        async def beginning_offsets(self, tps: Collection[TopicPartition]) -> Any:
            raise TopicAuthorizationFailedError(next(iter(tps)).topic)

    with pytest.raises(TopicAuthorizationFailedError):
        await RecoveryInMemory(log, consumer=lambda: Consumer(log)).recovery.recover({0})


async def test_nothing_is_appended_for_a_store_that_cannot_be_opened(
    log: LogInMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RecoveryInMemory(log)

    def fail(_: TP) -> int | None:
        raise StoreError("No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(run.table, "persisted_offset", fail)
        for _ in range(3):
            with pytest.raises(StoreError):
                await run.recovery.recover({0, 2})
    assert not run.producer.sent
    await run.recovery.recover({0, 2})
    assert run.offsets_held(0) == run.offsets_held(2) == list(range(10))


def test_an_assignment_does_not_read_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may fail, and the recovery that follows waits until it works."""
    alone = UsersTableAlone(tmp_path)

    def fail(_: TP) -> int | None:
        raise StoreError("No space left on device")

    monkeypatch.setattr(alone.store, "persisted_offset", fail)
    recovery = FencedRecovery(alone.app, FencedTableManager(alone.app))
    tp = TP(CHANGELOG, 1)
    recovery.add_active(alone.table, tp)
    assert recovery.active_tps == {tp}


@pytest.mark.parametrize("at_fetch", [0, 1, 3])
async def test_a_revocation_ends_the_recovery(log: LogInMemory, at_fetch: int) -> None:
    class Consumer(LosingConsumer):
        async def getmany(self, *tps: TopicPartition, timeout_ms: int, max_records: int) -> Any:
            if self.fetches == at_fetch:
                run.fence.release()
            return await super().getmany(*tps, timeout_ms=timeout_ms, max_records=max_records)

    run = RecoveryInMemory(log, consumer=lambda: Consumer(log))
    with pytest.raises(NotOwnedError):
        await run.recovery.recover({0})
    assert not run.fence.owns("changelog", 0)
    assert len(run.offsets_held(0)) == 3 * at_fetch
    assert all(each.stopped for each in run.consumers)


async def test_concurrent_recoveries_do_not_disturb_each_other(log: LogInMemory) -> None:
    runs = [
        RecoveryInMemory(log, consumer=lambda n=n: LosingConsumer(log, lost=[n]))  # type: ignore[misc]  # bound now
        for n in range(4)
    ]
    await asyncio.gather(*(run.recovery.recover({0, 1, 2}) for run in runs))
    for run in runs:
        assert [run.offsets_held(each) for each in range(3)] == [list(range(10))] * 3

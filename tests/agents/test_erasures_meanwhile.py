"""Events and erasures of a user while an earlier erasure of the same user is completed or swept."""

import time
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path

import pytest

from state.row import ErasureStage
from tests.agents.test_erased_users import ANN, click_and_erase
from tests.support.app_without_kafka import WorkerWithoutKafka
from tests.support.erasing_worker import LOGS, ErasingWorker


@pytest.fixture
async def erasing(
    worker: WorkerWithoutKafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> ErasingWorker:
    return ErasingWorker(worker, tmp_path, monkeypatch)


async def sweep_during(
    erasing: ErasingWorker, monkeypatch: pytest.MonkeyPatch, events: Callable[[], Awaitable[None]]
) -> None:
    """Sweep; the events follow when the logs have been read."""
    purge = erasing.sweep._purge

    async def purge_after_events(partitions: Collection[int]) -> None:
        await events()
        await purge(partitions)

    with monkeypatch.context() as patched:
        patched.setattr(erasing.sweep, "_purge", purge_after_events)
        await erasing.sweep.check(time.time() + erasing.config.interval + 60)


async def assert_removed_by_the_next_sweep(erasing: ErasingWorker) -> None:
    mark = erasing.row(ANN).erasure
    assert mark is not None
    assert mark.stage is ErasureStage.UNSWEPT
    await erasing.sweep.check(time.time() + erasing.config.interval + 60)
    for topic in LOGS:
        assert ANN.encode() not in b"".join(erasing.compacted(topic)), topic
    assert ANN.encode() not in erasing.changelog()


async def test_a_user_who_is_erased_again_during_a_sweep_is_swept_again(
    erasing: ErasingWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = erasing.worker
    async with worker.agent("users") as agent:
        await click_and_erase(erasing, agent, ANN)
        await erasing.settle()

        async def return_and_erase() -> None:
            await worker.click(agent, ANN, "hat")
            await worker.until(lambda: worker.count("events.click", "accepted") == 4)
            await erasing.settle()
            await erasing.erase(agent, ANN)
            await worker.until(lambda: worker.count("events.erasure", "accepted") == 2)
            await erasing.settle()

        await sweep_during(erasing, monkeypatch, return_and_erase)
    await assert_removed_by_the_next_sweep(erasing)
    assert [each.event_id for each in erasing.receipts()] == ["x1", "x2"]


async def test_an_event_that_is_read_again_during_a_sweep_is_removed_by_the_next(
    erasing: ErasingWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = erasing.worker
    async with worker.agent("users") as agent:
        clicks = await click_and_erase(erasing, agent, ANN)
        await erasing.settle()

        async def replay() -> None:
            await worker.put(agent, "events.click", ANN.encode(), clicks[ANN], offset=0)
            await worker.until(lambda: worker.count("events.click", "replayed") == 1)
            await erasing.settle()

        await sweep_during(erasing, monkeypatch, replay)
    await assert_removed_by_the_next_sweep(erasing)


async def test_an_event_that_is_read_again_while_the_row_is_moved_leaves_no_row_under_the_id(
    erasing: ErasingWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = erasing.worker
    async with worker.agent("users") as agent:
        clicks = await click_and_erase(erasing, agent, ANN)
        await worker.components.flush_loop.wait_until_idle()
        completion, flush = erasing.erasures.completion, worker.batch_producer.flush

        async def flush_with_replay() -> None:
            monkeypatch.setattr(completion, "_flush", flush)
            await worker.put(agent, "events.click", ANN.encode(), clicks[ANN], offset=0)
            await worker.until(lambda: worker.count("events.click", "replayed") == 1)
            await flush()

        monkeypatch.setattr(completion, "_flush", flush_with_replay)
        await completion.complete()
        await erasing.settle()
    assert erasing.stored(ANN.encode()) is None
    assert ANN.encode() not in erasing.changelog()

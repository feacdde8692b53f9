"""The pauses of a flush loop whose store is unavailable."""

import asyncio
from typing import Final

import pytest

from tests.support.in_memory_worker import InMemoryWorker

PAUSES: Final = [0.1, 0.2, 0.5, 1.0, 2.0, 2.0]


async def test_each_attempt_waits_longer_up_to_two_seconds_and_anew_after_a_success(
    worker: InMemoryWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    sleep = asyncio.sleep

    async def record(seconds: float) -> None:
        if seconds:
            pauses.append(seconds)
        worker.publisher.available = len(pauses) in {len(PAUSES), len(PAUSES) + 2}
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", record)
    worker.publisher.available = False
    worker.accept(worker.click("ann", "shoe"))
    async with worker.running_flush_loop():
        await worker.flush_loop.wait_until_idle()
        assert pauses == PAUSES
        worker.publisher.available = False
        worker.accept(worker.click("ann", "sock"))
        await worker.flush_loop.wait_until_idle()
    assert pauses[len(PAUSES) :] == PAUSES[:2]
    assert worker.count("flush_failures_total") == 2 + len(PAUSES)

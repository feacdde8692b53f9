"""What the probes of a worker answer."""

import asyncio
import logging
from contextlib import suppress

import pytest

from stream_app.worker.worker_status import STALLED_SECONDS, Stage, WorkerStatus


class Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


async def beat_once(status: WorkerStatus) -> None:
    running = asyncio.create_task(status.run())
    await asyncio.sleep(0)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_a_worker_is_alive_until_its_event_loop_stands_still() -> None:
    clock = Clock()
    status = WorkerStatus(lambda: True, clock)
    clock.now += 10 * STALLED_SECONDS
    assert status.liveness() == "", "the first compilation takes minutes"
    await beat_once(status)
    clock.now += STALLED_SECONDS
    assert status.liveness() == ""
    clock.now += 1.0
    assert status.liveness() == "the event loop has not run for 61 s"
    await beat_once(status)
    assert status.liveness() == ""


def test_a_worker_is_ready_at_the_last_stage_alone_and_while_its_store_works() -> None:
    is_ready = True
    status = WorkerStatus(lambda: is_ready)
    for stage in Stage:
        status.enter(stage)
        assert bool(status.readiness()) is (stage is not Stage.READY)
    status = WorkerStatus(lambda: is_ready)
    status.enter(Stage.READY)
    is_ready = False
    assert "store" in status.readiness()


def test_a_worker_that_stops_is_not_ready_again() -> None:
    status = WorkerStatus(lambda: True)
    status.enter(Stage.STOPPING)
    status.enter(Stage.READY)
    assert status.readiness() == "stopping"


def test_one_line_tells_that_a_worker_is_ready(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    status = WorkerStatus(lambda: True, clock)
    clock.now += 12.34
    with caplog.at_level(logging.INFO):
        status.log_ready(4, 1_700)
    assert caplog.messages == ["ready 12.3 s after the start: 4 partitions, 1700 users"]

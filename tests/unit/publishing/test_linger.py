"""How long a flush waits for more users."""

import asyncio
from collections.abc import Callable

import pytest

from stream_app.publishing import flush_loop
from tests.support.in_memory_worker import InMemoryWorker

LINGER = 0.25


@pytest.mark.parametrize(
    ("arrivals", "n_waits"),
    [([0], 1), ([7, 9], 1), ([8, 7, 9], 2), ([8, 8, 0], 3), ([20, 20, 20, 20], 3)],
)
async def test_a_flush_waits_again_while_eight_users_arrive_and_at_most_three_times(
    make_worker: Callable[..., InMemoryWorker],
    monkeypatch: pytest.MonkeyPatch,
    arrivals: list[int],
    n_waits: int,
) -> None:
    worker = make_worker(flush_linger=LINGER, flush_users=1_000)
    waits: list[float | None] = []

    async def wait(event: asyncio.Event, seconds: float | None) -> bool:
        assert event is worker.queue.full
        for number in range(arrivals[len(waits)]):
            worker.queue.mark_pending(f"u{len(waits)} {number}")
        waits.append(seconds)
        return False

    monkeypatch.setattr(flush_loop, "_wait_for_event", wait)
    await worker.flush_loop._linger()
    assert waits == [LINGER] * n_waits


async def test_a_full_flush_does_not_wait(
    make_worker: Callable[..., InMemoryWorker], monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = make_worker(flush_linger=LINGER, flush_users=10)
    waits = 0

    async def fill(event: asyncio.Event, seconds: float | None) -> bool:
        del event, seconds
        nonlocal waits
        waits += 1
        for number in range(10):
            worker.queue.mark_pending(f"u{number}")
        return True

    monkeypatch.setattr(flush_loop, "_wait_for_event", fill)
    await worker.flush_loop._linger()
    assert waits == 1
    await worker.flush_loop._linger()
    assert waits == 1

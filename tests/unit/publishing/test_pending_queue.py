"""The pending queue: back-pressure and bounds."""

import asyncio
from collections.abc import Callable

from tests.support.in_memory_worker import InMemoryWorker, run_pending_tasks


async def test_back_pressure_applies_when_a_full_batch_is_pending(
    make_worker: Callable[..., InMemoryWorker],
) -> None:
    worker = make_worker(flush_users=2)
    worker.accept(worker.click("ann", "shoe"))
    await worker.queue.wait_for_capacity()
    worker.accept(worker.click("bob", "shoe"))
    blocked_call = asyncio.create_task(worker.queue.wait_for_capacity())
    await run_pending_tasks()
    assert not blocked_call.done()
    async with worker.running_flush_loop():
        await blocked_call


async def test_no_back_pressure_while_redis_is_unavailable(
    make_worker: Callable[..., InMemoryWorker],
) -> None:
    worker = make_worker(flush_users=2)
    worker.publisher.available = False
    worker.accept(worker.click("ann", "shoe"), worker.click("bob", "shoe"))
    async with worker.running_flush_loop():
        await worker.publisher.publish_failed.wait()
        for user in range(20):
            # events go on being learned, and the shoppers wait
            await worker.queue.wait_for_capacity()
            worker.accept(worker.click(f"u{user}", "shoe"))
        assert worker.models.version == 22
        assert worker.queue.n_users >= 20
        worker.publisher.available = True
        await worker.flush_loop.wait_until_idle()
    assert worker.count("lists_published_total", kind="user") == 22


async def test_pending_users_are_bounded_and_evictions_counted(
    make_worker: Callable[..., InMemoryWorker],
) -> None:
    worker = make_worker(max_pending=3)
    worker.accept(*(worker.click(f"u{user}", "shoe") for user in range(5)))
    assert worker.queue.n_users == 3
    async with worker.running_flush_loop():
        await worker.flush_loop.wait_until_idle()
    assert worker.count("pending_evicted_total") == 2
    assert worker.count("pending_users") == 0


async def test_back_pressure_resumes_after_an_outage_until_the_batch_is_flushed(
    make_worker: Callable[..., InMemoryWorker],
) -> None:
    worker = make_worker(flush_users=2)
    worker.publisher.available = False
    worker.accept(*(worker.click(f"u{user}", "shoe") for user in range(8)))
    async with worker.running_flush_loop():
        await worker.publisher.publish_failed.wait()
        await worker.queue.wait_for_capacity()
        worker.publisher.available = True
        worker.publisher.block()
        await worker.publisher.publish_started.wait()
        worker.publisher.unblocked.set()
        while worker.count("lists_published_total", kind="user") == 0:  # noqa: ASYNC110  # told by a counter alone
            await asyncio.sleep(0)
        blocked_call = asyncio.create_task(worker.queue.wait_for_capacity())
        await asyncio.sleep(0)
        assert not blocked_call.done()
        await blocked_call
        assert worker.queue.n_users < 2
        await worker.flush_loop.wait_until_idle()
    assert worker.count("lists_published_total", kind="user") == 8


async def test_back_pressure_applies_at_max_pending_below_flush_size(
    make_worker: Callable[..., InMemoryWorker],
) -> None:
    worker = make_worker(flush_users=8, max_pending=2, degraded_ranking=False)
    async with worker.running_flush_loop():
        for number in range(20):
            worker.accept(worker.click(f"u{number}", "shoe"))
            await worker.queue.wait_for_capacity()
        await worker.flush_loop.wait_until_idle()
    assert worker.count("pending_evicted_total") == 0
    assert worker.count("lists_published_total", kind="user") == 20

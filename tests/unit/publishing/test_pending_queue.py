"""The pending queue: back-pressure and bounds."""

import asyncio
from collections.abc import Callable

from stream_app.publishing.pending_queue import PendingQueue
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
            # events are still learned, and the users stay pending
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
        while worker.count("lists_published_total", kind="user") == 0:  # noqa: ASYNC110  # a counter has no event
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


def make_queue(*, flush_users: int = 2, max_pending: int = 10) -> PendingQueue:
    return PendingQueue(flush_users=flush_users, max_pending=max_pending)


def test_a_full_batch_has_no_capacity_until_it_is_taken() -> None:
    queue = make_queue()
    queue.mark_pending("ann", 1.0)
    assert queue.has_capacity.is_set()
    queue.mark_pending("bob", 2.0)
    assert queue.full.is_set()
    assert not queue.has_capacity.is_set()
    assert queue.pop_users() == {"ann": (1.0,), "bob": (2.0,)}
    assert queue.has_capacity.is_set()
    assert not queue.full.is_set()


def test_users_do_not_block_consumers_while_the_store_is_unavailable_but_erasures_do() -> None:
    queue = make_queue(max_pending=3)
    queue.mark_pending("ann")
    queue.mark_pending("bob")
    queue.store_available = False
    assert queue.has_capacity.is_set()
    for user in "cde":
        queue.erase(user)
    assert not queue.has_capacity.is_set()
    queue.complete_erasures(queue.next_erasures({}))
    assert queue.has_capacity.is_set()


def test_backlog_is_valid_for_one_flush() -> None:
    queue = make_queue()
    asyncio.run(queue.wait_for_capacity(5))
    assert (queue.pop_backlog(), queue.pop_backlog()) == (5, 0)


def test_search_of_a_failed_flush_does_not_replace_a_later_one() -> None:
    queue = make_queue()
    queue.mark_search_pending("ann", 2.0)
    queue.requeue({"ann": (1.0,)}, {"ann": 1.0, "bob": 1.0})
    assert (queue.pop_search("ann"), queue.pop_search("bob")) == (2.0, 1.0)
    assert queue.pop_users() == {"ann": (1.0, 2.0)}


def test_user_erased_again_while_redis_deletes_stays_pending() -> None:
    queue = make_queue()
    queue.erase("ann")
    sent = queue.next_erasures({})
    queue.erase("ann")
    queue.complete_erasures(sent)
    assert queue.is_erasure_pending("ann")
    assert queue.erased_since(["ann"], sent) == {"ann"}
    queue.complete_erasures(queue.next_erasures({}))
    assert queue.n_erasures == 0


def test_erasure_of_a_returned_user_precedes_their_new_list() -> None:
    queue = make_queue(max_pending=5_000)
    for number in range(1_500):
        queue.erase(f"u{number}")
    returned = queue.erasures_of(["u1499"])
    assert len(queue.next_erasures({})) == 1_000
    assert queue.next_erasures(returned).items() >= returned.items()
    assert queue.erased_since(["u1499"], returned) == set()

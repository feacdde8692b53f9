"""When the flush loop publishes, waits and gives up, by the clock."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from state.user_rows import StoreError
from stream_app.client.redis_contract import search_key, user_key
from stream_app.publishing import flush_loop
from stream_app.publishing.publisher import Document
from tests.support.in_memory_worker import InMemoryWorker, run_pending_tasks
from tests.support.virtual_time import run_in_virtual_time
from topics.catalog import LISTS


def now() -> float:
    return asyncio.get_running_loop().time()


@pytest.mark.parametrize("patience", [None, 1.5])
def test_a_worker_that_stops_waits_five_seconds_for_redis_unless_told_otherwise(
    worker: InMemoryWorker, patience: float | None
) -> None:
    async def run() -> float:
        worker.publisher.available = False
        worker.accept(worker.click("ann", "shoe"))
        worker.flush_loop.start()
        started = now()
        await (worker.flush_loop.stop() if patience is None else worker.flush_loop.stop(patience))
        return now() - started

    assert run_in_virtual_time(run()) == pytest.approx(patience or 5.0)


def test_a_loop_that_was_stopped_is_stopped_at_once(worker: InMemoryWorker) -> None:
    async def run() -> float:
        worker.publisher.available = False
        worker.accept(worker.click("ann", "shoe"))
        worker.flush_loop.start()
        await worker.flush_loop.stop(0.0)
        started = now()
        await worker.flush_loop.stop()
        return now() - started

    assert run_in_virtual_time(run()) == 0.0


def test_attempts_during_an_outage_do_not_fill_the_topic_with_lists(worker: InMemoryWorker) -> None:
    async def run() -> None:
        worker.publisher.available = False
        worker.accept(worker.click("ann", "shoe"))
        worker.flush_loop.start()
        await asyncio.sleep(5.0)
        assert not worker.queue.store_available
        worker.publisher.available = True
        await worker.flush_loop.stop()
        assert worker.queue.store_available

    run_in_virtual_time(run())
    assert worker.count("flush_failures_total") == 6
    # Those of the first attempt, and those that Redis has.
    assert len(worker.producer.of(LISTS)) == 2


async def test_pending_work_is_reported_when_it_is_taken_given_back_and_done(worker: InMemoryWorker) -> None:
    worker.accept(worker.click("ann", "shoe"), worker.click("bob", "shoe"))
    worker.publisher.available = False
    async with worker.running_flush_loop():
        await worker.publisher.publish_failed.wait()
        while worker.count("pending_users") != 2:
            await run_pending_tasks()
        worker.publisher.block()
        worker.publisher.available = True
        await worker.publisher.publish_started.wait()
        assert worker.count("pending_users") == 0
        worker.publisher.unblocked.set()
        await worker.flush_loop.wait_until_idle()
        worker.accept(worker.erasure("ann"))
        await worker.flush_loop.wait_until_idle()
        assert worker.count("pending_erasures") == 0


@pytest.mark.parametrize(("n_users", "published_at"), [(1, 0.25), (8, 0.5), (16, 0.0)])
def test_a_flush_waits_for_more_users_unless_it_is_full(
    make_worker: Callable[..., InMemoryWorker],
    monkeypatch: pytest.MonkeyPatch,
    n_users: int,
    published_at: float,
) -> None:
    worker = make_worker(flush_linger=0.25, flush_users=16)
    times: list[float] = []
    publish = worker.publisher.publish

    async def record(documents: Sequence[Document]) -> None:
        times.append(now())
        await publish(documents)

    async def run() -> None:
        worker.flush_loop.start()
        await asyncio.sleep(1.0)
        for number in range(n_users):
            worker.accept(worker.click(f"u{number}", "shoe"))
            if number == 0 and n_users == 8:
                # The others come during the first pause.
                await asyncio.sleep(0.1)
        if n_users == 8:
            worker.accept(worker.click("u8", "shoe"))
        await worker.flush_loop.wait_until_idle()
        await worker.flush_loop.stop()

    monkeypatch.setattr(worker.publisher, "publish", record)
    run_in_virtual_time(run())
    assert times == pytest.approx([1.0 + published_at])


async def test_a_loop_without_work_sleeps(worker: InMemoryWorker) -> None:
    worker.accept(worker.click("ann", "shoe"))
    async with worker.running_flush_loop():
        await worker.flush_loop.wait_until_idle()
        await run_pending_tasks()
        n_built = worker.flush_loop.n_built
        assert not worker.queue.work_available.is_set()
        await run_pending_tasks()
        assert worker.flush_loop.n_built == n_built


async def test_a_user_whose_row_cannot_be_read_now_gets_the_lists_later(worker: InMemoryWorker) -> None:
    worker.accept(worker.search("ann", "red", "a", "b"), worker.click("bob", "a"))
    worker.rows.failure = StoreError("locked")
    async with worker.running_flush_loop():
        while worker.flush_loop.n_built < 3:
            await run_pending_tasks()
        assert worker.publisher.documents.keys().isdisjoint({user_key("ann"), search_key("ann")})
        worker.rows.failure = None
        await worker.flush_loop.wait_until_idle()
    assert {user_key("ann"), search_key("ann"), user_key("bob")} <= worker.publisher.documents.keys()
    # The events' times stay with them.
    assert worker.count("freshness_seconds_count") == 2
    assert worker.count("search_freshness_seconds_count") == 1


@pytest.mark.parametrize("first", ["sending", "work"])
async def test_a_loop_whose_lists_are_being_sent_sleeps_until_they_are_or_work_arrives(first: str) -> None:
    sent, work = asyncio.Event(), asyncio.Event()

    async def send() -> bool:
        return await sent.wait()

    sending = asyncio.create_task(send())
    waiting = asyncio.create_task(flush_loop._wait_for_first(sending, work))
    await run_pending_tasks()
    assert not waiting.done()
    (sent if first == "sending" else work).set()
    await waiting
    assert sending.done() == (first == "sending")
    assert asyncio.all_tasks() == {asyncio.current_task(), *([] if first == "sending" else [sending])}
    sent.set()
    assert await sending

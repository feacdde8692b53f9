"""What a flush leaves behind: metrics, log lines, lists in memory and on the topic; and when the next one follows."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from stream_app.client.redis_contract import search_key, user_key
from stream_app.publishing.publisher import Document
from tests.support.in_memory_worker import InMemoryWorker, ManualClock, click_shared_items, run_pending_tasks
from tests.support.virtual_time import run_in_virtual_time
from topics.catalog import LISTS
from topics.log_keys import user_of


async def test_the_seconds_of_a_flush_are_those_it_took(worker: InMemoryWorker) -> None:
    click_shared_items(worker)
    before = time.perf_counter()
    async with worker.running_flush_loop():
        await worker.flush_loop.wait_until_idle()
    elapsed = time.perf_counter() - before
    assert worker.count("flush_seconds_count") == 1
    assert 0.0 < worker.count("flush_seconds_sum") <= elapsed


async def test_lists_are_counted_by_their_policy_but_not_those_of_users_who_are_erased_meanwhile(
    worker: InMemoryWorker,
) -> None:
    click_shared_items(worker)
    worker.publisher.block()
    async with worker.running_flush_loop():
        await worker.publisher.publish_started.wait()
        worker.accept(worker.erasure("ann"))
        worker.publisher.unblocked.set()
        await worker.flush_loop.wait_until_idle()
    found = worker.published(user_key("bob"))
    assert found is not None
    assert worker.count("policy_lists_total", policy=found.policy) == 1


async def test_each_outage_is_logged(worker: InMemoryWorker, caplog: pytest.LogCaptureFixture) -> None:
    async with worker.running_flush_loop():
        for number in (1, 2):
            worker.publisher.publish_failed.clear()
            worker.publisher.available = False
            worker.accept(worker.click("ann", f"i{number}"))
            await worker.publisher.publish_failed.wait()
            await run_pending_tasks()
            worker.publisher.available = True
            await worker.flush_loop.wait_until_idle()
            lines = [message for message in caplog.messages if "Redis is unavailable" in message]
            assert len(lines) == number


async def test_users_whose_lists_are_deleted_alone_are_told(worker: InMemoryWorker) -> None:
    told: list[list[str]] = []
    worker.flush_loop.on_erased = told.append
    async with worker.running_flush_loop():
        worker.accept(worker.click("ann", "shoe"), worker.click("bob", "shoe"))
        await worker.flush_loop.wait_until_idle()
        assert told == []
        worker.accept(worker.erasure("ann"))
        await worker.flush_loop.wait_until_idle()
        worker.accept(worker.click("bob", "hat"))
        await worker.flush_loop.wait_until_idle()
    assert told == [["ann"]]


async def test_lists_and_search_lists_are_in_memory_and_on_the_topic_once_redis_has_them(
    worker: InMemoryWorker,
) -> None:
    worker.publisher.available = False
    worker.accept(worker.search("ann", "red", "a", "b"), worker.click("bob", "a"))
    async with worker.running_flush_loop():
        await worker.publisher.publish_failed.wait()
        await run_pending_tasks()
        # Those of the first attempt, which Redis did not take.
        n_first = len(worker.producer.of(LISTS))
        worker.clock.now += 1.0
        worker.publisher.available = True
        await worker.flush_loop.wait_until_idle()
    for user, key in (("ann", user_key("ann")), ("ann", search_key("ann")), ("bob", user_key("bob"))):
        found = worker.published(key)
        assert found is not None
        assert worker.list_store.find(user, found.list_id) is not None
    later = [user_of(record.key or b"") for record in worker.producer.of(LISTS)[n_first:]]
    assert sorted(later) == [b"ann", b"ann", b"bob"]


@pytest.fixture
def publications(
    make_worker: Callable[..., InMemoryWorker], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., list[tuple[float, list[str]]]]:
    """Publish in virtual time, with the timer of the worker; the time and the keys of each pipeline."""

    def run(
        actions: Callable[[InMemoryWorker, float], None], **settings: Any
    ) -> list[tuple[float, list[str]]]:
        worker = make_worker(**settings)
        sent: list[tuple[float, list[str]]] = []
        publish = worker.publisher.publish

        def now() -> float:
            return asyncio.get_running_loop().time()

        async def record(documents: Sequence[Document]) -> None:
            sent.append((now(), sorted(each.key for each in documents)))
            await publish(documents)

        async def act() -> None:
            monkeypatch.setattr(ManualClock, "__call__", lambda clock: clock.now + now())
            monkeypatch.setattr(worker.publisher, "publish", record)
            worker.flush_loop.start()
            for at in (0.0, 0.1, 3.0):
                await asyncio.sleep(at - now())
                actions(worker, at)
            await asyncio.sleep(3.0)
            await worker.flush_loop.stop()

        run_in_virtual_time(act())
        return sent

    return run


def test_shared_lists_are_published_again_when_their_interval_is_over(
    publications: Callable[..., list[tuple[float, list[str]]]],
) -> None:
    def click(worker: InMemoryWorker, at: float) -> None:
        if at < 1.0:
            for user in ("ann", "bob"):
                worker.accept(worker.click(user, "shoe"), worker.click(user, f"i{at}"))

    sent = publications(click, shared_list_interval=0.25)
    users = [(at, keys) for at, keys in sent if any(key.startswith("recs:user") for key in keys)]
    shared = [(at, keys) for at, keys in sent if any(key.startswith("recs:popular") for key in keys)]
    assert [at for at, _ in users] == pytest.approx([0.0, 0.1])
    assert [at for at, _ in shared] == pytest.approx([0.0, 0.25])


def test_users_with_a_degraded_list_are_reranked_after_a_second_without_an_event(
    publications: Callable[..., list[tuple[float, list[str]]]],
) -> None:
    def click(worker: InMemoryWorker, at: float) -> None:
        if at == 0.0:
            for number in range(12):
                worker.accept(worker.click(f"u{number}", "shoe"), worker.click(f"u{number}", "sock"))

    sent = publications(click, flush_users=4, shared_list_interval=100.0)
    times: dict[str, list[float]] = {}
    for at, keys in sent:
        for key in keys:
            if key.startswith("recs:user"):
                times.setdefault(key, []).append(at)
    again = {key: each for key, each in times.items() if len(each) == 2}
    assert 4 <= len(again) <= 8
    assert all(each == pytest.approx([0.0, 1.0]) for each in again.values())
    assert len(times) == 12

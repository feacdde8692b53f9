"""Erasures: lists leave the queue, the memory, the topic and Redis."""

import asyncio
from collections.abc import Callable

from stream_app.client.redis_contract import search_key, user_key
from tests.support.in_memory_worker import InMemoryWorker, click_shared_items, run_pending_tasks
from topics.catalog import LISTS
from topics.log_keys import user_of


async def test_an_erased_user_has_no_list_and_the_others_keep_theirs(worker: InMemoryWorker) -> None:
    click_shared_items(worker)
    async with worker.running_flush_loop():
        await worker.flush_loop.wait_until_idle()
        worker.publisher.documents[search_key("ann")] = b"{}"
        worker.accept(worker.erasure("ann"))
        await worker.flush_loop.wait_until_idle()
    assert user_key("ann") not in worker.publisher.documents
    assert search_key("ann") not in worker.publisher.documents
    assert user_key("bob") in worker.publisher.documents
    assert worker.lists.evaluate_interaction("ann", "shoe", worker.clock.now) == 0


async def test_erasure_before_the_flush_cancels_publication(worker: InMemoryWorker) -> None:
    worker.accept(worker.click("ann", "shoe"), worker.erasure("ann"))
    async with worker.running_flush_loop():
        await worker.flush_loop.wait_until_idle()
    assert user_key("ann") not in worker.publisher.documents
    assert [record.value for record in worker.producer.of(LISTS)] == [None]


async def test_erasure_during_a_flush_removes_the_list(worker: InMemoryWorker) -> None:
    worker.accept(worker.click("ann", "shoe"))
    worker.publisher.block()
    async with worker.running_flush_loop():
        await worker.publisher.publish_started.wait()
        worker.accept(worker.erasure("ann"))
        worker.publisher.unblocked.set()
        await worker.flush_loop.wait_until_idle()
    assert user_key("ann") not in worker.publisher.documents
    # a tombstone: list recovery does not restore earlier lists
    assert [record.value is None for record in worker.producer.of(LISTS)] == [False, True]
    assert worker.lists.evaluate_interaction("ann", "shoe", worker.clock.now) == 0


async def test_erasure_during_a_failing_flush_removes_the_list(
    worker: InMemoryWorker,
) -> None:
    worker.accept(worker.click("ann", "shoe"), worker.click("bob", "shoe"))
    worker.publisher.block()
    worker.publisher.available = False
    async with worker.running_flush_loop():
        await worker.publisher.publish_started.wait()
        worker.accept(worker.erasure("ann"))
        worker.publisher.unblocked.set()
        await worker.publisher.publish_failed.wait()
        worker.publisher.available = True
        await worker.flush_loop.wait_until_idle()
    assert user_key("ann") not in worker.publisher.documents
    assert user_key("bob") in worker.publisher.documents
    last = {user_of(record.key or b""): record.value for record in worker.producer.of(LISTS)}
    assert last == {b"ann": None, b"bob": worker.publisher.documents[user_key("bob")]}


async def test_erasure_of_a_ranked_but_unsent_list_leaves_no_trace(
    worker: InMemoryWorker,
) -> None:
    worker.accept(worker.click("bob", "shoe"))
    worker.publisher.block()
    async with worker.running_flush_loop():
        await worker.publisher.publish_started.wait()
        # ann's list is ranked while bob's is in flight
        worker.accept(worker.click("ann", "shoe"))
        async with asyncio.timeout(5):
            while worker.queue.n_users:  # noqa: ASYNC110  # the condition has no event
                await asyncio.sleep(0)
        worker.accept(worker.erasure("ann"))
        worker.publisher.unblocked.set()
        await worker.flush_loop.wait_until_idle()
    assert user_key("ann") not in worker.publisher.documents
    assert [user_of(r.key or b"") for r in worker.producer.of(LISTS) if r.value is not None] == [b"bob"]
    assert worker.lists.evaluate_interaction("ann", "shoe", worker.clock.now) == 0


async def test_user_active_after_erasure_gets_a_new_list(worker: InMemoryWorker) -> None:
    click_shared_items(worker)
    async with worker.running_flush_loop():
        await worker.flush_loop.wait_until_idle()
        worker.accept(worker.erasure("ann"), worker.click("ann", "scarf"))
        await worker.flush_loop.wait_until_idle()
    document = worker.published(user_key("ann"))
    assert document is not None
    assert document.model_version == 8
    # and it is on the topic, after the tombstone
    logged = [record.value for record in worker.producer.of(LISTS) if user_of(record.key or b"") == b"ann"]
    assert logged[1:] == [None, worker.publisher.documents[user_key("ann")]]
    assert [each.list_id for each in worker.list_store.lists_of("ann")] == [document.list_id]


async def test_pending_erasures_are_counted_and_apply_back_pressure(
    make_worker: Callable[..., InMemoryWorker],
) -> None:
    worker = make_worker(max_pending=3)
    worker.publisher.available = False
    async with worker.running_flush_loop():
        for user in ("ann", "bob"):
            worker.accept(worker.erasure(user))
            await worker.queue.wait_for_capacity()
        await worker.publisher.publish_failed.wait()
        assert worker.count("pending_erasures") == 2
        worker.accept(worker.erasure("cid"))
        blocked_call = asyncio.create_task(worker.queue.wait_for_capacity())
        await run_pending_tasks()
        assert not blocked_call.done()
        worker.publisher.documents[user_key("ann")] = b"{}"
        worker.publisher.available = True
        await blocked_call
        await worker.flush_loop.wait_until_idle()
    assert worker.publisher.documents == {}
    assert worker.count("pending_erasures") == 0


async def test_many_erasures_are_split_over_pipelines(worker: InMemoryWorker) -> None:
    users = [f"u{number}" for number in range(2_500)]
    worker.publisher.documents.update((user_key(user), b"{}") for user in users)
    for user in users:
        worker.queue.add_erasure(user)
    async with worker.running_flush_loop():
        await worker.flush_loop.wait_until_idle()
    assert worker.publisher.documents == {}
    assert worker.publisher.deletion_sizes == [2_000, 2_000, 1_000]


async def test_user_active_after_erasure_during_an_outage_gets_a_list(
    worker: InMemoryWorker,
) -> None:
    click_shared_items(worker)
    worker.publisher.available = False
    async with worker.running_flush_loop():
        worker.accept(worker.erasure("ann"), worker.click("ann", "scarf"))
        await worker.publisher.publish_failed.wait()
        worker.publisher.available = True
        await worker.flush_loop.wait_until_idle()
    found = worker.published(user_key("ann"))
    assert found is not None
    assert worker.count("pending_erasures") == 0


async def test_pending_erasures_are_dropped_when_partitions_are_revoked(worker: InMemoryWorker) -> None:
    worker.publisher.available = False
    async with worker.running_flush_loop():
        worker.accept(worker.erasure("ann"))
        await worker.publisher.publish_failed.wait()
        worker.queue.drop_erasures()
        # written by the next owner of the partition
        worker.publisher.documents[user_key("ann")] = b"{}"
        worker.publisher.available = True
        worker.accept(worker.click("bob", "shoe"))
        await worker.flush_loop.wait_until_idle()
    assert user_key("ann") in worker.publisher.documents
    assert worker.count("pending_erasures") == 0

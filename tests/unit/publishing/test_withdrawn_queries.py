"""Lists of queries of few users, before and after erasures."""

import asyncio
from collections.abc import Callable

from stream_app.client.redis_contract import query_key
from tests.support.in_memory_worker import InMemoryWorker

MakeWorker = Callable[..., InMemoryWorker]


def search_and_choose(worker: InMemoryWorker, user: str, query: str, item: str) -> None:
    worker.accept(worker.search(user, query, item))
    worker.clock.now += 10.0
    worker.accept(worker.click(user, item))


async def publish(worker: InMemoryWorker) -> None:
    """Publish everything that is pending or stale."""
    while True:
        await worker.flush_loop.wait_until_idle()
        if not worker.queue.shared_lists:
            return
        worker.clock.now += worker.settings.shared_list_interval
        await asyncio.sleep(0)


async def test_a_query_of_one_user_has_no_list_and_that_of_two_has_one(make_worker: MakeWorker) -> None:
    worker = make_worker(models=["popularity", "search"])
    async with worker.running_flush_loop():
        search_and_choose(worker, "ann", "Secret wish", "ring")
        await publish(worker)
        assert query_key("secret wish") not in worker.publisher.documents
        search_and_choose(worker, "bob", "secret  WISH", "ring")
        await publish(worker)
        assert worker.item_ids(query_key("secret wish")) == ["ring"]


async def test_the_list_ends_with_the_last_of_its_users(make_worker: MakeWorker) -> None:
    worker = make_worker(models=["popularity", "search"])
    async with worker.running_flush_loop():
        for user in ("ann", "bob"):
            search_and_choose(worker, user, "secret wish", "ring")
        await publish(worker)
        worker.accept(worker.erasure("ann"))
        await publish(worker)
        assert worker.item_ids(query_key("secret wish")) == ["ring"]
        worker.accept(worker.erasure("bob"))
        await publish(worker)
        documents = worker.publisher.documents
        assert not any("secret" in key or b"secret" in value for key, value in documents.items())


async def test_the_list_is_deleted_when_redis_is_available_again(make_worker: MakeWorker) -> None:
    worker = make_worker(models=["popularity", "search"])
    async with worker.running_flush_loop():
        for user in ("ann", "bob"):
            search_and_choose(worker, user, "secret wish", "ring")
        await publish(worker)
        worker.publisher.publish_failed.clear()
        worker.publisher.available = False
        worker.accept(worker.erasure("ann"), worker.erasure("bob"))
        await worker.publisher.publish_failed.wait()
        assert query_key("secret wish") in worker.publisher.documents
        worker.publisher.available = True
        await publish(worker)
        assert query_key("secret wish") not in worker.publisher.documents


async def test_a_list_of_an_earlier_version_is_deleted_with_the_user_who_searched(
    make_worker: MakeWorker,
) -> None:
    worker = make_worker(models=["popularity", "search"])
    async with worker.running_flush_loop():
        search_and_choose(worker, "ann", "secret wish", "ring")
        await publish(worker)
        worker.publisher.documents[query_key("secret wish")] = b"{}"
        worker.accept(worker.erasure("ann"))
        await publish(worker)
        assert query_key("secret wish") not in worker.publisher.documents


async def test_a_query_that_became_public_again_keeps_its_list(make_worker: MakeWorker) -> None:
    worker = make_worker(models=["popularity", "search"])
    for user in ("ann", "bob"):
        search_and_choose(worker, user, "tent", "tent")
    worker.accept(worker.erasure("ann"), worker.erasure("bob"))
    for user in ("cem", "dan"):
        search_and_choose(worker, user, "tent", "tent")
    async with worker.running_flush_loop():
        await publish(worker)
        assert worker.item_ids(query_key("tent")) == ["tent"]

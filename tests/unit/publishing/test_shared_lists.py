"""Item, query and segment lists: refresh cycles."""

import asyncio
from collections.abc import Callable
from itertools import pairwise

import pytest

from stream_app.client.redis_contract import (
    MAX_QUERY_LENGTH,
    item_key,
    popular_key,
    query_key,
    search_key,
    user_key,
)
from tests.support.in_memory_worker import InMemoryWorker, click_shared_items


async def test_refresh_cycles_are_bounded_and_resume(worker: InMemoryWorker) -> None:
    for number in range(250):
        worker.clock.now += 1.0
        worker.accept(worker.click("ann", f"i{number}"))
    documents = worker.publisher.documents
    sizes = [0]
    async with worker.running_flush_loop():
        while sizes[-1] < 250:
            worker.queue.mark_pending("ann")
            await worker.flush_loop.wait_until_idle()
            sizes.append(sum(key.startswith("recs:item:") for key in documents))
            worker.clock.now += worker.settings.shared_list_interval
    assert all(0 < after - before <= 100 for before, after in pairwise(sizes))


async def test_item_and_segment_lists_wait_for_the_next_refresh_cycle(worker: InMemoryWorker) -> None:
    click_shared_items(worker)
    async with worker.running_flush_loop():
        await worker.flush_loop.wait_until_idle()
        assert set(worker.item_ids(popular_key())) == {"shoe", "sock", "hat"}
        first = worker.published(item_key("shoe"))
        worker.accept(worker.click("ann", "scarf", context={"country": "FR"}), worker.click("ann", "shoe"))
        await worker.flush_loop.wait_until_idle()
        assert worker.published(item_key("shoe")) == first
        assert set(worker.item_ids(popular_key())) == {"shoe", "sock", "hat"}
        worker.clock.now += worker.settings.shared_list_interval
        worker.queue.mark_pending("ann")
        await worker.flush_loop.wait_until_idle()
    assert "scarf" in set(worker.item_ids(popular_key()))
    assert set(worker.item_ids(popular_key("country:FR"))) == {"scarf"}
    assert worker.published(item_key("shoe")) != first


async def test_refresh_cycle_runs_without_pending_users(
    make_worker: Callable[..., InMemoryWorker],
) -> None:
    worker = make_worker(shared_list_interval=0.01)
    click_shared_items(worker)
    async with worker.running_flush_loop():
        await worker.flush_loop.wait_until_idle()
        worker.accept(worker.click("ann", "scarf", context={"country": "FR"}))
        await worker.flush_loop.wait_until_idle()
        assert popular_key("country:FR") not in worker.publisher.documents
        worker.clock.now += worker.settings.shared_list_interval
        while popular_key("country:FR") not in worker.publisher.documents:  # noqa: ASYNC110  # as above
            await asyncio.sleep(0)
    assert worker.count("lists_published_total", kind="user") == 3


async def test_item_without_related_items_has_no_list(worker: InMemoryWorker) -> None:
    worker.accept(worker.click("ann", "shoe"))
    async with worker.running_flush_loop():
        await worker.flush_loop.wait_until_idle()
    assert set(worker.publisher.documents) == {user_key("ann"), popular_key(), popular_key("user:new")}


async def test_choices_of_two_users_after_a_search_publish_the_query_list(
    make_worker: Callable[..., InMemoryWorker],
) -> None:
    worker = make_worker(models=["popularity", "search"])
    async with worker.running_flush_loop():
        worker.accept(worker.search("ann", "Red shoes"))
        await worker.flush_loop.wait_until_idle()
        assert query_key("red shoes") not in worker.publisher.documents
        worker.clock.now += 10.0
        worker.accept(worker.click("ann", "sneaker"))
        await worker.flush_loop.wait_until_idle()
        assert query_key("red shoes") not in worker.publisher.documents
        worker.clock.now += 10.0
        worker.accept(worker.click("cem", "sneaker", query="red shoes"))
        await worker.flush_loop.wait_until_idle()
        assert worker.item_ids(query_key("red shoes")) == ["sneaker"]
        found = worker.search_list(query_key("red shoes"))
        assert found is not None
        assert (found.query, found.items[0].why.source) == ("red shoes", "chosen_after_search")
        worker.clock.now += 10.0
        worker.accept(worker.click("bob", "boot", query="  RED shoes"))
        await worker.flush_loop.wait_until_idle()
    assert set(worker.item_ids(query_key("Red Shoes"))) == {"sneaker", "boot"}
    assert worker.count("lists_published_total", kind="query") == 2
    # and the users have lists as well
    assert worker.publisher.documents.keys() >= {query_key("red shoes"), user_key("ann"), user_key("bob")}


async def test_queries_are_refreshed_in_cycles_and_failed_cycles_are_requeued(
    make_worker: Callable[..., InMemoryWorker],
) -> None:
    worker = make_worker(models=["popularity", "search"])
    for number in range(60):
        for user in (f"u{number}", f"v{number}"):
            worker.accept(worker.click(user, "sneaker", query=f"shoe{number}"))
    keys = [query_key(f"shoe{number}") for number in range(60)]
    worker.publisher.available = False
    async with worker.running_flush_loop():
        await worker.publisher.publish_failed.wait()
        worker.publisher.available = True
        while not all(worker.item_ids(key) == ["sneaker"] for key in keys):
            worker.clock.now += 1.0
            await asyncio.sleep(0)
    assert not worker.queue.shared_lists
    assert not worker.queue.n_users


@pytest.mark.parametrize("query", ["", "   ", "long " * MAX_QUERY_LENGTH])
async def test_empty_and_overlong_queries_have_no_query_list(
    make_worker: Callable[..., InMemoryWorker], query: str
) -> None:
    worker = make_worker(models=["popularity", "search"])
    worker.accept(worker.search("ann", query, "a"), worker.click("ann", "a", query=query))
    async with worker.running_flush_loop():
        await worker.flush_loop.wait_until_idle()
    assert worker.item_ids(search_key("ann")) == ["a"]
    assert not [key for key in worker.publisher.documents if key.startswith("recs:query:")]

"""Item and segment lists: refresh cycles."""

import asyncio
from collections.abc import Callable
from itertools import pairwise

from stream_app.client.redis_contract import item_key, popular_key, user_key
from tests.support.in_memory_worker import InMemoryWorker, click_shared_items


async def test_refresh_cycles_are_bounded_and_resume(worker: InMemoryWorker) -> None:
    for number in range(250):
        worker.clock.now += 1.0
        worker.accept(worker.click("ann", f"i{number}"))
    documents = worker.publisher.documents
    sizes = [0]
    async with worker.running_flusher():
        while sizes[-1] < 250:
            worker.queue.mark_pending("ann")
            await worker.flush_loop.wait_until_idle()
            sizes.append(sum(key.startswith("recs:item:") for key in documents))
            worker.clock.now += worker.settings.shared_list_interval
    assert all(0 < after - before <= 100 for before, after in pairwise(sizes))


async def test_item_and_segment_lists_wait_for_the_next_refresh_cycle(worker: InMemoryWorker) -> None:
    click_shared_items(worker)
    async with worker.running_flusher():
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
    async with worker.running_flusher():
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
    async with worker.running_flusher():
        await worker.flush_loop.wait_until_idle()
    assert set(worker.publisher.documents) == {user_key("ann"), popular_key()}

"""Search lists, query lists and exposure: what the flusher publishes beside the shoppers' lists."""

import asyncio
import math
from collections.abc import Callable
from random import Random

import pytest
from msgspec import structs

from stream_app.client.redis_contract import (
    MAX_QUERY_LENGTH,
    SearchList,
    decode_search_list,
    query_key,
    search_key,
    user_key,
)
from stream_app.models.registry import MODELS
from stream_app.ranking.fusion.choice_fusion import MIN_CHOICES
from tests.support.in_memory_worker import InMemoryWorker
from topics.catalog import LISTS
from topics.events import Search


def search_list(worker: InMemoryWorker, key: str) -> SearchList | None:
    value = worker.publisher.documents.get(key)
    return None if value is None else decode_search_list(value)


async def test_search_publishes_personalized_results_with_the_user_list(
    worker: InMemoryWorker,
) -> None:
    for user in ("bob", "cem"):
        worker.accept(worker.click(user, "tent"), worker.click(user, "peg"))
    worker.accept(worker.click("ann", "tent"), worker.search("ann", " Camping  GEAR", "rope", "peg"))
    async with worker.running_flusher():
        await worker.flush_loop.wait_until_idle()
    found = search_list(worker, search_key("ann"))
    assert found is not None
    assert (found.key, found.query) == (search_key("ann"), "camping gear")
    assert [item.id for item in found.items] == ["peg", "rope"]
    assert user_key("ann") in worker.publisher.documents
    assert search_key("bob") not in worker.publisher.documents
    assert worker.count("lists_published_total", kind="search") == 1
    assert worker.count("search_freshness_seconds_count") == 1
    assert worker.count("freshness_seconds_count") == 6


async def test_search_list_is_republished_only_by_the_next_search(
    worker: InMemoryWorker,
) -> None:
    async with worker.running_flusher():
        worker.accept(worker.search("ann", "tents", "a", "b"))
        await worker.flush_loop.wait_until_idle()
        first = worker.publisher.documents.pop(search_key("ann"))
        worker.accept(worker.click("ann", "b"))
        await worker.flush_loop.wait_until_idle()
        assert search_key("ann") not in worker.publisher.documents
        worker.clock.now += 1.0
        worker.accept(worker.search("ann", "boots", "c"))
        await worker.flush_loop.wait_until_idle()
    assert decode_search_list(first).query == "tents"
    assert worker.item_ids(search_key("ann")) == ["c"]


async def test_a_click_in_the_same_flush_does_not_lose_the_search(worker: InMemoryWorker) -> None:
    worker.accept(worker.search("ann", "tents", "a", "b"), worker.click("ann", "b"))
    async with worker.running_flusher():
        await worker.flush_loop.wait_until_idle()
    assert sorted(worker.item_ids(search_key("ann"))) == ["a", "b"]


async def test_search_list_is_published_after_a_redis_outage(worker: InMemoryWorker) -> None:
    worker.accept(worker.search("ann", "tents", "a", "b"))
    worker.publisher.available = False
    async with worker.running_flusher():
        await worker.publisher.publish_failed.wait()
        worker.publisher.available = True
        await worker.flush_loop.wait_until_idle()
    assert worker.item_ids(search_key("ann")) == ["a", "b"]
    assert worker.count("search_freshness_seconds_count") == 1


async def test_republication_includes_the_search_list_of_the_session(
    worker: InMemoryWorker,
) -> None:
    async with worker.running_flusher():
        worker.accept(worker.search("ann", "tents", "a", "b"))
        await worker.flush_loop.wait_until_idle()
        worker.publisher.documents.clear()
        worker.queue.mark_pending("ann")
        await worker.flush_loop.wait_until_idle()
        assert worker.item_ids(search_key("ann")) == ["a", "b"]
        # but not one of an earlier visit
        worker.clock.now += 10_000.0
        worker.accept(worker.click("ann", "c"))
        await worker.flush_loop.wait_until_idle()
        worker.publisher.documents.clear()
        worker.queue.mark_pending("ann")
        await worker.flush_loop.wait_until_idle()
    assert user_key("ann") in worker.publisher.documents
    assert search_key("ann") not in worker.publisher.documents


async def test_search_without_results_and_history_has_no_list(
    worker: InMemoryWorker,
) -> None:
    worker.accept(worker.search("ann", "tents"))
    async with worker.running_flusher():
        await worker.flush_loop.wait_until_idle()
    assert search_key("ann") not in worker.publisher.documents


async def test_erasure_removes_published_and_in_flight_search_lists(worker: InMemoryWorker) -> None:
    async with worker.running_flusher():
        worker.accept(worker.search("ann", "tents", "a"))
        await worker.flush_loop.wait_until_idle()
        worker.accept(worker.search("ann", "boots", "b"), worker.erasure("ann"))
        await worker.flush_loop.wait_until_idle()
        assert search_key("ann") not in worker.publisher.documents
        worker.publisher.block()
        worker.accept(worker.search("ann", "lamps", "c"))
        await worker.publisher.publish_started.wait()
        worker.accept(worker.erasure("ann"))
        worker.publisher.unblocked.set()
        await worker.flush_loop.wait_until_idle()
    assert search_key("ann") not in worker.publisher.documents


async def test_search_lists_are_appended_but_not_measured_prequentially(
    worker: InMemoryWorker,
) -> None:
    worker.accept(worker.click("bob", "hat"), worker.search("ann", "tents", "a"))
    async with worker.running_flusher():
        await worker.flush_loop.wait_until_idle()
        audited = [record for record in worker.producer.of(LISTS) if record.key == b"ann"]
        assert len(audited) == 2
        worker.accept(worker.click("ann", "hat"))
        await worker.flush_loop.wait_until_idle()
    assert worker.count("prequential_hits_total") == 1


async def test_search_ranking_failure_does_not_affect_user_lists(
    worker: InMemoryWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(worker.flush_loop._builder._ranker, "rank_search", fail)
    worker.accept(worker.click("bob", "hat"), worker.search("ann", "tents", "a"))
    async with worker.running_flusher():
        await worker.flush_loop.wait_until_idle()
    assert user_key("ann") in worker.publisher.documents
    assert search_key("ann") not in worker.publisher.documents
    assert worker.count("ranking_failures_total") == 1


with_search = pytest.mark.skipif("search" not in MODELS, reason="the search model is not there")


@with_search
async def test_choice_after_a_search_publishes_the_query_list(
    make_worker: Callable[..., InMemoryWorker],
) -> None:
    worker = make_worker(models=["popularity", "search"])
    async with worker.running_flusher():
        worker.accept(worker.search("ann", "Red shoes"))
        await worker.flush_loop.wait_until_idle()
        assert query_key("red shoes") not in worker.publisher.documents
        worker.clock.now += 10.0
        worker.accept(worker.click("ann", "sneaker"))
        await worker.flush_loop.wait_until_idle()
        assert worker.item_ids(query_key("red shoes")) == ["sneaker"]
        found = search_list(worker, query_key("red shoes"))
        assert found is not None
        assert (found.query, found.items[0].why.source) == ("red shoes", "chosen_after_search")
        worker.clock.now += 10.0
        worker.accept(worker.click("bob", "boot", query="  RED shoes"))
        await worker.flush_loop.wait_until_idle()
    assert set(worker.item_ids(query_key("Red Shoes"))) == {"sneaker", "boot"}
    assert worker.count("lists_published_total", kind="query") == 2
    # and a shopper who searched may be brought what others chose
    assert worker.publisher.documents.keys() >= {query_key("red shoes"), user_key("ann"), user_key("bob")}


@with_search
async def test_queries_are_refreshed_in_cycles_and_failed_cycles_are_requeued(
    make_worker: Callable[..., InMemoryWorker],
) -> None:
    worker = make_worker(models=["popularity", "search"])
    for number in range(60):
        worker.accept(worker.click(f"u{number}", "sneaker", query=f"shoe{number}"))
    keys = [query_key(f"shoe{number}") for number in range(60)]
    worker.publisher.available = False
    async with worker.running_flusher():
        await worker.publisher.publish_failed.wait()
        worker.publisher.available = True
        while not all(worker.item_ids(key) == ["sneaker"] for key in keys):
            worker.clock.now += 1.0
            await asyncio.sleep(0)
    assert not worker.queue.shared_lists
    assert not worker.queue.n_users


@with_search
@pytest.mark.parametrize("query", ["", "   ", "long " * MAX_QUERY_LENGTH])
async def test_empty_and_overlong_queries_have_no_query_list(
    make_worker: Callable[..., InMemoryWorker], query: str
) -> None:
    worker = make_worker(models=["popularity", "search"])
    worker.accept(worker.search("ann", query, "a"), worker.click("ann", "a", query=query))
    async with worker.running_flusher():
        await worker.flush_loop.wait_until_idle()
    assert worker.item_ids(search_key("ann")) == ["a"]
    assert not [key for key in worker.publisher.documents if key.startswith("recs:query:")]


async def test_exposure_is_reported_with_the_lists(worker: InMemoryWorker) -> None:
    for user in ("ann", "bob"):
        for item in ("shoe", "sock", "hat"):
            worker.accept(worker.click(user, item))
    async with worker.running_flusher():
        await worker.flush_loop.wait_until_idle()
    assert worker.count("exposure_gini_ratio") == pytest.approx(0.0)
    assert worker.count("exposure_new_items_ratio") == 1.0
    assert 0.0 <= worker.count("exposure_long_tail_ratio") <= 1.0


async def test_list_diversity_is_reported_for_described_items(worker: InMemoryWorker) -> None:
    for user in ("ann", "bob"):
        for item in ("shoe", "sock", "hat"):
            worker.accept(worker.click(user, item))
    async with worker.running_flusher():
        await worker.flush_loop.wait_until_idle()
    assert math.isnan(worker.count("list_dissimilarity_ratio"))
    for item, category in (("shoe", "feet"), ("sock", "feet"), ("hat", "head")):
        number = worker.models.index.index(item, 0.0)
        worker.models.index.describe(number, 0.0, categories=(category,))
    worker.clock.now += 10.0
    worker.accept(worker.click("ann", "hat"))
    async with worker.running_flusher():
        await worker.flush_loop.wait_until_idle()
    assert worker.count("list_dissimilarity_ratio") == pytest.approx(2 / 3)
    assert worker.count("list_categories") == 2.0


async def test_list_rules_from_settings_apply_to_published_lists(
    make_worker: Callable[..., InMemoryWorker],
) -> None:
    worker = make_worker(max_per_brand=1)
    for item in ("shoe", "boot", "hat"):
        number = worker.models.index.index(item, 0.0)
        worker.models.index.describe(number, 0.0, brand="knit" if item == "hat" else "acme")
    for user in ("ann", "bob"):
        for item in ("shoe", "boot", "hat"):
            worker.accept(worker.click(user, item))
    async with worker.running_flusher():
        await worker.flush_loop.wait_until_idle()
    found = worker.published(user_key("ann"))
    assert found is not None
    assert len(found.items) == 2
    assert "hat" in {item.id for item in found.items}


async def test_search_list_uses_the_prices_of_the_search_event(
    make_worker: Callable[..., InMemoryWorker],
) -> None:
    worker = make_worker()
    names = [f"i{number}" for number in range(6)]

    def search(user: str, prices: list[float]) -> Search:
        return structs.replace(worker.search(user, "tents", *names), prices=prices)

    rng = Random(3)
    for number in range(MIN_CHOICES + 100):
        prices = [rng.uniform(10.0, 100.0) for _ in names]
        cheapest = names[prices.index(min(prices))]
        worker.accept(search(f"u{number}", prices), worker.click(f"u{number}", cheapest))
        worker.clock.now += 1.0
    worker.accept(search("ann", [90.0, 80.0, 70.0, 20.0, 60.0, 50.0]))
    worker.accept(search("bob", [90.0, 80.0, 70.0, 60.0, 20.0, 50.0]))
    async with worker.running_flusher():
        await worker.flush_loop.wait_until_idle()
    assert worker.item_ids(search_key("ann"))[0] == "i3"
    assert worker.item_ids(search_key("bob"))[0] == "i4"

"""Search lists: the results of a user's last search, ranked for the user."""

from collections.abc import Callable
from random import Random

import pytest
from msgspec import structs

from stream_app.client.redis_contract import (
    decode_search_list,
    search_key,
    user_key,
)
from stream_app.ranking.fusion.choice_fusion import MIN_CHOICES
from tests.support.in_memory_worker import InMemoryWorker
from topics.catalog import LISTS
from topics.events import Search
from topics.log_keys import user_of


async def test_search_publishes_personalized_results_with_the_user_list(
    worker: InMemoryWorker,
) -> None:
    for user in ("bob", "cem"):
        worker.accept(worker.click(user, "tent"), worker.click(user, "peg"))
    worker.accept(worker.click("ann", "tent"), worker.search("ann", " Camping  GEAR", "rope", "peg"))
    async with worker.running_flush_loop():
        await worker.flush_loop.wait_until_idle()
    found = worker.search_list(search_key("ann"))
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
    async with worker.running_flush_loop():
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
    async with worker.running_flush_loop():
        await worker.flush_loop.wait_until_idle()
    assert sorted(worker.item_ids(search_key("ann"))) == ["a", "b"]


async def test_search_list_is_published_after_a_redis_outage(worker: InMemoryWorker) -> None:
    worker.accept(worker.search("ann", "tents", "a", "b"))
    worker.publisher.available = False
    async with worker.running_flush_loop():
        await worker.publisher.publish_failed.wait()
        worker.publisher.available = True
        await worker.flush_loop.wait_until_idle()
    assert worker.item_ids(search_key("ann")) == ["a", "b"]
    assert worker.count("search_freshness_seconds_count") == 1


async def test_republication_includes_the_search_list_of_the_session(
    worker: InMemoryWorker,
) -> None:
    async with worker.running_flush_loop():
        worker.accept(worker.search("ann", "tents", "a", "b"))
        await worker.flush_loop.wait_until_idle()
        worker.publisher.documents.clear()
        worker.queue.mark_pending("ann")
        await worker.flush_loop.wait_until_idle()
        assert worker.item_ids(search_key("ann")) == ["a", "b"]
        # but not one of an earlier session
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
    async with worker.running_flush_loop():
        await worker.flush_loop.wait_until_idle()
    assert search_key("ann") not in worker.publisher.documents


async def test_erasure_removes_published_and_in_flight_search_lists(worker: InMemoryWorker) -> None:
    async with worker.running_flush_loop():
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
    async with worker.running_flush_loop():
        await worker.flush_loop.wait_until_idle()
        appended = [record for record in worker.producer.of(LISTS) if user_of(record.key or b"") == b"ann"]
        assert len(appended) == 2
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
    async with worker.running_flush_loop():
        await worker.flush_loop.wait_until_idle()
    assert user_key("ann") in worker.publisher.documents
    assert search_key("ann") not in worker.publisher.documents
    assert worker.count("ranking_failures_total") == 1


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
    async with worker.running_flush_loop():
        await worker.flush_loop.wait_until_idle()
    assert worker.item_ids(search_key("ann"))[0] == "i3"
    assert worker.item_ids(search_key("bob"))[0] == "i4"

"""Search lists, query lists and exposure: what the flusher publishes beside the shoppers' lists."""

import asyncio
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import structs

from stream_app.client.redis_contract import (
    MAX_QUERY,
    SearchList,
    decode_search_list,
    query_key,
    search_key,
    user_key,
)
from stream_app.models.model_set import ModelSet
from stream_app.models.registry import MODELS
from stream_app.ranking.fusion.choice_fusion import ENOUGH
from stream_app.ranking.search.results_ranker import ResultsRanker
from topics.catalog import LISTS
from topics.events import Search

if TYPE_CHECKING:
    from tests.support.in_memory_worker import Workbench
else:
    from tests.support.in_memory_worker import Workbench


@pytest.fixture
def workbench(tmp_path: Path) -> Workbench:
    return Workbench(tmp_path)


@pytest.fixture
def make_workbench(tmp_path: Path) -> Callable[..., Workbench]:
    return partial(Workbench, tmp_path)


def search_list(bench: Workbench, key: str) -> SearchList | None:
    value = bench.publisher.documents.get(key)
    return None if value is None else decode_search_list(value)


def listed(bench: Workbench, key: str) -> list[str]:
    found = search_list(bench, key)
    return [] if found is None else [item.id for item in found.items]


async def test_a_search_publishes_the_results_in_the_shoppers_order_with_their_list(
    workbench: Workbench,
) -> None:
    for user in ("bob", "cem"):
        workbench.take(workbench.click(user, "tent"), workbench.click(user, "peg"))
    workbench.take(workbench.click("ann", "tent"), workbench.search("ann", " Camping  GEAR", "rope", "peg"))
    async with workbench.flushing():
        await workbench.flusher.drained()
    found = search_list(workbench, search_key("ann"))
    assert found is not None
    assert (found.key, found.query) == (search_key("ann"), "camping gear")
    assert [item.id for item in found.items] == ["peg", "rope"]
    assert user_key("ann") in workbench.publisher.documents
    assert search_key("bob") not in workbench.publisher.documents
    assert workbench.count("lists_published_total", kind="search") == 1
    assert workbench.count("search_freshness_seconds_count") == 1
    assert workbench.count("freshness_seconds_count") == 6


async def test_what_follows_a_search_does_not_publish_it_again_but_the_next_one_does(
    workbench: Workbench,
) -> None:
    async with workbench.flushing():
        workbench.take(workbench.search("ann", "tents", "a", "b"))
        await workbench.flusher.drained()
        first = workbench.publisher.documents.pop(search_key("ann"))
        workbench.take(workbench.click("ann", "b"))
        await workbench.flusher.drained()
        assert search_key("ann") not in workbench.publisher.documents
        workbench.clock.now += 1.0
        workbench.take(workbench.search("ann", "boots", "c"))
        await workbench.flusher.drained()
    assert decode_search_list(first).query == "tents"
    assert listed(workbench, search_key("ann")) == ["c"]


async def test_a_click_in_the_same_flush_does_not_lose_the_search(workbench: Workbench) -> None:
    workbench.take(workbench.search("ann", "tents", "a", "b"), workbench.click("ann", "b"))
    async with workbench.flushing():
        await workbench.flusher.drained()
    assert sorted(listed(workbench, search_key("ann"))) == ["a", "b"]


async def test_a_search_is_published_after_redis_was_away(workbench: Workbench) -> None:
    workbench.take(workbench.search("ann", "tents", "a", "b"))
    workbench.publisher.available = False
    async with workbench.flushing():
        await workbench.publisher.refused.wait()
        workbench.publisher.available = True
        await workbench.flusher.drained()
    assert listed(workbench, search_key("ann")) == ["a", "b"]
    assert workbench.count("search_freshness_seconds_count") == 1


async def test_whoever_is_published_again_without_an_event_gets_the_search_list_too(
    workbench: Workbench,
) -> None:
    async with workbench.flushing():
        workbench.take(workbench.search("ann", "tents", "a", "b"))
        await workbench.flusher.drained()
        workbench.publisher.documents.clear()
        workbench.flusher.mark("ann")
        await workbench.flusher.drained()
        assert listed(workbench, search_key("ann")) == ["a", "b"]
        # but not one of an earlier visit
        workbench.clock.now += 10_000.0
        workbench.take(workbench.click("ann", "c"))
        await workbench.flusher.drained()
        workbench.publisher.documents.clear()
        workbench.flusher.mark("ann")
        await workbench.flusher.drained()
    assert user_key("ann") in workbench.publisher.documents
    assert search_key("ann") not in workbench.publisher.documents


async def test_a_search_that_found_nothing_and_that_nobody_made_before_has_no_list(
    workbench: Workbench,
) -> None:
    workbench.take(workbench.search("ann", "tents"))
    async with workbench.flushing():
        await workbench.flusher.drained()
    assert search_key("ann") not in workbench.publisher.documents


async def test_an_erasure_takes_the_search_list_away_and_one_on_its_way_with_it(workbench: Workbench) -> None:
    async with workbench.flushing():
        workbench.take(workbench.search("ann", "tents", "a"))
        await workbench.flusher.drained()
        workbench.take(workbench.search("ann", "boots", "b"), workbench.erasure("ann"))
        await workbench.flusher.drained()
        assert search_key("ann") not in workbench.publisher.documents
        workbench.publisher.hold()
        workbench.take(workbench.search("ann", "lamps", "c"))
        await workbench.publisher.started.wait()
        workbench.take(workbench.erasure("ann"))
        workbench.publisher.open.set()
        await workbench.flusher.drained()
    assert search_key("ann") not in workbench.publisher.documents


async def test_search_lists_are_audited_but_are_not_the_list_that_choices_are_held_against(
    workbench: Workbench,
) -> None:
    workbench.take(workbench.click("bob", "hat"), workbench.search("ann", "tents", "a"))
    async with workbench.flushing():
        await workbench.flusher.drained()
        audited = [record for record in workbench.outgoing.of(LISTS) if record.key == b"ann"]
        assert len(audited) == 2
        workbench.take(workbench.click("ann", "hat"))
        await workbench.flusher.drained()
    assert workbench.count("prequential_hits_total") == 1


async def test_a_search_that_cannot_be_ranked_keeps_nobody_from_their_list(
    workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(workbench.flusher._ranker, "rank_search", fail)
    workbench.take(workbench.click("bob", "hat"), workbench.search("ann", "tents", "a"))
    async with workbench.flushing():
        await workbench.flusher.drained()
    assert user_key("ann") in workbench.publisher.documents
    assert search_key("ann") not in workbench.publisher.documents
    assert workbench.count("ranking_failures_total") == 1


with_search = pytest.mark.skipif("search" not in MODELS, reason="the search model is not there")


@with_search
async def test_a_choice_after_a_search_publishes_what_people_choose_after_it(
    make_workbench: Callable[..., Workbench],
) -> None:
    bench = make_workbench(models=["popularity", "search"])
    async with bench.flushing():
        bench.take(bench.search("ann", "Red shoes"))
        await bench.flusher.drained()
        assert query_key("red shoes") not in bench.publisher.documents
        bench.clock.now += 10.0
        bench.take(bench.click("ann", "sneaker"))
        await bench.flusher.drained()
        assert listed(bench, query_key("red shoes")) == ["sneaker"]
        found = search_list(bench, query_key("red shoes"))
        assert found is not None
        assert (found.query, found.items[0].why.source) == ("red shoes", "chosen_after_search")
        bench.clock.now += 10.0
        bench.take(bench.click("bob", "boot", query="  RED shoes"))
        await bench.flusher.drained()
    assert set(listed(bench, query_key("Red Shoes"))) == {"sneaker", "boot"}
    assert bench.count("lists_published_total", kind="query") == 2
    # and a shopper who searched may be brought what others chose
    assert bench.publisher.documents.keys() >= {query_key("red shoes"), user_key("ann"), user_key("bob")}


@with_search
async def test_many_queries_are_worked_off_round_by_round_and_a_lost_round_comes_again(
    make_workbench: Callable[..., Workbench],
) -> None:
    bench = make_workbench(models=["popularity", "search"])
    for number in range(60):
        bench.take(bench.click(f"u{number}", "sneaker", query=f"shoe{number}"))
    bench.publisher.available = False
    async with bench.flushing():
        await bench.publisher.refused.wait()
        bench.publisher.available = True
        while bench.flusher._rounds or len(bench.flusher):
            bench.clock.now += 1.0
            await asyncio.sleep(0)
    assert all(listed(bench, query_key(f"shoe{number}")) == ["sneaker"] for number in range(60))


@with_search
@pytest.mark.parametrize("query", ["", "   ", "long " * MAX_QUERY])
async def test_no_words_and_words_without_end_have_no_list_of_their_own(
    make_workbench: Callable[..., Workbench], query: str
) -> None:
    bench = make_workbench(models=["popularity", "search"])
    bench.take(bench.search("ann", query, "a"), bench.click("ann", "a", query=query))
    async with bench.flushing():
        await bench.flusher.drained()
    assert listed(bench, search_key("ann")) == ["a"]
    assert not [key for key in bench.publisher.documents if key.startswith("recs:query:")]


async def test_exposure_is_reported_with_the_lists(workbench: Workbench) -> None:
    for user in ("ann", "bob"):
        for item in ("shoe", "sock", "hat"):
            workbench.take(workbench.click(user, item))
    async with workbench.flushing():
        await workbench.flusher.drained()
    assert workbench.count("exposure_gini_ratio") == pytest.approx(0.0)
    assert workbench.count("exposure_new_items_ratio") == 1.0
    assert 0.0 <= workbench.count("exposure_long_tail_ratio") <= 1.0


async def test_the_diversity_of_lists_is_reported_as_far_as_the_catalogue_tells(workbench: Workbench) -> None:
    for user in ("ann", "bob"):
        for item in ("shoe", "sock", "hat"):
            workbench.take(workbench.click(user, item))
    async with workbench.flushing():
        await workbench.flusher.drained()
    assert math.isnan(workbench.count("list_unlikeness_ratio"))
    for item, category in (("shoe", "feet"), ("sock", "feet"), ("hat", "head")):
        number = workbench.models.index.index(item, 0.0)
        workbench.models.index.describe(number, 0.0, categories=(category,))
    workbench.clock.now += 10.0
    workbench.take(workbench.click("ann", "hat"))
    async with workbench.flushing():
        await workbench.flusher.drained()
    assert workbench.count("list_unlikeness_ratio") == pytest.approx(2 / 3)
    assert workbench.count("list_categories") == 2.0


async def test_the_rules_of_the_settings_hold_on_published_lists(
    make_workbench: Callable[..., Workbench],
) -> None:
    bench = make_workbench(max_per_brand=1)
    for item in ("shoe", "boot", "hat"):
        number = bench.models.index.index(item, 0.0)
        bench.models.index.describe(number, 0.0, brand="knit" if item == "hat" else "acme")
    for user in ("ann", "bob"):
        for item in ("shoe", "boot", "hat"):
            bench.take(bench.click(user, item))
    async with bench.flushing():
        await bench.flusher.drained()
    found = bench.published(user_key("ann"))
    assert found is not None
    assert len(found.items) == 2
    assert "hat" in {item.id for item in found.items}


async def test_a_search_list_goes_by_the_prices_that_the_search_says(
    make_workbench: Callable[..., Workbench], monkeypatch: pytest.MonkeyPatch
) -> None:
    def models(*names: Any, **bounds: Any) -> ModelSet:
        made = ModelSet(*names, **bounds)
        made.listeners.append(ResultsRanker())
        return made

    monkeypatch.setattr("tests.support.in_memory_worker.ModelSet", models)
    workbench = make_workbench()
    names = [f"i{number}" for number in range(6)]

    def search(user: str, prices: list[float]) -> Search:
        return structs.replace(workbench.search(user, "tents", *names), prices=prices)

    rng = Random(3)
    for number in range(ENOUGH + 100):
        prices = [rng.uniform(10.0, 100.0) for _ in names]
        cheapest = names[prices.index(min(prices))]
        workbench.take(search(f"u{number}", prices), workbench.click(f"u{number}", cheapest))
        workbench.clock.now += 1.0
    workbench.take(search("ann", [90.0, 80.0, 70.0, 20.0, 60.0, 50.0]))
    workbench.take(search("bob", [90.0, 80.0, 70.0, 60.0, 20.0, 50.0]))
    async with workbench.flushing():
        await workbench.flusher.drained()
    assert listed(workbench, search_key("ann"))[0] == "i3"
    assert listed(workbench, search_key("bob"))[0] == "i4"

"""Search results in the order for one user."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from stream_app.models.model_set import ModelSet
from stream_app.models.registry import MODELS
from stream_app.ranking.fusion.choice_fusion import MIN_CHOICES
from stream_app.ranking.ranker import RankedList, Ranker
from stream_app.ranking.request import RankRequest
from stream_app.ranking.search.results_ranker import ResultsRanker
from topics.events import CatalogItem
from topics.records import Interaction, Kind, Line, Reason, Source

NAMES = ("popularity", "item_to_item")
START = 1_700_000_000.0


class SearchShop:
    """Models with the clicks and searches of a shop."""

    def __init__(self, names: Sequence[str] = NAMES, *, results: bool = False) -> None:
        self.models = ModelSet(names, max_items=1000, max_users=1000)
        if results:
            self.models.learners.append(ResultsRanker())
        self.ranker = Ranker(self.models, per_source=50, length=5)
        self._now = START

    def learn_session(self, user: str, *items: str, query: str = "") -> None:
        """A session of its own, with or without a search first."""
        self._now += 10_000.0
        if query:
            self._learn(Source.SEARCH, user, Kind.SEARCH, (), query)
        for item in items:
            self._now += 10.0
            self._learn(Source.CLICK, user, Kind.VIEW, (Line(item),))

    def choose(self, user: str, item: str, displayed: Sequence[str], prices: Sequence[float]) -> None:
        """A purchase with its displayed items."""
        self._now += 10_000.0
        fields: dict[str, Any] = {"shown": tuple(displayed), "shown_prices": tuple(prices)}
        self._learn(Source.PURCHASE, user, Kind.PURCHASE, (Line(item),), **fields)

    def find(self, user: str, results: Sequence[str], prices: Sequence[float]) -> None:
        """A search with its results and their prices."""
        self._now += 10_000.0
        fields: dict[str, Any] = {"shown": tuple(results), "shown_prices": tuple(prices)}
        self._learn(Source.SEARCH, user, Kind.SEARCH, (), "q", **fields)

    def click(self, user: str, item: str) -> None:
        self._now += 10.0
        self._learn(Source.CLICK, user, Kind.VIEW, (Line(item),))

    def _learn(
        self, source: Source, user: str, kind: Kind, lines: tuple[Line, ...], query: str = "", **fields: Any
    ) -> None:
        offset = self.models.version
        self.models.learn(Interaction(source, 0, offset, self._now, user, kind, lines, query=query, **fields))

    def search(
        self,
        results: Sequence[str],
        *,
        recent_items: Sequence[str] = (),
        excluded: Sequence[str] = (),
        query: str = "q",
        prices: Sequence[float] = (),
    ) -> RankedList:
        request = RankRequest(
            "ann", recent_items, [self._now] * len(recent_items), 0, (), self._now, excluded
        )
        return self.ranker.rank_search(request, query, results, prices=prices)


def ids(ranked: RankedList) -> list[str]:
    return [item.id for item in ranked.items]


def test_untrained_search_keeps_the_shop_order() -> None:
    ranked = SearchShop().search(["c", "a", "b"])
    assert ids(ranked) == ["c", "a", "b"]
    assert {item.why for item in ranked.items} == {Reason("matches_search", query="q")}


def test_results_related_to_viewed_items_are_ranked_first() -> None:
    shop = SearchShop()
    for user in ("bob", "cem", "dan"):
        shop.learn_session(user, "tent", "peg")
    for user in ("eve", "fay", "gus", "hal"):
        shop.learn_session(user, "lamp")
    results = ["rope", "lamp", "peg"]
    assert ids(shop.search(results, recent_items=["tent"]))[0] == "peg"
    assert ids(shop.search(results))[0] == "lamp"


def test_reason_names_its_evidence() -> None:
    shop = SearchShop()
    for user in ("bob", "cem"):
        shop.learn_session(user, "tent", "peg")
    why = {item.id: item.why for item in shop.search(["peg", "rope"], recent_items=["tent"]).items}
    assert why == {
        "peg": Reason("also_viewed", item_id="tent"),
        "rope": Reason("matches_search", query="q"),
    }


def test_every_result_is_listed_once_beyond_list_length() -> None:
    shop = SearchShop()
    shop.learn_session("bob", *(f"i{number}" for number in range(8)))
    results = [f"i{number}" for number in range(30)]
    item_ids = ids(shop.search([*results, *results], excluded=["i3", "i20"]))
    assert sorted(item_ids) == sorted(results)


def test_unknown_results_follow_in_shop_order() -> None:
    shop = SearchShop()
    shop.learn_session("bob", "known")
    item_ids = shop.search(["z", "y", "known", "x"]).items
    assert [item.id for item in item_ids] == ["known", "z", "y", "x"]
    scores = [item.score for item in item_ids]
    assert scores == sorted(scores, reverse=True)


def test_unavailable_items_are_not_listed() -> None:
    shop = SearchShop()
    shop.learn_session("bob", "gone", "there")
    shop.models.learn_catalog(CatalogItem(item_id="gone", ts=0, available=False))
    assert ids(shop.search(["gone", "there"])) == ["there"]


def test_shop_order_breaks_ties_between_models() -> None:
    shop = SearchShop(["popularity"])
    # What a user views first is counted apart.
    for offset, items in enumerate(("z", "abcd")):
        lines = tuple(map(Line, items))
        shop.models.learn(Interaction(Source.CLICK, 0, offset, START, "bob", Kind.VIEW, lines))
    assert ids(shop.search(["d", "b", "a", "c"])) == ["d", "b", "a", "c"]


@pytest.mark.parametrize("names", [NAMES, tuple(MODELS)])
def test_the_same_state_gives_the_same_order_and_ordering_changes_nothing(names: Sequence[str]) -> None:
    shop = SearchShop(names)
    for number in range(20):
        shop.learn_session(f"u{number}", *(f"i{(number + step) % 11}" for step in range(4)), query="q")
    before = shop.models.digest()
    results = [f"i{number}" for number in range(12)]
    first = shop.search(results, recent_items=["i3", "i4"])
    assert set(results) <= set(ids(first))
    assert shop.search(results, recent_items=["i3", "i4"]) == first
    assert shop.models.digest() == before


def test_without_search_model_query_lists_are_empty_and_nothing_is_added() -> None:
    shop = SearchShop()
    shop.learn_session("bob", "tent", query="q")
    assert shop.ranker.rank_query("q").items == ()
    assert ids(shop.search([])) == []


def test_learned_search_order_is_used_after_min_choices() -> None:
    shop = SearchShop(results=True)
    results, prices = ["rope", "lamp", "peg", "tent"], (9.0, 30.0, 2.0, 99.0)
    for number in range(MIN_CHOICES - 1):
        shop.choose(f"u{number}", "peg", results, prices)
    assert shop.search(results).policy == "search_rrf"
    shop.choose("last", "peg", results, prices)
    ranked = shop.search(["tent", "rope", "peg", "lamp"])
    assert ranked.policy == "search_learned"
    assert ids(ranked)[0] == "peg"  # the cheapest, and the most chosen
    scores = [item.score for item in ranked.items]
    assert scores == sorted(scores, reverse=True)
    # the user's items count, unknown items are listed, unavailable ones are not
    shop.learn_session("ann", "tent")
    shop.models.learn_catalog(CatalogItem(item_id="lamp", ts=0, available=False))
    item_ids = ids(shop.search(["never met", "rope", "lamp", "tent"]))
    assert sorted(item_ids) == ["never met", "rope", "tent"]
    before = shop.models.state()
    assert ids(shop.search(["never met", "rope", "lamp", "tent"])) == item_ids
    np.testing.assert_equal(shop.models.state(), before)


def test_learned_order_uses_catalog_prices() -> None:
    shop = SearchShop(results=True)
    rng = np.random.default_rng(1)
    for number in range(MIN_CHOICES + 100):
        names, prices = [f"i{number}-{at}" for at in range(6)], rng.uniform(10, 100, 6)
        shop.choose(f"u{number}", names[int(prices.argmin())], names, tuple(prices))
    for name, price in zip("abc", (50.0, 20.0, 80.0), strict=True):
        shop.models.learn_catalog(CatalogItem(item_id=name, ts=0, price=price))
    assert ids(shop.search(["a", "b", "c"]))[0] == "b"
    assert ids(shop.search(["c", "a", "b"]))[0] == "b"


def test_order_learned_from_clicks_uses_displayed_prices() -> None:
    shop = SearchShop(results=True)
    rng = np.random.default_rng(1)
    for number in range(MIN_CHOICES + 100):
        names, prices = [f"i{number}-{at}" for at in range(6)], rng.uniform(10, 100, 6)
        shop.find(f"u{number}", names, tuple(prices))
        shop.click(f"u{number}", names[int(prices.argmin())])
    for name, price in zip("abc", (50.0, 20.0, 80.0), strict=True):
        shop.models.learn_catalog(CatalogItem(item_id=name, ts=0, price=price))
    item_ids = shop.search(["a", "b", "c"])
    assert (item_ids.policy, ids(item_ids)[0]) == ("search_learned", "b")
    # displayed prices count; those of the catalog if there are none or not one for each result
    assert ids(shop.search(["a", "b", "c"], prices=(50.0, 60.0, 30.0)))[0] == "c"
    assert ids(shop.search(["a", "b", "c"], prices=(50.0, 0.0, 30.0)))[0] == "b"
    assert ids(shop.search(["a", "b", "c"], prices=(50.0, 60.0)))[0] == "b"


with_search = pytest.mark.skipif("search" not in MODELS, reason="the search model is not there")


def trained_shop() -> SearchShop:
    shop = SearchShop((*NAMES, "search"))
    for user in ("bob", "cem", "dan"):
        shop.learn_session(user, "tent", query="camping")
    shop.learn_session("eve", "peg", query="camping")
    shop.learn_session("fay", "lamp", query="light")
    return shop


@with_search
def test_query_list_holds_items_chosen_after_the_query() -> None:
    shop = trained_shop()
    ranked = shop.ranker.rank_query("camping")
    assert ids(ranked)[:2] == ["tent", "peg"]
    assert {item.why.source for item in ranked.items[:2]} == {"chosen_after_search"}
    assert shop.ranker.rank_query("no such thing").items == ()
    shop.models.learn_catalog(CatalogItem(item_id="tent", ts=0, available=False))
    assert "tent" not in ids(shop.ranker.rank_query("camping"))


@with_search
def test_added_items_keep_rank_and_reason_in_learned_order() -> None:
    shop = trained_shop()
    plain = shop.ranker
    shop.models.learners.append(ResultsRanker())
    shop.ranker = Ranker(shop.models, per_source=50, length=5)
    results = ["mat", "rope", "lamp", "stove"]
    for number in range(MIN_CHOICES):
        shop.choose(f"u{number}", "mat" if number % 2 else "lamp", results, ())
    learned = shop.search(results, query="camping", recent_items=("lamp",))
    shop.ranker = plain
    fused = shop.search(results, query="camping", recent_items=("lamp",))
    assert (fused.policy, learned.policy) == ("search_rrf", "search_learned")
    assert ids(learned) != ids(fused)
    assert {item.id: item.why for item in learned.items} == {item.id: item.why for item in fused.items}
    assert [item.score for item in learned.items] == [item.score for item in fused.items]
    added = [
        [item.id if item.id in {"tent", "peg"} else None for item in each.items] for each in (fused, learned)
    ]
    assert added[0] == added[1] != [None] * 6


@with_search
def test_items_chosen_after_the_query_are_added_unless_hidden() -> None:
    shop = trained_shop()
    item_ids = ids(shop.search(["rope", "lamp"], query="camping"))
    assert {"rope", "lamp", "tent", "peg"} <= set(item_ids)
    assert "tent" not in ids(shop.search(["rope", "lamp"], query="camping", excluded=["tent"]))
    assert ids(shop.search([], query="camping"))[0] == "tent"

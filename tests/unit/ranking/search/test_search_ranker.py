"""Search results in the order for one shopper."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from stream_app.models.model_set import ModelSet
from stream_app.models.registry import MODELS
from stream_app.ranking.fusion.choice_fusion import ENOUGH
from stream_app.ranking.ranker import Ranked, Ranker
from stream_app.ranking.request import RankRequest
from stream_app.ranking.search.results_ranker import ResultsRanker
from topics.events import CatalogItem
from topics.records import Interaction, Kind, Line, Reason, Source

NAMES = ("popularity", "item_to_item")
START = 1_700_000_000.0


class Shop:
    """Models that learn a shop's clicks and searches as they are told."""

    def __init__(self, names: Sequence[str] = NAMES, *, results: bool = False) -> None:
        self.models = ModelSet(names, max_items=1000, max_users=1000)
        if results:
            self.models.listeners.append(ResultsRanker())
        self.ranker = Ranker(self.models, per_source=50, length=5)
        self._now = START

    def visit(self, user: str, *items: str, query: str = "") -> None:
        """A visit of its own, which may begin with a search."""
        self._now += 10_000.0
        if query:
            self._learn(Source.SEARCH, user, Kind.SEARCH, (), query)
        for item in items:
            self._now += 10.0
            self._learn(Source.CLICK, user, Kind.VIEW, (Line(item),))

    def choose(self, user: str, item: str, shown: Sequence[str], prices: Sequence[float]) -> None:
        """A purchase that says what it was chosen from."""
        self._now += 10_000.0
        more: dict[str, Any] = {"shown": tuple(shown), "shown_prices": tuple(prices)}
        self._learn(Source.PURCHASE, user, Kind.PURCHASE, (Line(item),), **more)

    def find(self, user: str, results: Sequence[str], prices: Sequence[float]) -> None:
        """A search that says what it found, at what prices."""
        self._now += 10_000.0
        more: dict[str, Any] = {"shown": tuple(results), "shown_prices": tuple(prices)}
        self._learn(Source.SEARCH, user, Kind.SEARCH, (), "q", **more)

    def click(self, user: str, item: str) -> None:
        self._now += 10.0
        self._learn(Source.CLICK, user, Kind.VIEW, (Line(item),))

    def _learn(
        self, source: Source, user: str, kind: Kind, lines: tuple[Line, ...], query: str = "", **more: Any
    ) -> None:
        place = self.models.version
        self.models.learn(Interaction(source, 0, place, self._now, user, kind, lines, query=query, **more))

    def search(
        self,
        results: Sequence[str],
        *,
        seen: Sequence[str] = (),
        excluded: Sequence[str] = (),
        query: str = "q",
        prices: Sequence[float] = (),
    ) -> Ranked:
        request = RankRequest("ann", seen, [self._now] * len(seen), 0, (), self._now, excluded)
        return self.ranker.rank_search(request, query, results, prices=prices)


def ids(ranked: Ranked) -> list[str]:
    return [item.id for item in ranked.items]


def test_without_anything_learned_the_order_is_the_shops_own() -> None:
    ranked = Shop().search(["c", "a", "b"])
    assert ids(ranked) == ["c", "a", "b"]
    assert {item.why for item in ranked.items} == {Reason("matches_search", query="q")}


def test_what_goes_with_what_the_shopper_looked_at_comes_first() -> None:
    shop = Shop()
    for user in ("bob", "cem", "dan"):
        shop.visit(user, "tent", "peg")
    for user in ("eve", "fay", "gus", "hal"):
        shop.visit(user, "lamp")
    results = ["rope", "lamp", "peg"]
    assert ids(shop.search(results, seen=["tent"]))[0] == "peg"
    assert ids(shop.search(results))[0] == "lamp"


def test_the_reason_names_the_evidence_where_there_is_one() -> None:
    shop = Shop()
    for user in ("bob", "cem"):
        shop.visit(user, "tent", "peg")
    why = {item.id: item.why for item in shop.search(["peg", "rope"], seen=["tent"]).items}
    assert why == {
        "peg": Reason("also_viewed", item_id="tent"),
        "rope": Reason("matches_search", query="q"),
    }


def test_every_result_is_listed_once_though_the_list_is_shorter() -> None:
    shop = Shop()
    shop.visit("bob", *(f"i{number}" for number in range(8)))
    results = [f"i{number}" for number in range(30)]
    listed = ids(shop.search([*results, *results], excluded=["i3", "i20"]))
    assert sorted(listed) == sorted(results)


def test_results_that_nobody_met_keep_their_order_behind_the_others() -> None:
    shop = Shop()
    shop.visit("bob", "known")
    listed = shop.search(["z", "y", "known", "x"]).items
    assert [item.id for item in listed] == ["known", "z", "y", "x"]
    scores = [item.score for item in listed]
    assert scores == sorted(scores, reverse=True)


def test_what_the_catalogue_says_is_gone_is_not_listed() -> None:
    shop = Shop()
    shop.visit("bob", "gone", "there")
    shop.models.learn_catalog(CatalogItem(item_id="gone", ts=0, available=False))
    assert ids(shop.search(["gone", "there"])) == ["there"]


def test_the_shops_order_counts_where_the_models_have_no_other() -> None:
    shop = Shop(["popularity"])
    shop.models.learn(
        Interaction(Source.CLICK, 0, 0, START, "bob", Kind.VIEW, tuple(Line(name) for name in "abcd"))
    )
    assert ids(shop.search(["d", "b", "a", "c"])) == ["d", "b", "a", "c"]


@pytest.mark.parametrize("names", [NAMES, tuple(MODELS)])
def test_the_same_state_gives_the_same_order_and_ordering_changes_nothing(names: Sequence[str]) -> None:
    shop = Shop(names)
    for number in range(20):
        shop.visit(f"u{number}", *(f"i{(number + step) % 11}" for step in range(4)), query="q")
    before = shop.models.digest()
    results = [f"i{number}" for number in range(12)]
    first = shop.search(results, seen=["i3", "i4"])
    assert set(results) <= set(ids(first))
    assert shop.search(results, seen=["i3", "i4"]) == first
    assert shop.models.digest() == before


def test_without_the_search_model_nothing_is_known_of_a_query_and_nothing_is_added() -> None:
    shop = Shop()
    shop.visit("bob", "tent", query="q")
    assert shop.ranker.rank_query("q").items == ()
    assert ids(shop.search([])) == []


def test_after_enough_choices_results_stand_in_the_order_learned_from_them() -> None:
    shop = Shop(results=True)
    results, prices = ["rope", "lamp", "peg", "tent"], (9.0, 30.0, 2.0, 99.0)
    for number in range(ENOUGH - 1):
        shop.choose(f"u{number}", "peg", results, prices)
    assert shop.search(results).policy == "search_rrf"
    shop.choose("last", "peg", results, prices)
    ranked = shop.search(["tent", "rope", "peg", "lamp"])
    assert ranked.policy == "search_learned"
    assert ids(ranked)[0] == "peg"  # the cheapest, and the most chosen
    scores = [item.score for item in ranked.items]
    assert scores == sorted(scores, reverse=True)
    # what the shopper looked at is known to it, items that nobody met are taken, and those gone are not
    shop.visit("ann", "tent")
    shop.models.learn_catalog(CatalogItem(item_id="lamp", ts=0, available=False))
    listed = ids(shop.search(["never met", "rope", "lamp", "tent"]))
    assert sorted(listed) == ["never met", "rope", "tent"]
    before = shop.models.state()
    assert ids(shop.search(["never met", "rope", "lamp", "tent"])) == listed
    np.testing.assert_equal(shop.models.state(), before)


def test_the_learned_order_goes_by_the_catalogues_prices() -> None:
    shop = Shop(results=True)
    rng = np.random.default_rng(1)
    for number in range(ENOUGH + 100):
        names, prices = [f"i{number}-{at}" for at in range(6)], rng.uniform(10, 100, 6)
        shop.choose(f"u{number}", names[int(prices.argmin())], names, tuple(prices))
    for name, price in zip("abc", (50.0, 20.0, 80.0), strict=True):
        shop.models.learn_catalog(CatalogItem(item_id=name, ts=0, price=price))
    assert ids(shop.search(["a", "b", "c"]))[0] == "b"
    assert ids(shop.search(["c", "a", "b"]))[0] == "b"


def test_the_order_of_results_is_learned_from_clicks_on_them_and_goes_by_the_prices_shown() -> None:
    shop = Shop(results=True)
    rng = np.random.default_rng(1)
    for number in range(ENOUGH + 100):
        names, prices = [f"i{number}-{at}" for at in range(6)], rng.uniform(10, 100, 6)
        shop.find(f"u{number}", names, tuple(prices))
        shop.click(f"u{number}", names[int(prices.argmin())])
    for name, price in zip("abc", (50.0, 20.0, 80.0), strict=True):
        shop.models.learn_catalog(CatalogItem(item_id=name, ts=0, price=price))
    listed = shop.search(["a", "b", "c"])
    assert (listed.policy, ids(listed)[0]) == ("search_learned", "b")
    # what the shop showed holds; the catalogue's where it showed none, or it is unclear which is whose
    assert ids(shop.search(["a", "b", "c"], prices=(50.0, 60.0, 30.0)))[0] == "c"
    assert ids(shop.search(["a", "b", "c"], prices=(50.0, 0.0, 30.0)))[0] == "b"
    assert ids(shop.search(["a", "b", "c"], prices=(50.0, 60.0)))[0] == "b"


with_search = pytest.mark.skipif("search" not in MODELS, reason="the search model is not there")


def taught() -> Shop:
    shop = Shop((*NAMES, "search"))
    for user in ("bob", "cem", "dan"):
        shop.visit(user, "tent", query="camping")
    shop.visit("eve", "peg", query="camping")
    shop.visit("fay", "lamp", query="light")
    return shop


@with_search
def test_what_people_chose_after_a_query_is_its_list() -> None:
    shop = taught()
    ranked = shop.ranker.rank_query("camping")
    assert ids(ranked)[:2] == ["tent", "peg"]
    assert {item.why.source for item in ranked.items[:2]} == {"chosen_after_search"}
    assert shop.ranker.rank_query("no such thing").items == ()
    shop.models.learn_catalog(CatalogItem(item_id="tent", ts=0, available=False))
    assert "tent" not in ids(shop.ranker.rank_query("camping"))


@with_search
def test_what_is_brought_keeps_its_place_and_every_item_its_reason_in_the_learned_order() -> None:
    shop = taught()
    plain = shop.ranker
    shop.models.listeners.append(ResultsRanker())
    shop.ranker = Ranker(shop.models, per_source=50, length=5)
    results = ["mat", "rope", "lamp", "stove"]
    for number in range(ENOUGH):
        shop.choose(f"u{number}", "mat" if number % 2 else "lamp", results, ())
    learned = shop.search(results, query="camping")
    shop.ranker = plain
    fused = shop.search(results, query="camping")
    assert (fused.policy, learned.policy) == ("search_rrf", "search_learned")
    assert ids(learned) != ids(fused)
    assert {item.id: item.why for item in learned.items} == {item.id: item.why for item in fused.items}
    assert [item.score for item in learned.items] == [item.score for item in fused.items]
    brought = [
        [item.id if item.id in {"tent", "peg"} else None for item in each.items] for each in (fused, learned)
    ]
    assert brought[0] == brought[1] != [None] * 6


@with_search
def test_what_people_chose_after_the_words_is_brought_but_not_what_the_shopper_hid() -> None:
    shop = taught()
    listed = ids(shop.search(["rope", "lamp"], query="camping"))
    assert {"rope", "lamp", "tent", "peg"} <= set(listed)
    assert "tent" not in ids(shop.search(["rope", "lamp"], query="camping", excluded=["tent"]))
    assert ids(shop.search([], query="camping"))[0] == "tent"

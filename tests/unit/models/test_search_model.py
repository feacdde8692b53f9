"""What is chosen after a search, on examples that can be checked by hand."""

import math

import pytest

from stream_app.models.base import EMPTY_ITEMS, EMPTY_TIMES, Context, Observation
from stream_app.models.item_index import ItemIndex
from stream_app.models.search import Search
from topics.records import Kind, Reason


class Shop:
    def __init__(self, **parameters: float) -> None:
        self.index = ItemIndex(100)
        self.model = Search(self.index, **{"half_life": 1e12, **parameters})  # type: ignore[arg-type]

    def choose(self, query: str, *names: str, weight: float = 1.0, ts: float = 0.0) -> None:
        for name in names:
            item = self.index.index(name, ts)
            self.model.learn_one(
                Observation("u", item, ts, Kind.VIEW, weight, (), 1, False, EMPTY_ITEMS, EMPTY_TIMES, query)
            )

    def context(self, query: str, now: float = 0.0) -> Context:
        return Context("me", EMPTY_ITEMS, EMPTY_TIMES, 0, (), now, query=query)

    def found(self, query: str, now: float = 0.0) -> dict[str, float]:
        found = self.model.candidates(self.context(query, now), 50)
        ids = [self.index.id_of(item) for item in found.items]
        return dict(zip(ids, found.scores.tolist(), strict=True))

    def why(self, query: str) -> dict[str, str | None]:
        context = self.context(query)
        found = self.model.candidates(context, 50)
        reasons = {}
        for item, evidence in zip(found.items.tolist(), found.evidence.tolist(), strict=True):
            reason = self.model.explain(context, item, evidence)
            assert reason.source == "chosen_after_search"
            reasons[self.index.id_of(item)] = reason.query
        return reasons


def test_a_known_query_shares_its_choices_out() -> None:
    shop = Shop(prior=1e-9)
    shop.choose("tent", "a", "a", "a", "b")
    assert shop.found("tent") == pytest.approx({"a": 0.75, "b": 0.25})
    assert shop.found(" TENT! ") == shop.found("tent")


def test_a_purchase_weighs_more_than_clicks() -> None:
    shop = Shop()
    shop.choose("tent", "a", "a", "a")
    shop.choose("tent", "b", weight=5.0)
    assert list(shop.found("tent")) == ["b", "a"]


def test_an_unseen_query_is_met_through_its_words_the_rarer_the_more() -> None:
    shop = Shop()
    shop.choose("red tent", "a")
    shop.choose("red shoe", "b")
    shop.choose("red sock", "c")
    # of 3 known queries, all hold red and one holds tent
    red, tent = 1.0 + math.log(4 / 4), 1.0 + math.log(4 / 2)
    found = shop.found("tent red")
    assert found == pytest.approx(
        {
            "a": (tent + red / 3) / (red + tent),
            "b": red / 3 / (red + tent),
            "c": red / 3 / (red + tent),
        }
    )
    assert shop.why("tent red") == {"a": "tent", "b": "red", "c": "red"}


def test_a_word_nobody_has_searched_for_takes_its_share_of_doubt() -> None:
    shop = Shop()
    shop.choose("tent", "a")
    known, new = 1.0 + math.log(2 / 2), 1.0 + math.log(2 / 1)
    assert shop.found("purple tent") == pytest.approx({"a": known / (known + new)})


def test_the_more_a_query_was_followed_the_more_its_own_choices_count() -> None:
    shop = Shop(prior=2.0)
    shop.choose("red tent", "a")
    shop.choose("blue tent", "b", "b", "b", "b")
    before = shop.found("red tent")
    assert before["a"] == pytest.approx(1 / 3 + 2 / 3 * before_words())
    shop.choose("red tent", *["a"] * 20)
    after = shop.found("red tent")
    assert after["a"] > before["a"]
    assert after["b"] < before["b"]
    assert shop.why("red tent") == {"a": "red tent", "b": "tent"}


def before_words() -> float:
    """Share of a among the words' choices: red led to a alone, tent to a once in five times."""
    red, tent = 1.0 + math.log(3 / 2), 1.0 + math.log(3 / 3)
    return (red + tent / 5) / (red + tent)


def test_old_choices_fade_and_old_queries_trust_their_words_more() -> None:
    shop = Shop(half_life=100.0, prior=1.0)
    shop.choose("tent", "old", ts=0.0)
    shop.choose("tent", "new", ts=300.0)
    found = shop.found("tent", now=300.0)
    assert found["new"] == pytest.approx(8 * found["old"])
    shop.choose("red tent", *["c"] * 100, ts=300.0)
    assert shop.found("tent", now=300.0)["new"] > shop.found("tent", now=900.0)["new"]


def test_an_empty_search_finds_nothing_and_teaches_nothing() -> None:
    shop = Shop()
    shop.choose("", "a")
    shop.choose(" -!- ", "a")
    assert shop.found("a") == shop.found("") == {}
    shop.choose("tent", "a")
    assert shop.found("") == shop.found("?!") == {}


def test_dislikes_are_no_choice() -> None:
    shop = Shop()
    shop.choose("tent", "a", weight=-1.0)
    assert shop.found("tent") == {}


def test_the_queries_and_words_longest_out_of_use_are_given_up() -> None:
    shop = Shop(queries=3, query_words=3)
    for ts, query in enumerate(["one", "two", "three"]):
        shop.choose(query, query, ts=float(ts))
    shop.model.learn_query("someone", "One", 10.0)
    shop.model.learn_query("someone", "never followed", 10.0)
    shop.choose("four", "four", ts=11.0)
    assert shop.found("two") == {}
    assert set(shop.found("one")) == {"one"}
    assert set(shop.found("three")) == {"three"}
    assert set(shop.found("four")) == {"four"}
    assert len(shop.model._queries) == len(shop.model._vocabulary) == 3


def test_a_given_up_query_leaves_its_words_rarer() -> None:
    shop = Shop(queries=2)
    shop.choose("red tent", "a", ts=0.0)
    shop.choose("red shoe", "b", ts=1.0)
    row = shop.model._vocabulary.find("red")
    assert shop.model._frequencies[row] == 2
    shop.choose("sock", "c", ts=2.0)
    assert shop.model._frequencies[row] == 1


def test_a_late_event_at_a_full_vocabulary_does_no_harm() -> None:
    shop = Shop(query_words=2)
    shop.choose("red tent", "a", ts=100.0)
    shop.choose("big old purple sock", "b", ts=0.0)
    assert len(shop.model._vocabulary) == 2
    shop.choose("new shoe", "c", ts=200.0)
    assert set(shop.found("shoe", now=200.0)) == {"c"}


def test_a_query_remembers_its_strongest_items() -> None:
    shop = Shop(query_items=2, word_items=2)
    shop.choose("tent", "a", "a", "b", "c", "c", "c")
    assert set(shop.found("tent")) == {"a", "c"}


def test_only_the_first_words_of_a_search_count() -> None:
    shop = Shop()
    shop.choose("a b c d e f g h and more", "x")
    assert set(shop.found("h")) == {"x"}
    assert shop.found("more") == {}


def test_a_reason_can_be_given_for_any_evidence() -> None:
    shop = Shop()
    context = shop.context("red tent")
    assert shop.model.explain(context, 0, 7) == Reason("chosen_after_search", query="red tent")
    assert shop.model.explain(context, 0, -3) == Reason("chosen_after_search", query="tent")
    assert shop.model.explain(context, 0, -9) == Reason("chosen_after_search", query="red tent")

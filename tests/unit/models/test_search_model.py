"""Items chosen after a search, on examples computed by hand."""

import math

import pytest

from stream_app.models.base import EMPTY_ITEMS, EMPTY_TIMES, Context, Observation
from stream_app.models.item_index import ItemIndex
from stream_app.models.search import SearchModel
from topics.records import Kind, Reason


class SearchHarness:
    def __init__(self, **parameters: float) -> None:
        self.index = ItemIndex(100)
        self.model = SearchModel(self.index, **{"half_life": 1e12, **parameters})  # type: ignore[arg-type]

    def choose(self, query: str, *names: str, weight: float = 1.0, ts: float = 0.0) -> None:
        for name in names:
            item = self.index.index(name, ts)
            self.model.learn(
                Observation("u", item, ts, Kind.VIEW, weight, (), 1, False, EMPTY_ITEMS, EMPTY_TIMES, query)
            )

    def context(self, query: str, now: float = 0.0) -> Context:
        return Context("me", EMPTY_ITEMS, EMPTY_TIMES, 0, (), now, query=query)

    def candidates(self, query: str, now: float = 0.0) -> dict[str, float]:
        candidates = self.model.candidates(self.context(query, now), 50)
        ids = [self.index.id_of(item) for item in candidates.items]
        return dict(zip(ids, candidates.scores.tolist(), strict=True))

    def reason_queries(self, query: str) -> dict[str, str | None]:
        context = self.context(query)
        candidates = self.model.candidates(context, 50)
        reasons = {}
        for item, evidence in zip(candidates.items.tolist(), candidates.evidence.tolist(), strict=True):
            reason = self.model.explain(context, item, evidence)
            assert reason.source == "chosen_after_search"
            reasons[self.index.id_of(item)] = reason.query
        return reasons


def test_a_known_query_scores_its_items_by_share() -> None:
    harness = SearchHarness(prior=1e-9)
    harness.choose("tent", "a", "a", "a", "b")
    assert harness.candidates("tent") == pytest.approx({"a": 0.75, "b": 0.25})
    assert harness.candidates(" TENT! ") == harness.candidates("tent")


def test_a_purchase_weighs_more_than_several_clicks() -> None:
    harness = SearchHarness()
    harness.choose("tent", "a", "a", "a")
    harness.choose("tent", "b", weight=5.0)
    assert list(harness.candidates("tent")) == ["b", "a"]


def test_an_unseen_query_uses_its_words_weighted_by_idf() -> None:
    harness = SearchHarness()
    harness.choose("red tent", "a")
    harness.choose("red shoe", "b")
    harness.choose("red sock", "c")
    # of 3 known queries, all hold red and one holds tent
    red, tent = 1.0 + math.log(4 / 4), 1.0 + math.log(4 / 2)
    candidates = harness.candidates("tent red")
    assert candidates == pytest.approx(
        {
            "a": (tent + red / 3) / (red + tent),
            "b": red / 3 / (red + tent),
            "c": red / 3 / (red + tent),
        }
    )
    assert harness.reason_queries("tent red") == {"a": "tent", "b": "red", "c": "red"}


def test_an_unknown_word_keeps_its_share_of_the_weight() -> None:
    harness = SearchHarness()
    harness.choose("tent", "a")
    known, new = 1.0 + math.log(2 / 2), 1.0 + math.log(2 / 1)
    assert harness.candidates("purple tent") == pytest.approx({"a": known / (known + new)})


def test_more_choices_shift_the_weight_from_words_to_the_query() -> None:
    harness = SearchHarness(prior=2.0)
    harness.choose("red tent", "a")
    harness.choose("blue tent", "b", "b", "b", "b")
    before = harness.candidates("red tent")
    assert before["a"] == pytest.approx(1 / 3 + 2 / 3 * expected_word_share())
    harness.choose("red tent", *["a"] * 20)
    after = harness.candidates("red tent")
    assert after["a"] > before["a"]
    assert after["b"] < before["b"]
    assert harness.reason_queries("red tent") == {"a": "red tent", "b": "tent"}


def expected_word_share() -> float:
    """Share of a among the words' choices: red led to a alone, tent to a once in five times."""
    red, tent = 1.0 + math.log(3 / 2), 1.0 + math.log(3 / 3)
    return (red + tent / 5) / (red + tent)


def test_old_choices_decay_and_shift_the_weight_to_the_words() -> None:
    harness = SearchHarness(half_life=100.0, prior=1.0)
    harness.choose("tent", "old", ts=0.0)
    harness.choose("tent", "new", ts=300.0)
    candidates = harness.candidates("tent", now=300.0)
    assert candidates["new"] == pytest.approx(8 * candidates["old"])
    harness.choose("red tent", *["c"] * 100, ts=300.0)
    assert harness.candidates("tent", now=300.0)["new"] > harness.candidates("tent", now=900.0)["new"]


def test_an_empty_query_is_neither_answered_nor_learned() -> None:
    harness = SearchHarness()
    harness.choose("", "a")
    harness.choose(" -!- ", "a")
    assert harness.candidates("a") == harness.candidates("") == {}
    harness.choose("tent", "a")
    assert harness.candidates("") == harness.candidates("?!") == {}


def test_dislikes_are_not_learned() -> None:
    harness = SearchHarness()
    harness.choose("tent", "a", weight=-1.0)
    assert harness.candidates("tent") == {}


def test_the_least_recently_used_queries_and_words_are_evicted() -> None:
    harness = SearchHarness(queries=3, query_words=3)
    for ts, query in enumerate(["one", "two", "three"]):
        harness.choose(query, query, ts=float(ts))
    harness.model.learn_query("someone", "One", 10.0)
    harness.model.learn_query("someone", "never followed", 10.0)
    harness.choose("four", "four", ts=11.0)
    assert harness.candidates("two") == {}
    assert set(harness.candidates("one")) == {"one"}
    assert set(harness.candidates("three")) == {"three"}
    assert set(harness.candidates("four")) == {"four"}
    assert len(harness.model._queries) == len(harness.model._vocabulary) == 3


def test_evicting_a_query_lowers_its_words_document_frequency() -> None:
    harness = SearchHarness(queries=2)
    harness.choose("red tent", "a", ts=0.0)
    harness.choose("red shoe", "b", ts=1.0)
    row = harness.model._vocabulary.find("red")
    assert harness.model._frequencies[row] == 2
    harness.choose("sock", "c", ts=2.0)
    assert harness.model._frequencies[row] == 1


def test_a_late_event_does_not_corrupt_a_full_vocabulary() -> None:
    harness = SearchHarness(query_words=2)
    harness.choose("red tent", "a", ts=100.0)
    harness.choose("big old purple sock", "b", ts=0.0)
    assert len(harness.model._vocabulary) == 2
    harness.choose("new shoe", "c", ts=200.0)
    assert set(harness.candidates("shoe", now=200.0)) == {"c"}


def test_a_query_keeps_its_strongest_items() -> None:
    harness = SearchHarness(query_items=2, word_items=2)
    harness.choose("tent", "a", "a", "b", "c", "c", "c")
    assert set(harness.candidates("tent")) == {"a", "c"}


def test_only_the_first_words_of_a_search_count() -> None:
    harness = SearchHarness()
    harness.choose("a b c d e f g h and more", "x")
    assert set(harness.candidates("h")) == {"x"}
    assert harness.candidates("more") == {}


def test_explain_handles_any_evidence() -> None:
    harness = SearchHarness()
    context = harness.context("red tent")
    assert harness.model.explain(context, 0, 7) == Reason("chosen_after_search", query="red tent")
    assert harness.model.explain(context, 0, -3) == Reason("chosen_after_search", query="tent")
    assert harness.model.explain(context, 0, -9) == Reason("chosen_after_search", query="red tent")

"""Co-visits and co-purchases on examples computed by hand."""

import numpy as np
import pytest

from stream_app.models.base import Context, Observation
from stream_app.models.item_index import ItemIndex
from stream_app.models.item_to_item import ItemToItem
from stream_app.models.session_tracker import EventStream, SessionTracker
from stream_app.models.similarity import SIMILARITIES
from tests.support.set_similarity import pearson
from topics.records import Kind, Reason

GAP = 1800.0


class ItemToItemHarness:
    def __init__(self, **parameters: float | str) -> None:
        self.index = ItemIndex(100)
        self.tracker = SessionTracker(self.index, gap=GAP)
        given = {"half_life": 1e12, "penalty": 0.5, **parameters}
        self.model = ItemToItem(self.index, **given)  # type: ignore[arg-type]

    def observe_items(self, user: str, *names: str, kind: Kind = Kind.VIEW, ts: float = 0.0) -> None:
        for name in names:
            item = self.index.index(name, ts)
            stream = EventStream.PURCHASES if kind is Kind.PURCHASE else EventStream.VIEWS
            tracked = self.tracker.observe(user, item, ts, stream)
            self.model.learn(Observation(user, item, ts, kind, 1.0, (), *tracked))

    def candidates(self, *names: str) -> dict[str, float]:
        proposed = self.model.candidates(self.context(*names), 10)
        ids = [self.index.id_of(item) for item in proposed.items]
        return dict(zip(ids, proposed.scores.tolist(), strict=True))

    def context(self, *names: str) -> Context:
        items = np.array([self.index.find(name) for name in names], np.int32)
        return Context("", items, np.zeros(len(items)), 0, (), 0.0)


def test_items_seen_together_score_their_cosine() -> None:
    harness = ItemToItemHarness()
    harness.observe_items("u1", "a", "b")
    harness.observe_items("u2", "a", "b")
    harness.observe_items("u3", "a", "c")
    harness.observe_items("u4", "a")
    # a was seen 4 times, b twice and c once; with a: b twice, c once
    assert harness.candidates("a") == pytest.approx({"b": 2 / (4 * 2) ** 0.5, "c": 1 / (4 * 1) ** 0.5})
    assert harness.candidates("b") == pytest.approx({"a": 2 / (4 * 2) ** 0.5})


def test_without_a_penalty_the_score_is_the_conditional_probability() -> None:
    harness = ItemToItemHarness(penalty=0.0)
    harness.observe_items("u1", "a", "b")
    harness.observe_items("u2", "a")
    harness.observe_items("u3", "b")
    assert harness.candidates("a") == pytest.approx({"b": 0.5})


def six_baskets(similarity: str) -> ItemToItemHarness:
    """Six baskets: a is in 4 of them, b in 3, c in 1 and d in 2; with a: b twice, c once, d never."""
    harness = ItemToItemHarness(similarity=similarity)
    for user, names in enumerate(["ab", "ab", "ac", "a", "bd", "d"]):
        harness.observe_items(f"u{user}", *names)
    return harness


def test_jaccard_is_intersection_over_union_of_baskets() -> None:
    assert six_baskets("jaccard").candidates("a") == pytest.approx(
        {"b": 2 / (4 + 3 - 2), "c": 1 / (4 + 1 - 1)}
    )


def test_lift_is_the_ratio_to_independence() -> None:
    assert six_baskets("lift").candidates("a") == pytest.approx({"b": 6 * 2 / (4 * 3), "c": 6 * 1 / (4 * 1)})


def test_pearson_is_the_correlation_over_baskets() -> None:
    a, b, c, d = [1, 1, 1, 1, 0, 0], [1, 1, 0, 0, 1, 0], [0, 0, 1, 0, 0, 0], [0, 0, 0, 0, 1, 1]
    harness = six_baskets("pearson")
    assert pearson(a, c) > 0.3
    assert harness.candidates("a") == pytest.approx({"c": pearson(a, c)})
    assert harness.candidates("c") == pytest.approx({"a": pearson(a, c)})
    # b occurs with a and d as often as by chance: no correlation, no proposal
    assert pearson(a, b) == pytest.approx(0.0, abs=1e-12) == pearson(d, b)
    assert harness.candidates("b") == harness.candidates("d") == {}


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_moving_the_landmark_changes_no_similarity(similarity: str) -> None:
    harness = six_baskets(similarity)
    before = harness.candidates("a")
    harness.model._views.rescale(2.0**-300, harness.model.penalty)
    assert harness.candidates("a") == pytest.approx(before)


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_views_and_purchases_are_kept_apart_under_every_similarity(similarity: str) -> None:
    harness = six_baskets(similarity)
    before = harness.candidates("a")
    harness.observe_items("u9", "x", "y", kind=Kind.PURCHASE)
    harness.observe_items("u10", "z", kind=Kind.PURCHASE)
    assert harness.candidates("a") == before
    assert set(harness.candidates("x")) == {"y"}


def test_an_unknown_similarity_is_rejected() -> None:
    with pytest.raises(ValueError, match="cosine, jaccard, pearson, lift, not 'cosinus'"):
        ItemToItem(ItemIndex(10), similarity="cosinus")


def test_pairs_further_apart_in_time_weigh_less() -> None:
    candidates, far = ItemToItemHarness(), ItemToItemHarness()
    candidates.observe_items("u", "a", ts=0.0)
    candidates.observe_items("u", "b", ts=10.0)
    far.observe_items("u", "a", ts=0.0)
    far.observe_items("u", "b", ts=1000.0)
    assert candidates.candidates("a")["b"] > 2 * far.candidates("a")["b"] > 0.0


def test_items_beyond_the_session_gap_are_not_linked() -> None:
    harness = ItemToItemHarness()
    harness.observe_items("u", "a", ts=0.0)
    harness.observe_items("u", "b", ts=GAP + 1.0)
    assert harness.candidates("a") == {}


def test_a_pair_does_not_depend_on_arrival_order() -> None:
    there, back = ItemToItemHarness(half_life=100.0), ItemToItemHarness(half_life=100.0)
    for harness, order in ((there, [("a", 0.0), ("b", 60.0)]), (back, [("b", 60.0), ("a", 0.0)])):
        for name, ts in order:
            harness.observe_items("u", name, ts=ts)
    assert there.candidates("a") == pytest.approx(back.candidates("a"))
    assert there.candidates("a")["b"] > 0


def test_repeats_add_nothing() -> None:
    harness, again = ItemToItemHarness(), ItemToItemHarness()
    harness.observe_items("u", "a", "b")
    again.observe_items("u", "a", "b", "a", "b", "b")
    assert harness.candidates("a") == again.candidates("a") == pytest.approx({"b": 1.0})


def test_purchases_are_linked_to_purchases_only() -> None:
    harness = ItemToItemHarness()
    harness.observe_items("u", "a")
    harness.observe_items("u", "b", "c", kind=Kind.PURCHASE)
    assert harness.candidates("a") == {}
    assert harness.candidates("b") == pytest.approx({"c": 1.0})


def test_the_stronger_link_is_the_reason() -> None:
    harness = ItemToItemHarness()
    harness.observe_items("u1", "a", "b")
    harness.observe_items("u2", "a", "c", kind=Kind.PURCHASE)
    b, c = (harness.index.find(name) for name in "bc")
    proposed = harness.model.candidates(harness.context("a"), 10)
    evidence = dict(zip(proposed.items.tolist(), proposed.evidence.tolist(), strict=True))
    assert harness.model.explain(harness.context("a"), b, evidence[b]) == Reason("also_viewed", item_id="a")
    assert harness.model.explain(harness.context("a"), c, evidence[c]) == Reason("also_bought", item_id="a")


def test_newer_context_items_weigh_more_and_the_strongest_is_the_evidence() -> None:
    harness = ItemToItemHarness(context_decay=0.5)
    harness.observe_items("u1", "a", "x")
    harness.observe_items("u2", "b", "y")
    harness.observe_items("u3", "c", "x")
    assert harness.candidates("a", "b") == pytest.approx({"y": 1.0, "x": 0.5 / 2**0.5})
    proposed = harness.model.candidates(harness.context("a", "b", "c"), 10)
    evidence = dict(zip(proposed.items.tolist(), proposed.evidence.tolist(), strict=True))
    find = harness.index.find
    assert evidence == {find("x"): find("c"), find("y"): find("b")}


def test_a_repeated_context_item_counts_once_at_its_newest_position() -> None:
    harness = ItemToItemHarness(context_decay=0.5)
    harness.observe_items("u1", "a", "x")
    assert harness.candidates("a", "a", "a") == pytest.approx({"x": 1.0})


def test_only_the_newest_items_of_the_context_are_used() -> None:
    harness = ItemToItemHarness(depth=2)
    harness.observe_items("u1", "a", "x")
    harness.observe_items("u2", "b")
    harness.observe_items("u3", "c")
    assert harness.candidates("a", "b") != {}
    assert harness.candidates("a", "b", "c") == {}

"""Co-visits and co-buys on examples that can be checked by hand."""

import numpy as np
import pytest

from stream_app.models.base import Context, Observation
from stream_app.models.item_index import ItemIndex
from stream_app.models.item_to_item import ItemToItem
from stream_app.models.session_tracker import SessionTracker, Stream
from stream_app.models.similarity import SIMILARITIES, pearson
from topics.records import Kind, Reason

GAP = 1800.0


class Shelf:
    def __init__(self, **parameters: float | str) -> None:
        self.index = ItemIndex(100)
        self.tracker = SessionTracker(self.index, gap=GAP)
        given = {"half_life": 1e12, "penalty": 0.5, **parameters}
        self.model = ItemToItem(self.index, **given)  # type: ignore[arg-type]

    def see(self, user: str, *names: str, kind: Kind = Kind.VIEW, ts: float = 0.0) -> None:
        for name in names:
            item = self.index.index(name, ts)
            stream = Stream.PURCHASES if kind is Kind.PURCHASE else Stream.VIEWS
            place = self.tracker.observe(user, item, ts, stream)
            self.model.learn_one(Observation(user, item, ts, kind, 1.0, (), *place))

    def near(self, *names: str) -> dict[str, float]:
        found = self.model.candidates(self.context(*names), 10)
        ids = [self.index.id_of(item) for item in found.items]
        return dict(zip(ids, found.scores.tolist(), strict=True))

    def context(self, *names: str) -> Context:
        items = np.array([self.index.find(name) for name in names], np.int32)
        return Context("", items, np.zeros(len(items)), 0, (), 0.0)


def test_items_seen_at_once_score_by_their_cosine() -> None:
    shelf = Shelf()
    shelf.see("u1", "a", "b")
    shelf.see("u2", "a", "b")
    shelf.see("u3", "a", "c")
    shelf.see("u4", "a")
    # a was seen 4 times, b twice and c once; with a: b twice, c once
    assert shelf.near("a") == pytest.approx({"b": 2 / (4 * 2) ** 0.5, "c": 1 / (4 * 1) ** 0.5})
    assert shelf.near("b") == pytest.approx({"a": 2 / (4 * 2) ** 0.5})


def test_without_a_penalty_the_score_is_the_share_of_the_context_items_count() -> None:
    shelf = Shelf(penalty=0.0)
    shelf.see("u1", "a", "b")
    shelf.see("u2", "a")
    shelf.see("u3", "b")
    assert shelf.near("a") == pytest.approx({"b": 0.5})


def watched(similarity: str) -> Shelf:
    """Six baskets: a is in 4 of them, b in 3, c in 1 and d in 2; with a: b twice, c once, d never."""
    shelf = Shelf(similarity=similarity)
    for user, names in enumerate(["ab", "ab", "ac", "a", "bd", "d"]):
        shelf.see(f"u{user}", *names)
    return shelf


def test_jaccard_is_the_share_of_the_baskets_of_either_that_hold_both() -> None:
    assert watched("jaccard").near("a") == pytest.approx({"b": 2 / (4 + 3 - 2), "c": 1 / (4 + 1 - 1)})


def test_lift_is_how_many_times_as_often_as_by_chance() -> None:
    assert watched("lift").near("a") == pytest.approx({"b": 6 * 2 / (4 * 3), "c": 6 * 1 / (4 * 1)})


def test_pearson_correlates_the_two_items_over_the_baskets() -> None:
    a, b, c, d = [1, 1, 1, 1, 0, 0], [1, 1, 0, 0, 1, 0], [0, 0, 1, 0, 0, 0], [0, 0, 0, 0, 1, 1]
    shelf = watched("pearson")
    assert pearson(a, c) > 0.3
    assert shelf.near("a") == pytest.approx({"c": pearson(a, c)})
    assert shelf.near("c") == pytest.approx({"a": pearson(a, c)})
    # b meets a and d just as often as chance has it: no correlation, no proposal
    assert pearson(a, b) == pytest.approx(0.0, abs=1e-12) == pearson(d, b)
    assert shelf.near("b") == shelf.near("d") == {}


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_a_move_of_the_landmark_changes_no_similarity(similarity: str) -> None:
    shelf = watched(similarity)
    before = shelf.near("a")
    shelf.model._views.rescale(2.0**-300, shelf.model.penalty)
    assert shelf.near("a") == pytest.approx(before)


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_views_and_purchases_are_kept_apart_under_every_similarity(similarity: str) -> None:
    shelf = watched(similarity)
    before = shelf.near("a")
    shelf.see("u9", "x", "y", kind=Kind.PURCHASE)
    shelf.see("u10", "z", kind=Kind.PURCHASE)
    assert shelf.near("a") == before
    assert set(shelf.near("x")) == {"y"}


def test_an_unknown_similarity_is_refused() -> None:
    with pytest.raises(ValueError, match="cosine, jaccard, pearson, lift, not 'cosinus'"):
        ItemToItem(ItemIndex(10), similarity="cosinus")


def test_the_further_apart_in_time_the_weaker() -> None:
    near, far = Shelf(), Shelf()
    near.see("u", "a", ts=0.0)
    near.see("u", "b", ts=10.0)
    far.see("u", "a", ts=0.0)
    far.see("u", "b", ts=1000.0)
    assert near.near("a")["b"] > 2 * far.near("a")["b"] > 0.0


def test_a_pair_beyond_the_session_gap_is_none() -> None:
    shelf = Shelf()
    shelf.see("u", "a", ts=0.0)
    shelf.see("u", "b", ts=GAP + 1.0)
    assert shelf.near("a") == {}


def test_a_pair_is_as_strong_whichever_of_the_two_arrives_first() -> None:
    there, back = Shelf(half_life=100.0), Shelf(half_life=100.0)
    for shelf, order in ((there, [("a", 0.0), ("b", 60.0)]), (back, [("b", 60.0), ("a", 0.0)])):
        for name, ts in order:
            shelf.see("u", name, ts=ts)
    assert there.near("a") == pytest.approx(back.near("a"))
    assert there.near("a")["b"] > 0


def test_repeats_add_nothing() -> None:
    shelf, again = Shelf(), Shelf()
    shelf.see("u", "a", "b")
    again.see("u", "a", "b", "a", "b", "b")
    assert shelf.near("a") == again.near("a") == pytest.approx({"b": 1.0})


def test_purchases_are_linked_to_purchases_only() -> None:
    shelf = Shelf()
    shelf.see("u", "a")
    shelf.see("u", "b", "c", kind=Kind.PURCHASE)
    assert shelf.near("a") == {}
    assert shelf.near("b") == pytest.approx({"c": 1.0})


def test_the_stronger_link_explains() -> None:
    shelf = Shelf()
    shelf.see("u1", "a", "b")
    shelf.see("u2", "a", "c", kind=Kind.PURCHASE)
    b, c = (shelf.index.find(name) for name in "bc")
    found = shelf.model.candidates(shelf.context("a"), 10)
    evidence = dict(zip(found.items.tolist(), found.evidence.tolist(), strict=True))
    assert shelf.model.explain(shelf.context("a"), b, evidence[b]) == Reason("also_viewed", item_id="a")
    assert shelf.model.explain(shelf.context("a"), c, evidence[c]) == Reason("also_bought", item_id="a")


def test_newer_context_items_speak_louder_and_the_loudest_is_the_evidence() -> None:
    shelf = Shelf(fade=0.5)
    shelf.see("u1", "a", "x")
    shelf.see("u2", "b", "y")
    shelf.see("u3", "c", "x")
    assert shelf.near("a", "b") == pytest.approx({"y": 1.0, "x": 0.5 / 2**0.5})
    found = shelf.model.candidates(shelf.context("a", "b", "c"), 10)
    evidence = dict(zip(found.items.tolist(), found.evidence.tolist(), strict=True))
    find = shelf.index.find
    assert evidence == {find("x"): find("c"), find("y"): find("b")}


def test_a_repeated_context_item_speaks_once_at_its_newest_place() -> None:
    shelf = Shelf(fade=0.5)
    shelf.see("u1", "a", "x")
    assert shelf.near("a", "a", "a") == pytest.approx({"x": 1.0})


def test_only_the_newest_items_of_the_context_are_used() -> None:
    shelf = Shelf(depth=2)
    shelf.see("u1", "a", "x")
    shelf.see("u2", "b")
    shelf.see("u3", "c")
    assert shelf.near("a", "b") != {}
    assert shelf.near("a", "b", "c") == {}

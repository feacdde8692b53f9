"""Shoppers alike, on examples that can be checked by hand."""

import numpy as np
import pytest

from stream_app.models.base import EMPTY_ITEMS, EMPTY_TIMES, Context, Observation
from stream_app.models.item_index import ItemIndex
from stream_app.models.similarity import cosine, jaccard, pearson
from stream_app.models.user_knn import UserKNN
from topics.records import Kind, Reason


class Crowd:
    def __init__(self, **parameters: float | str) -> None:
        self.index = ItemIndex(100)
        self.model = UserKNN(self.index, **{"half_life": 1e12, **parameters})  # type: ignore[arg-type]

    def touch(self, user: str, *names: str, ts: float = 0.0, weight: float = 1.0) -> None:
        for name in names:
            item = self.index.index(name, ts)
            self.model.learn_one(
                Observation(user, item, ts, Kind.VIEW, weight, (), 1, False, EMPTY_ITEMS, EMPTY_TIMES)
            )

    def context(self, *names: str, user: str = "me", now: float = 0.0) -> Context:
        items = np.array([self.index.find(name) for name in names], np.int32)
        return Context(user, items, np.full(len(items), now), 0, (), now)

    def found(self, *names: str, user: str = "me", now: float = 0.0) -> dict[str, float]:
        found = self.model.candidates(self.context(*names, user=user, now=now), 50)
        ids = [self.index.id_of(item) for item in found.items]
        return dict(zip(ids, found.scores.tolist(), strict=True))


def crowd(similarity: str) -> Crowd:
    crowd = Crowd(similarity=similarity)
    crowd.touch("ann", "a", "b", "x")
    crowd.touch("bob", "b", "x", "y", "z")
    crowd.touch("cat", "v", "w")
    return crowd


def test_items_score_the_cosines_of_the_shoppers_who_touched_them() -> None:
    ann, bob = 2 / (2 * 3) ** 0.5, 1 / (2 * 4) ** 0.5
    assert ann == pytest.approx(cosine([1, 1, 0], [1, 1, 1]))
    assert crowd("cosine").found("a", "b") == pytest.approx({"x": ann + bob, "y": bob, "z": bob})


def test_jaccard_compares_the_sets() -> None:
    ann, bob = jaccard(set("ab"), set("abx")), jaccard(set("ab"), set("bxyz"))
    assert crowd("jaccard").found("a", "b") == pytest.approx({"x": ann + bob, "y": bob, "z": bob})


def test_pearson_correlates_over_all_items_and_one_that_nobody_touched() -> None:
    these = crowd("pearson")
    every = "abxyzvw-"
    mine, ann, bob = ([float(name in held) for name in every] for held in ("ab", "abx", "bxyz"))
    assert pearson(mine, bob) == pytest.approx(0.0)
    found = these.found("a", "b")
    assert found["x"] == pytest.approx(pearson(mine, ann))
    assert found.get("y", 0.0) == pytest.approx(0.0, abs=1e-6)


def test_a_shopper_is_not_their_own_neighbour() -> None:
    these = crowd("cosine")
    assert set(these.found("a", user="ann")) == set()
    assert set(these.found("a")) == set(these.found("a", user="")) == {"b", "x"}


def test_what_was_touched_lately_counts_more() -> None:
    these = Crowd(half_life=100.0)
    these.touch("ann", "a", "old", ts=0.0)
    these.touch("ann", "new", ts=100.0)
    found = these.found("a", now=200.0)
    assert found["new"] == pytest.approx(2 * found["old"])
    assert found["new"] == pytest.approx(0.5 / 3**0.5)


def test_of_neighbours_as_alike_the_later_is_nearer() -> None:
    these = Crowd(half_life=100.0, neighbours=1)
    these.touch("late", "a", "x", ts=50.0)
    these.touch("early", "a", "y", ts=0.0)
    assert set(these.found("a", now=50.0)) == {"x"}


def test_only_the_newest_distinct_items_of_a_shopper_are_held() -> None:
    these = Crowd(user_items=2)
    for ts, name in enumerate(["a", "b", "a", "c"]):
        these.touch("ann", name, ts=float(ts))
    assert set(these.found("a")) == {"c"}
    assert these.found("b") == {}
    these.touch("ann", "too late", ts=-5.0)
    assert set(these.found("a")) == {"c"}


def test_an_item_remembers_its_last_shoppers_each_once() -> None:
    these = Crowd(postings=2)
    these.touch("ann", "a", "x")
    these.touch("bob", "a", "y")
    for _ in range(5):
        these.touch("bob", "a")
    assert set(these.found("a")) == {"x", "y"}
    these.touch("cat", "a", "z")
    assert set(these.found("a")) == {"y", "z"}


def test_the_evidence_is_the_shared_item_of_the_best_neighbour() -> None:
    these = crowd("cosine")
    context = these.context("a", "b")
    found = these.model.candidates(context, 10)
    said = [these.model.explain(context, *each) for each in zip(found.items, found.evidence, strict=True)]
    assert said == [Reason("similar_shoppers", item_id="b")] * 3
    only = these.context("a")
    assert these.model.explain(only, 0, int(these.model.candidates(only, 1).evidence[0])).item_id == "a"


def test_a_forgotten_shoppers_row_can_be_anothers() -> None:
    these = crowd("cosine")
    these.model.forget_user("ann")
    assert "a" not in {name for name, score in these.found("b").items() if score}
    assert these.found("a") == {}
    these.touch("dan", "q")  # takes ann's row, which the rings of a, b and x still name
    assert these.found("a") == {}
    assert "q" not in these.found("b")


def test_dislikes_are_no_touch() -> None:
    these = Crowd()
    these.touch("ann", "a", "x")
    these.touch("ann", "y", weight=-1.0)
    assert set(these.found("a")) == {"x"}


def test_lift_is_no_choice() -> None:
    with pytest.raises(ValueError, match="cosine, jaccard, pearson, not 'lift'"):
        UserKNN(ItemIndex(10), similarity="lift")

"""Neighboring users, on examples computed by hand."""

import numpy as np
import pytest

from stream_app.models.base import EMPTY_ITEMS, EMPTY_TIMES, Context, Observation
from stream_app.models.item_index import ItemIndex
from stream_app.models.user_knn import UserKNN
from tests.support.set_similarity import cosine, jaccard, pearson
from topics.records import Kind, Reason


class UserKNNHarness:
    def __init__(self, **parameters: float | str) -> None:
        self.index = ItemIndex(100)
        self.model = UserKNN(self.index, **{"half_life": 1e12, **parameters})  # type: ignore[arg-type]

    def add_interactions(self, user: str, *names: str, ts: float = 0.0, weight: float = 1.0) -> None:
        for name in names:
            item = self.index.index(name, ts)
            self.model.learn(
                Observation(user, item, ts, Kind.VIEW, weight, (), 1, False, EMPTY_ITEMS, EMPTY_TIMES)
            )

    def context(self, *names: str, user: str = "me", now: float = 0.0) -> Context:
        items = np.array([self.index.find(name) for name in names], np.int32)
        return Context(user, items, np.full(len(items), now), 0, (), now)

    def candidates(self, *names: str, user: str = "me", now: float = 0.0) -> dict[str, float]:
        candidates = self.model.candidates(self.context(*names, user=user, now=now), 50)
        ids = [self.index.id_of(item) for item in candidates.items]
        return dict(zip(ids, candidates.scores.tolist(), strict=True))


def make_harness(similarity: str) -> UserKNNHarness:
    make_harness = UserKNNHarness(similarity=similarity)
    make_harness.add_interactions("ann", "a", "b", "x")
    make_harness.add_interactions("bob", "b", "x", "y", "z")
    make_harness.add_interactions("cat", "v", "w")
    return make_harness


def test_scores_sum_the_cosines_of_the_neighbors() -> None:
    ann, bob = 2 / (2 * 3) ** 0.5, 1 / (2 * 4) ** 0.5
    assert ann == pytest.approx(cosine([1, 1, 0], [1, 1, 1]))
    assert make_harness("cosine").candidates("a", "b") == pytest.approx({"x": ann + bob, "y": bob, "z": bob})


def test_jaccard_similarity_of_users() -> None:
    ann, bob = jaccard(set("ab"), set("abx")), jaccard(set("ab"), set("bxyz"))
    assert make_harness("jaccard").candidates("a", "b") == pytest.approx({"x": ann + bob, "y": bob, "z": bob})


def test_pearson_similarity_over_all_items_and_one_unseen() -> None:
    harness = make_harness("pearson")
    every = "abxyzvw-"
    mine, ann, bob = ([float(name in items) for name in every] for items in ("ab", "abx", "bxyz"))
    assert pearson(mine, bob) == pytest.approx(0.0)
    candidates = harness.candidates("a", "b")
    assert candidates["x"] == pytest.approx(pearson(mine, ann))
    assert candidates.get("y", 0.0) == pytest.approx(0.0, abs=1e-6)


def test_a_user_is_not_their_own_neighbor() -> None:
    harness = make_harness("cosine")
    assert set(harness.candidates("a", user="ann")) == set()
    assert set(harness.candidates("a")) == set(harness.candidates("a", user="")) == {"b", "x"}


def test_recent_interactions_weigh_more() -> None:
    harness = UserKNNHarness(half_life=100.0)
    harness.add_interactions("ann", "a", "old", ts=0.0)
    harness.add_interactions("ann", "new", ts=100.0)
    candidates = harness.candidates("a", now=200.0)
    assert candidates["new"] == pytest.approx(2 * candidates["old"])
    assert candidates["new"] == pytest.approx(0.5 / 3**0.5)


def test_of_equally_similar_neighbors_the_more_recent_is_nearer() -> None:
    harness = UserKNNHarness(half_life=100.0, neighbors=1)
    harness.add_interactions("late", "a", "x", ts=50.0)
    harness.add_interactions("early", "a", "y", ts=0.0)
    assert set(harness.candidates("a", now=50.0)) == {"x"}


def test_only_the_newest_distinct_items_of_a_user_are_kept() -> None:
    harness = UserKNNHarness(user_items=2)
    for ts, name in enumerate(["a", "b", "a", "c"]):
        harness.add_interactions("ann", name, ts=float(ts))
    assert set(harness.candidates("a")) == {"c"}
    assert harness.candidates("b") == {}
    harness.add_interactions("ann", "too late", ts=-5.0)
    assert set(harness.candidates("a")) == {"c"}


def test_an_item_keeps_its_last_distinct_users() -> None:
    harness = UserKNNHarness(postings=2)
    harness.add_interactions("ann", "a", "x")
    harness.add_interactions("bob", "a", "y")
    for _ in range(5):
        harness.add_interactions("bob", "a")
    assert set(harness.candidates("a")) == {"x", "y"}
    harness.add_interactions("cat", "a", "z")
    assert set(harness.candidates("a")) == {"y", "z"}


def test_the_evidence_is_the_shared_item_of_the_best_neighbor() -> None:
    harness = make_harness("cosine")
    context = harness.context("a", "b")
    candidates = harness.model.candidates(context, 10)
    reasons = [
        harness.model.explain(context, *each)
        for each in zip(candidates.items, candidates.evidence, strict=True)
    ]
    assert reasons == [Reason("similar_users", item_id="b")] * 3
    only = harness.context("a")
    assert harness.model.explain(only, 0, int(harness.model.candidates(only, 1).evidence[0])).item_id == "a"


def test_the_row_of_a_forgotten_user_can_be_reused() -> None:
    harness = make_harness("cosine")
    harness.model.forget_user("ann")
    assert "a" not in {name for name, score in harness.candidates("b").items() if score}
    assert harness.candidates("a") == {}
    harness.add_interactions("dan", "q")  # gets ann's row, which is still in the rings of a, b and x
    assert harness.candidates("a") == {}
    assert "q" not in harness.candidates("b")


def test_a_forgotten_user_is_in_no_ring() -> None:
    harness = make_harness("cosine")
    row = harness.model._users.find("ann")
    assert row in harness.model.state()["postings"].tolist()
    harness.model.forget_user("ann")
    assert row not in harness.model.state()["postings"].tolist()


def test_dislikes_are_not_counted_as_interactions() -> None:
    harness = UserKNNHarness()
    harness.add_interactions("ann", "a", "x")
    harness.add_interactions("ann", "y", weight=-1.0)
    assert set(harness.candidates("a")) == {"x"}


def test_lift_is_not_supported() -> None:
    with pytest.raises(ValueError, match="cosine, jaccard, pearson, not 'lift'"):
        UserKNN(ItemIndex(10), similarity="lift")

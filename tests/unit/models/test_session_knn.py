"""Session neighbours on examples that can be checked by hand."""

import numpy as np
import pytest

from stream_app.models.base import EMPTY_ITEMS, EMPTY_TIMES, Context, Observation
from stream_app.models.items import ItemIndex
from stream_app.models.session_knn import SessionKNN
from topics.records import Kind, Reason


class Visits:
    def __init__(self, **parameters: int) -> None:
        self.index = ItemIndex(100)
        self.model = SessionKNN(self.index, **parameters)

    def visit(
        self, session: int, items: str, user: str = "someone", ts: float = 0.0, weight: float = 1.0
    ) -> None:
        for name in items:
            item = self.index.index(name, ts)
            self.model.learn_one(
                Observation(user, item, ts, Kind.VIEW, weight, (), session, False, EMPTY_ITEMS, EMPTY_TIMES)
            )

    def context(self, items: str, user: str = "me", start: int = 0, ts: float = 0.0) -> Context:
        known = np.array([self.index.find(name) for name in items], np.int32)
        return Context(user, known, np.full(len(known), ts), start, (), ts)

    def near(self, items: str, user: str = "me", start: int = 0, ts: float = 0.0) -> dict[str, float]:
        found = self.model.candidates(self.context(items, user, start, ts), 20)
        names = [self.index.id_of(item) for item in found.items]
        return dict(zip(names, found.scores.tolist(), strict=True))


def test_items_score_by_the_similarity_of_their_sessions() -> None:
    visits = Visits(depth=2)
    visits.visit(1, "ax")
    visits.visit(2, "by")
    visits.visit(3, "abz")
    # for the context a, b: b weighs 1 and a, one further back of two, 1/2; a match at a fades by a tenth
    assert visits.near("ab") == pytest.approx(
        {"x": 0.45, "y": 1.0, "z": 1.5, "b": 1.0 + 1.5, "a": 0.45 + 1.5}, abs=1e-6
    )


def test_only_the_most_similar_sessions_count_and_the_newer_of_two_alike() -> None:
    visits = Visits(neighbours=2)
    visits.visit(1, "ax")
    visits.visit(2, "aby")
    visits.visit(3, "az")
    assert set(visits.near("ab")) == {"a", "b", "y", "z"}


def test_the_open_session_of_the_shopper_is_no_neighbour_but_an_earlier_one_is() -> None:
    visits = Visits()
    visits.visit(1, "ax", user="me", ts=0.0)
    visits.visit(2, "ay", user="me", ts=5000.0)
    assert set(visits.near("a", ts=5000.0)) == {"a", "x"}
    assert set(visits.near("a", user="you", ts=5000.0)) == {"a", "x", "y"}


def test_only_the_current_session_of_the_context_is_matched() -> None:
    visits = Visits()
    visits.visit(1, "ax")
    visits.visit(2, "by")
    assert set(visits.near("ab", start=1)) == {"b", "y"}
    # a session that has not begun yet: the past is all there is
    assert set(visits.near("ab", start=2)) == {"a", "x", "b", "y"}


def test_an_items_own_list_leaves_the_item_out() -> None:
    visits = Visits()
    visits.visit(1, "ax")
    assert visits.near("a", user="") == {"x": 1.0}


def test_the_evidence_is_the_item_the_best_neighbour_was_met_by() -> None:
    visits = Visits()
    visits.visit(1, "ax")
    visits.visit(2, "bxy")
    found = visits.model.candidates(visits.context("ab"), 10)
    evidence = dict(zip(found.items.tolist(), found.evidence.tolist(), strict=True))
    a, b, x = (visits.index.find(name) for name in "abx")
    assert (evidence[x], evidence[a]) == (b, a)
    assert visits.model.explain(visits.context("ab"), x, b) == Reason("similar_sessions", item_id="b")


def test_a_session_whose_place_was_taken_is_gone_for_good() -> None:
    visits = Visits(sessions=2)
    visits.visit(1, "ax")
    visits.visit(2, "ay")
    visits.visit(3, "az")
    assert set(visits.near("a")) == {"a", "y", "z"}
    visits.visit(1, "w")
    assert set(visits.near("a")) == {"a", "y", "z"}


def test_a_place_taken_by_a_session_with_the_same_item_counts_once() -> None:
    visits = Visits(sessions=1)
    visits.visit(1, "ax")
    visits.visit(2, "ay")
    assert visits.near("a") == {"a": 1.0, "y": 1.0}


def test_a_long_session_keeps_its_newest_items() -> None:
    visits = Visits(session_items=3)
    visits.visit(1, "abcd")
    assert set(visits.near("d")) == {"b", "c", "d"}
    assert visits.near("a") == {}


def test_an_item_remembers_its_newest_sessions() -> None:
    visits = Visits(postings=2)
    for session, other in enumerate("xyz", 1):
        visits.visit(session, f"a{other}")
    assert set(visits.near("a")) == {"a", "y", "z"}


def test_dislikes_are_not_part_of_a_session() -> None:
    visits = Visits()
    visits.visit(1, "ax")
    visits.visit(1, "y", weight=-1.0)
    assert set(visits.near("a")) == {"a", "x"}

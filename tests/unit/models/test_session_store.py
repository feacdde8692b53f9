"""What the store adds up, counted by hand."""

from typing import Any

import numpy as np
import pytest
from sessions_by_hand import Visits

from stream_app.models.base import NO_ITEM
from stream_app.models.items import ItemIndex
from stream_app.models.session_store import Column, SessionStore


def sums(visits: Visits, items: str, column: Column, **more: Any) -> dict[str, float]:
    around = visits.store.look_around(visits.context(items, **more))
    values = visits.store.column(around, column).tolist()
    names = [visits.index.id_of(item) for item in visits.store.found(around).tolist()]
    return {name: value for name, value in zip(names, values, strict=True) if value}


@pytest.fixture
def visits() -> Visits:
    return Visits("session_knn").visit(1, "abc").visit(2, "xab").visit(3, "cb")


def test_clicks_beside_each_context_item_are_counted_apart(visits: Visits) -> None:
    # the newest is b: with a and c in the first session, with x and a in the second, with c in the third
    assert sums(visits, "ab", Column.TOGETHER) == {"a": 2.0, "c": 2.0, "x": 1.0}
    assert sums(visits, "ab", Column.TOGETHER_2) == {"b": 2.0, "c": 1.0, "x": 1.0}
    assert sums(visits, "b", Column.TOGETHER_2) == {}


def test_what_came_after_counts_by_distance_and_what_came_before_apart(visits: Visits) -> None:
    assert sums(visits, "a", Column.AFTER) == {"b": 2.0, "c": 0.5}
    assert sums(visits, "a", Column.NEXT) == {"b": 2.0}
    assert sums(visits, "a", Column.BEFORE) == {"x": 1.0}


def test_a_second_hop_reaches_what_was_never_seen_beside_the_context() -> None:
    visits = Visits("two_hop").visit(1, "ab").visit(2, "bz")
    hops = sums(visits, "a", Column.HOP)
    assert hops["z"] > 0
    assert sums(visits, "a", Column.TOGETHER) == {"b": 1.0}


def test_the_session_that_asks_is_left_out(visits: Visits) -> None:
    assert sums(visits, "b", Column.NEXT, session=1) == {}
    assert sums(visits, "b", Column.NEXT, session=2) == {"c": 1.0}


def test_items_of_the_session_are_candidates_even_if_nothing_speaks_for_them() -> None:
    visits = Visits("session_knn").visit(1, "a")
    around = visits.store.look_around(visits.context("a"))
    assert visits.store.found(around).tolist() == [visits.index.find("a")]


def test_a_look_around_is_made_once_for_a_context_and_anew_after_learning(visits: Visits) -> None:
    context = visits.context("a")
    first = visits.store.look_around(context)
    assert visits.store.look_around(context) is first
    visits.visit(4, "aq")
    again = visits.store.look_around(context)
    assert again is not first
    assert visits.index.find("q") in visits.store.found(again)


def test_looking_around_leaves_no_trace_for_the_next_context(visits: Visits) -> None:
    fresh = Visits("session_knn").visit(1, "abc").visit(2, "xab").visit(3, "cb")
    for items in ("a", "bc", "x", "cba"):
        visits.near(items)
    assert visits.near("ab") == fresh.near("ab")


def test_the_evidence_is_the_context_item_that_most_sessions_share(visits: Visits) -> None:
    around = visits.store.look_around(visits.context("xc"))
    items = np.array([visits.index.find(name) for name in "bax"], np.int32)
    said = [visits.index.id_of(item) for item in visits.store.evidence(around, items).tolist()]
    # b stands beside c in two sessions of two; a beside x in one of one, beside c in one of two
    assert said == ["c", "x", "x"]
    nothing = visits.store.look_around(visits.context(""))
    assert visits.store.evidence(nothing, items).tolist() == [NO_ITEM] * 3


def test_a_deeper_context_than_can_be_looked_up_is_an_error() -> None:
    with pytest.raises(ValueError, match="from 1 to 8, not 9"):
        SessionStore(ItemIndex(10), depth=9)


def test_a_session_whose_place_was_taken_is_gone_for_good() -> None:
    visits = Visits("session_knn", sessions=2).visit(1, "ax").visit(2, "ay").visit(3, "az")
    assert set(sums(visits, "a", Column.TOGETHER)) == {"y", "z"}
    visits.visit(1, "w")
    assert set(sums(visits, "a", Column.TOGETHER)) == {"y", "z"}


def test_an_item_remembers_its_newest_clicks() -> None:
    visits = Visits("session_knn", postings=2)
    for session, other in enumerate("xyz", 1):
        visits.visit(session, f"a{other}")
    assert set(sums(visits, "a", Column.TOGETHER)) == {"y", "z"}


def test_a_long_session_keeps_its_first_clicks() -> None:
    visits = Visits("session_knn", length=3).visit(1, "abcd")
    assert sums(visits, "a", Column.TOGETHER) == {"b": 1.0, "c": 1.0}


def test_dislikes_are_not_part_of_a_session(visits: Visits) -> None:
    visits.visit(9, "y", weight=-1.0)
    assert sums(visits, "y", Column.TOGETHER) == {}
    assert visits.near("y") == {}

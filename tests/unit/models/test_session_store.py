"""What the store adds up, counted by hand."""

from typing import Any

import numpy as np
import pytest

from stream_app.models.base import NO_ITEM
from stream_app.models.item_index import ItemIndex
from stream_app.models.session_store import Column, SessionStore
from tests.support.session_builder import Visits


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


DAY = 86_400.0
COUNTED = (
    *(Column.TOGETHER, Column.NEXT, Column.AFTER, Column.AFTER_BOTH, Column.KNN, Column.STAN, Column.PAIRS),
    *(Column.SHARED, Column.RECENT, Column.SUPPORT, Column.MEMBERS),
)


def aged(age: float, half_life: float) -> Visits:
    """One session, and a context that comes `age` seconds after it."""
    visits = Visits("session_knn", session_half_life=half_life)
    return visits.visit(1, "abc", ts=1_000 * DAY - age)


@pytest.mark.parametrize("column", COUNTED, ids=lambda column: column.name)
def test_a_session_counts_half_after_each_half_life_in_event_time(column: Column) -> None:
    new, old, older = (
        sums(aged(days * DAY, 10 * DAY), "ab", column, now=1_000 * DAY)["c"] for days in (0, 10, 25)
    )
    supports = 1.0
    if column in {Column.SHARED, Column.RECENT}:
        # a share of so many sessions, plus three; these count less too
        supports = (1.0 + 3.0) / (0.5 + 3.0)
    assert old == pytest.approx(new / 2 * supports, rel=1e-5)
    if supports == 1.0:
        assert older == pytest.approx(new * 2.0**-2.5, rel=1e-5)


def test_a_second_hop_over_an_old_session_counts_less_too() -> None:
    def hop(bridge_at: float) -> float:
        visits = Visits("two_hop", session_half_life=10 * DAY).visit(1, "bz", ts=bridge_at)
        return sums(visits.visit(2, "ab", ts=1_000 * DAY), "a", Column.HOP, now=1_000 * DAY)["z"]

    assert hop(980 * DAY) == pytest.approx(hop(1_000 * DAY) / 4, rel=1e-5)


def test_without_a_half_life_and_for_a_session_of_the_future_age_is_nothing() -> None:
    for age, half_life in ((900 * DAY, 0.0), (-50 * DAY, DAY)):
        assert sums(aged(age, half_life), "ab", Column.NEXT, now=1_000 * DAY) == {"c": 1.0}


def test_of_two_continuations_the_one_of_late_is_preferred_where_sessions_age() -> None:
    def best(half_life: float) -> str:
        visits = Visits("sequential_rules", session_half_life=half_life)
        for session in (1, 2, 3):
            visits.visit(session, "ab", ts=0.0)
        visits.visit(4, "ac", ts=100 * DAY).visit(5, "ac", ts=100 * DAY)
        found = visits.model.candidates(visits.context("a", now=100 * DAY), 1)
        return visits.index.id_of(int(found.items[0]))

    assert (best(0.0), best(30 * DAY)) == ("b", "c")


def test_the_newest_click_tells_the_age_and_a_late_one_does_not_turn_it_back() -> None:
    visits = Visits("session_knn", session_half_life=10 * DAY)
    visits.visit(1, "a", ts=0.0).visit(1, "b", ts=20 * DAY).visit(1, "c", ts=5 * DAY)
    assert sums(visits, "a", Column.TOGETHER, now=30 * DAY) == {"b": 0.5, "c": 0.5}


def test_ages_are_kept_in_a_state() -> None:
    visits = aged(10 * DAY, 10 * DAY)
    other = SessionStore(visits.index, session_half_life=10 * DAY)
    other.restore(visits.store.state())
    around = other.look_around(visits.context("b", now=1_000 * DAY))
    at = other.found(around).tolist().index(visits.index.find("c"))
    assert other.column(around, Column.NEXT)[at] == 0.5
    with pytest.raises(ValueError, match="session_half_life"):
        SessionStore(visits.index).restore(visits.store.state())

"""Sums of the session store, counted by hand."""

from typing import Any

import numpy as np
import pytest

from stream_app.models.base import NO_ITEM
from stream_app.models.item_index import ItemIndex
from stream_app.models.kernels.session_columns import SessionColumn
from stream_app.models.session_store import SessionStore
from tests.support.session_builder import SessionBuilder


def sums(builder: SessionBuilder, items: str, column: SessionColumn, **more: Any) -> dict[str, float]:
    neighbors = builder.store.query_neighbors(builder.context(items, **more))
    values = builder.store.column(neighbors, column).tolist()
    names = [builder.index.id_of(item) for item in builder.store.candidate_items(neighbors).tolist()]
    return {name: value for name, value in zip(names, values, strict=True) if value}


@pytest.fixture
def builder() -> SessionBuilder:
    return SessionBuilder("session_knn").add_session(1, "abc").add_session(2, "xab").add_session(3, "cb")


def test_co_occurrences_are_counted_per_context_item(builder: SessionBuilder) -> None:
    # the newest is b: with a and c in the first session, with x and a in the second, with c in the third
    assert sums(builder, "ab", SessionColumn.CO_OCCURRENCE) == {"a": 2.0, "c": 2.0, "x": 1.0}
    assert sums(builder, "ab", SessionColumn.CO_OCCURRENCE_2) == {"b": 2.0, "c": 1.0, "x": 1.0}
    assert sums(builder, "b", SessionColumn.CO_OCCURRENCE_2) == {}


def test_items_after_and_before_are_counted_separately_by_distance(builder: SessionBuilder) -> None:
    assert sums(builder, "a", SessionColumn.AFTER) == {"b": 2.0, "c": 0.5}
    assert sums(builder, "a", SessionColumn.NEXT) == {"b": 2.0}
    assert sums(builder, "a", SessionColumn.BEFORE) == {"x": 1.0}


def test_a_second_hop_reaches_items_without_co_occurrence() -> None:
    builder = SessionBuilder("two_hop").add_session(1, "ab").add_session(2, "bz")
    hops = sums(builder, "a", SessionColumn.SECOND_HOP)
    assert hops["z"] > 0
    assert sums(builder, "a", SessionColumn.CO_OCCURRENCE) == {"b": 1.0}


def test_the_querying_session_is_excluded(builder: SessionBuilder) -> None:
    assert sums(builder, "b", SessionColumn.NEXT, session=1) == {}
    assert sums(builder, "b", SessionColumn.NEXT, session=2) == {"c": 1.0}


def test_items_of_the_session_are_candidates_without_neighbors() -> None:
    builder = SessionBuilder("session_knn").add_session(1, "a")
    neighbors = builder.store.query_neighbors(builder.context("a"))
    assert builder.store.candidate_items(neighbors).tolist() == [builder.index.find("a")]


def test_a_neighbor_query_is_cached_until_something_is_learned(builder: SessionBuilder) -> None:
    context = builder.context("a")
    first = builder.store.query_neighbors(context)
    assert builder.store.query_neighbors(context) is first
    builder.add_session(4, "aq")
    again = builder.store.query_neighbors(context)
    assert again is not first
    assert builder.index.find("q") in builder.store.candidate_items(again)


def test_a_neighbor_query_does_not_affect_the_next_one(builder: SessionBuilder) -> None:
    fresh = SessionBuilder("session_knn").add_session(1, "abc").add_session(2, "xab").add_session(3, "cb")
    for items in ("a", "bc", "x", "cba"):
        builder.candidates(items)
    assert builder.candidates("ab") == fresh.candidates("ab")


def test_the_evidence_is_the_context_item_with_the_largest_share(builder: SessionBuilder) -> None:
    neighbors = builder.store.query_neighbors(builder.context("xc"))
    items = np.array([builder.index.find(name) for name in "bax"], np.int32)
    evidence_ids = [builder.index.id_of(item) for item in builder.store.evidence(neighbors, items).tolist()]
    # b is with c in two sessions of two; a with x in one of one, with c in one of two
    assert evidence_ids == ["c", "x", "x"]
    nothing = builder.store.query_neighbors(builder.context(""))
    assert builder.store.evidence(nothing, items).tolist() == [NO_ITEM] * 3


def test_a_depth_out_of_range_is_rejected() -> None:
    with pytest.raises(ValueError, match="from 1 to 8, not 9"):
        SessionStore(ItemIndex(10), depth=9)


def test_an_overwritten_session_does_not_return() -> None:
    builder = (
        SessionBuilder("session_knn", sessions=2)
        .add_session(1, "ax")
        .add_session(2, "ay")
        .add_session(3, "az")
    )
    assert set(sums(builder, "a", SessionColumn.CO_OCCURRENCE)) == {"y", "z"}
    builder.add_session(1, "w")
    assert set(sums(builder, "a", SessionColumn.CO_OCCURRENCE)) == {"y", "z"}


def test_an_item_keeps_its_newest_clicks() -> None:
    builder = SessionBuilder("session_knn", postings=2)
    for session, other in enumerate("xyz", 1):
        builder.add_session(session, f"a{other}")
    assert set(sums(builder, "a", SessionColumn.CO_OCCURRENCE)) == {"y", "z"}


def test_a_long_session_keeps_its_first_clicks() -> None:
    builder = SessionBuilder("session_knn", length=3).add_session(1, "abcd")
    assert sums(builder, "a", SessionColumn.CO_OCCURRENCE) == {"b": 1.0, "c": 1.0}


def test_dislikes_are_not_part_of_a_session(builder: SessionBuilder) -> None:
    builder.add_session(9, "y", weight=-1.0)
    assert sums(builder, "y", SessionColumn.CO_OCCURRENCE) == {}
    assert builder.candidates("y") == {}


DAY = 86_400.0
DECAYED_COLUMNS = (
    *(
        SessionColumn.CO_OCCURRENCE,
        SessionColumn.NEXT,
        SessionColumn.AFTER,
        SessionColumn.AFTER_IN_ORDER,
        SessionColumn.KNN,
        SessionColumn.STAN,
        SessionColumn.MULTI_MATCH,
    ),
    *(
        SessionColumn.COVISIT_SHARE,
        SessionColumn.COVISIT_SHARE_RECENT,
        SessionColumn.SUPPORT,
        SessionColumn.NEAREST_CLICKS,
    ),
)


def one_session_of_age(age: float, half_life: float) -> SessionBuilder:
    """One session, and a context `age` seconds later."""
    builder = SessionBuilder("session_knn", session_half_life=half_life)
    return builder.add_session(1, "abc", ts=1_000 * DAY - age)


@pytest.mark.parametrize("column", DECAYED_COLUMNS, ids=lambda column: column.name)
def test_a_sessions_weight_halves_every_half_life_of_event_time(column: SessionColumn) -> None:
    new, old, older = (
        sums(one_session_of_age(days * DAY, 10 * DAY), "ab", column, now=1_000 * DAY)["c"]
        for days in (0, 10, 25)
    )
    supports = 1.0
    if column in {SessionColumn.COVISIT_SHARE, SessionColumn.COVISIT_SHARE_RECENT}:
        # a share of the sessions plus three; their weights are decayed too
        supports = (1.0 + 3.0) / (0.5 + 3.0)
    assert old == pytest.approx(new / 2 * supports, rel=1e-5)
    if supports == 1.0:
        assert older == pytest.approx(new * 2.0**-2.5, rel=1e-5)


def test_the_second_hop_decays_with_session_age() -> None:
    def hop(bridge_at: float) -> float:
        builder = SessionBuilder("two_hop", session_half_life=10 * DAY).add_session(1, "bz", ts=bridge_at)
        return sums(
            builder.add_session(2, "ab", ts=1_000 * DAY), "a", SessionColumn.SECOND_HOP, now=1_000 * DAY
        )["z"]

    assert hop(980 * DAY) == pytest.approx(hop(1_000 * DAY) / 4, rel=1e-5)


def test_no_decay_without_a_half_life_or_for_future_sessions() -> None:
    for age, half_life in ((900 * DAY, 0.0), (-50 * DAY, DAY)):
        assert sums(one_session_of_age(age, half_life), "ab", SessionColumn.NEXT, now=1_000 * DAY) == {
            "c": 1.0
        }


def test_recent_continuations_are_preferred_with_session_decay() -> None:
    def best(half_life: float) -> str:
        builder = SessionBuilder("sequential_rules", session_half_life=half_life)
        for session in (1, 2, 3):
            builder.add_session(session, "ab", ts=0.0)
        builder.add_session(4, "ac", ts=100 * DAY).add_session(5, "ac", ts=100 * DAY)
        candidate_items = builder.model.candidates(builder.context("a", now=100 * DAY), 1)
        return builder.index.id_of(int(candidate_items.items[0]))

    assert (best(0.0), best(30 * DAY)) == ("b", "c")


def test_a_sessions_age_is_that_of_its_newest_click() -> None:
    builder = SessionBuilder("session_knn", session_half_life=10 * DAY)
    builder.add_session(1, "a", ts=0.0).add_session(1, "b", ts=20 * DAY).add_session(1, "c", ts=5 * DAY)
    assert sums(builder, "a", SessionColumn.CO_OCCURRENCE, now=30 * DAY) == {"b": 0.5, "c": 0.5}


def test_session_ages_survive_a_restore() -> None:
    builder = one_session_of_age(10 * DAY, 10 * DAY)
    other = SessionStore(builder.index, session_half_life=10 * DAY)
    other.restore(builder.store.state())
    neighbors = other.query_neighbors(builder.context("b", now=1_000 * DAY))
    at = other.candidate_items(neighbors).tolist().index(builder.index.find("c"))
    assert other.column(neighbors, SessionColumn.NEXT)[at] == 0.5
    with pytest.raises(ValueError, match="session_half_life"):
        SessionStore(builder.index).restore(builder.store.state())

"""Session neighbours on examples that can be checked by hand."""

import pytest

from tests.support.session_builder import Visits
from topics.records import Reason


def near(visits: Visits, items: str, **more: object) -> list[str]:
    return list(visits.near(items, **more))


def test_the_more_a_session_shares_the_more_its_items_count() -> None:
    visits = Visits("session_knn", repeat=0.0).visit(1, "ax").visit(2, "by").visit(3, "abz")
    scores = visits.near("ab")
    assert scores["z"] > scores["y"] > scores["x"], "both items, the newer, the older"


def test_the_nearer_to_the_match_the_more_an_item_counts() -> None:
    visits = Visits("session_knn").visit(1, "axyz")
    assert near(visits, "a")[1:] == ["x", "y", "z"]


def test_of_two_sessions_alike_the_more_recent_counts_more() -> None:
    visits = Visits("session_knn").visit(1, "ax")
    for session in range(2, 60):
        visits.visit(session, "q")
    visits.visit(60, "ay")
    assert near(visits, "a")[1:] == ["y", "x"]


def test_what_the_session_holds_already_comes_first_and_the_newest_of_it_before() -> None:
    visits = Visits("session_knn", repeat=1.3).visit(1, "a").visit(2, "bx")
    assert near(visits, "ab") == ["b", "x", "a"]
    assert near(visits, "aab") == ["b", "x", "a"]
    assert near(Visits("session_knn").visit(1, "a").visit(2, "bx"), "ab") == ["b", "a", "x"]
    scores = Visits("session_knn", repeat=0.5).visit(1, "ax").near("a")
    assert scores == pytest.approx({"x": 1.0, "a": 0.5})


def test_the_open_session_of_the_shopper_is_no_neighbour_but_an_earlier_one_is() -> None:
    visits = Visits("session_knn").visit(1, "ax", user="me").visit(2, "ay", user="me")
    assert set(near(visits, "a", session=2)) == {"a", "x"}
    assert set(near(visits, "a", user="you")) == {"a", "x", "y"}


def test_only_the_current_session_of_the_context_is_matched() -> None:
    visits = Visits("session_knn").visit(1, "ax").visit(2, "by")
    assert set(near(visits, "ab", start=1)) == {"b", "y"}
    # a session that has not begun yet: the past is all there is
    assert set(near(visits, "ab", start=2)) == {"a", "x", "b", "y"}


def test_an_items_own_list_leaves_the_item_out() -> None:
    visits = Visits("session_knn").visit(1, "ax")
    assert visits.near("a", user="") == {"x": 1.0}


def test_the_reason_names_the_item_that_led_there() -> None:
    visits = Visits("session_knn").visit(1, "ax").visit(2, "bxy")
    context = visits.context("ab")
    found = visits.model.candidates(context, 10)
    reasons = {
        visits.index.id_of(item): visits.model.explain(context, item, evidence)
        for item, evidence in zip(found.items.tolist(), found.evidence.tolist(), strict=True)
    }
    assert reasons["y"] == Reason("similar_sessions", item_id="b")
    assert reasons["a"] == Reason("viewed_before", item_id="a")


def test_an_erased_shoppers_sessions_speak_for_nobody() -> None:
    visits = Visits("session_knn").visit(1, "ax", user="me").visit(2, "ay")
    visits.model.forget_user("me")
    assert set(near(visits, "a")) == {"a", "y"}


def test_by_vsknn_matches_fade_linearly_with_their_age() -> None:
    visits = (
        Visits("session_knn", repeat=0.0, weighting="vsknn").visit(1, "ax").visit(2, "by").visit(3, "abz")
    )
    # b counts 1 and a, of two clicks the older, 1/2: the sessions are .5, 1 and 1.5 alike; the first matches one
    # click back, which halves it. All over the largest, 1.5.
    assert visits.near("ab") == pytest.approx({"z": 1.0, "a": 1.0, "y": 2 / 3, "x": 1 / 6})


def test_by_vsknn_the_place_in_the_session_makes_no_difference() -> None:
    visits = Visits("session_knn", repeat=0.0, weighting="vsknn").visit(1, "axyz")
    assert set(visits.near("a").values()) == {1.0}
    assert len(set(Visits("session_knn", repeat=0.0).visit(1, "axyz").near("a").values())) == 3


def test_by_vsknn_only_the_nearest_count() -> None:
    visits = Visits("session_knn", repeat=0.0, weighting="vsknn", neighbours=1)
    visits.visit(1, "abx").visit(2, "ay")
    assert set(visits.near("ab")) & {"x", "y"} == {"x"}


def test_a_weighting_that_there_is_not_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="one of stan, vsknn, not 'knn'"):
        Visits("session_knn", weighting="knn")

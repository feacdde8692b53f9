"""Session neighbors on examples computed by hand."""

import pytest

from tests.support.session_builder import SessionBuilder
from topics.records import Reason


def candidates(builder: SessionBuilder, items: str, **more: object) -> list[str]:
    return list(builder.candidates(items, **more))


def test_sessions_sharing_more_items_weigh_more() -> None:
    builder = (
        SessionBuilder("session_knn", repeat=0.0)
        .add_session(1, "ax")
        .add_session(2, "by")
        .add_session(3, "abz")
    )
    scores = builder.candidates("ab")
    assert scores["z"] > scores["y"] > scores["x"], "both items, the newer, the older"


def test_items_nearer_to_the_match_weigh_more() -> None:
    builder = SessionBuilder("session_knn").add_session(1, "axyz")
    assert candidates(builder, "a")[1:] == ["x", "y", "z"]


def test_of_two_equal_sessions_the_more_recent_weighs_more() -> None:
    builder = SessionBuilder("session_knn").add_session(1, "ax")
    for session in range(2, 60):
        builder.add_session(session, "q")
    builder.add_session(60, "ay")
    assert candidates(builder, "a")[1:] == ["y", "x"]


def test_items_of_the_session_rank_first_newest_first() -> None:
    builder = SessionBuilder("session_knn", repeat=1.3).add_session(1, "a").add_session(2, "bx")
    assert candidates(builder, "ab") == ["b", "x", "a"]
    assert candidates(builder, "aab") == ["b", "x", "a"]
    assert candidates(SessionBuilder("session_knn").add_session(1, "a").add_session(2, "bx"), "ab") == [
        "b",
        "a",
        "x",
    ]
    scores = SessionBuilder("session_knn", repeat=0.5).add_session(1, "ax").candidates("a")
    assert scores == pytest.approx({"x": 1.0, "a": 0.5})


def test_the_users_open_session_is_no_neighbor_but_an_earlier_one_is() -> None:
    builder = SessionBuilder("session_knn").add_session(1, "ax", user="me").add_session(2, "ay", user="me")
    assert set(candidates(builder, "a", session=2)) == {"a", "x"}
    assert set(candidates(builder, "a", user="you")) == {"a", "x", "y"}


def test_only_the_current_session_of_the_context_is_matched() -> None:
    builder = SessionBuilder("session_knn").add_session(1, "ax").add_session(2, "by")
    assert set(candidates(builder, "ab", start=1)) == {"b", "y"}
    # the session has not begun: only earlier items are left
    assert set(candidates(builder, "ab", start=2)) == {"a", "x", "b", "y"}


def test_an_item_list_excludes_the_item_itself() -> None:
    builder = SessionBuilder("session_knn").add_session(1, "ax")
    assert builder.candidates("a", user="") == {"x": 1.0}


def test_the_reason_names_the_context_item_with_most_support() -> None:
    builder = SessionBuilder("session_knn").add_session(1, "ax").add_session(2, "bxy")
    context = builder.context("ab")
    found = builder.model.candidates(context, 10)
    reasons = {
        builder.index.id_of(item): builder.model.explain(context, item, evidence)
        for item, evidence in zip(found.items.tolist(), found.evidence.tolist(), strict=True)
    }
    assert reasons["y"] == Reason("similar_sessions", item_id="b")
    assert reasons["a"] == Reason("viewed_before", item_id="a")


def test_an_erased_users_sessions_are_not_neighbors() -> None:
    builder = SessionBuilder("session_knn").add_session(1, "ax", user="me").add_session(2, "ay")
    builder.model.forget_user("me")
    assert set(candidates(builder, "a")) == {"a", "y"}


def test_the_order_of_an_erased_users_clicks_is_in_no_posting() -> None:
    builder = SessionBuilder("session_knn").add_session(1, "axa", user="me").add_session(2, "ay")
    builder.model.forget_user("me")
    state = builder.model.state()["store"]
    assert 1 not in state["posting_sessions"].tolist()
    assert state["serials"].tolist() == [2]


def test_vsknn_weights_decay_linearly_with_age() -> None:
    builder = (
        SessionBuilder("session_knn", repeat=0.0, weighting="vsknn")
        .add_session(1, "ax")
        .add_session(2, "by")
        .add_session(3, "abz")
    )
    # b counts 1 and a, the older of two clicks, 1/2: the similarities are .5, 1 and 1.5; the first matches one
    # click back, which halves it. All are divided by the largest, 1.5.
    assert builder.candidates("ab") == pytest.approx({"z": 1.0, "a": 1.0, "y": 2 / 3, "x": 1 / 6})


def test_vsknn_ignores_the_position_in_the_session() -> None:
    builder = SessionBuilder("session_knn", repeat=0.0, weighting="vsknn").add_session(1, "axyz")
    assert set(builder.candidates("a").values()) == {1.0}
    assert (
        len(set(SessionBuilder("session_knn", repeat=0.0).add_session(1, "axyz").candidates("a").values()))
        == 3
    )


def test_vsknn_uses_only_the_nearest_sessions() -> None:
    builder = SessionBuilder("session_knn", repeat=0.0, weighting="vsknn", neighbors=1)
    builder.add_session(1, "abx").add_session(2, "ay")
    assert set(builder.candidates("ab")) & {"x", "y"} == {"x"}


def test_an_unknown_weighting_is_rejected_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="one of stan, vsknn, not 'knn'"):
        SessionBuilder("session_knn", weighting="knn")

"""Walks of one and two steps."""

from tests.support.session_builder import SessionBuilder
from topics.records import Reason


def test_a_two_step_walk_reaches_items_that_share_no_session() -> None:
    builder = SessionBuilder("two_hop").add_session(1, "ab").add_session(2, "bz")
    assert "z" in builder.candidates("a")
    assert builder.candidates("a")["b"] > builder.candidates("a")["z"], "nearer is better"


def test_the_penalty_lowers_popular_items() -> None:
    def scores(penalty: float) -> dict[str, float]:
        builder = (
            SessionBuilder("two_hop", penalty=penalty)
            .add_session(1, "ab")
            .add_session(2, "bz")
            .add_session(3, "bp")
        )
        for session in range(4, 40):
            builder.add_session(session, "p")
        return builder.candidates("a")

    assert scores(0.0)["p"] == scores(0.0)["z"]
    assert scores(0.8)["p"] < scores(0.8)["z"]


def test_the_reason_names_the_start_of_the_walk() -> None:
    builder = SessionBuilder("two_hop").add_session(1, "ab").add_session(2, "bz")
    found = builder.model.candidates(builder.context("a"), 10)
    z = builder.index.find("z")
    evidence = dict(zip(found.items.tolist(), found.evidence.tolist(), strict=True))[z]
    assert builder.model.explain(builder.context("a"), z, evidence) == Reason("related", item_id="a")

"""Walks of one and two steps."""

from tests.support.session_builder import Visits
from topics.records import Reason


def test_a_walk_of_two_steps_finds_what_no_session_links() -> None:
    visits = Visits("two_hop").visit(1, "ab").visit(2, "bz")
    assert "z" in visits.near("a")
    assert visits.near("a")["b"] > visits.near("a")["z"], "nearer is better"


def test_popular_items_are_held_back_by_the_penalty() -> None:
    def scores(penalty: float) -> dict[str, float]:
        visits = Visits("two_hop", penalty=penalty).visit(1, "ab").visit(2, "bz").visit(3, "bp")
        for session in range(4, 40):
            visits.visit(session, "p")
        return visits.near("a")

    assert scores(0.0)["p"] == scores(0.0)["z"]
    assert scores(0.8)["p"] < scores(0.8)["z"]


def test_the_reason_names_where_the_walk_began() -> None:
    visits = Visits("two_hop").visit(1, "ab").visit(2, "bz")
    found = visits.model.candidates(visits.context("a"), 10)
    z = visits.index.find("z")
    evidence = dict(zip(found.items.tolist(), found.evidence.tolist(), strict=True))[z]
    assert visits.model.explain(visits.context("a"), z, evidence) == Reason("related", item_id="a")

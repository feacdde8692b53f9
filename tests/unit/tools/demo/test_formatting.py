"""Figures and reasons in words."""

from stream_app.tools.demo.formatting import exposure, groups, why, within_a_list
from stream_app.tools.environment.list_quality import ListQuality
from topics.records import Reason


def test_a_reason_names_the_evidence_by_its_title() -> None:
    assert why(Reason("also_viewed", item_id="i1"), {"i1": "light tent"}) == "because you viewed light tent"
    assert why(Reason("popular", segment="country:FR"), {}) == "popular in country FR"


def test_what_nobody_knows_is_a_dash() -> None:
    nothing = ListQuality()
    assert within_a_list(nothing) == "- unlike, - categories"
    assert exposure(nothing) == "- of items, Gini -"
    assert groups(nothing) == "long tail -, new -"

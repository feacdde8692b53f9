"""Text of values and reasons."""

from stream_app.tools.demo.formatting import format_diversity, format_exposure, format_item_groups, why
from stream_app.tools.environment.list_quality import ListQuality
from topics.records import Reason


def test_a_reason_names_the_evidence_by_its_title() -> None:
    assert why(Reason("also_viewed", item_id="i1"), {"i1": "light tent"}) == "because you viewed light tent"
    assert why(Reason("popular", segment="country:FR"), {}) == "popular in country FR"


def test_unknown_values_are_formatted_as_a_dash() -> None:
    unknown_quality = ListQuality()
    assert format_diversity(unknown_quality) == "ILD -, - categories"
    assert format_exposure(unknown_quality) == "coverage -, Gini -"
    assert format_item_groups(unknown_quality) == "-, new items -"

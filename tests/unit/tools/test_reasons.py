"""Each reason has an English sentence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.tools.reasons import sentence
from topics.records import Reason


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        (Reason("also_viewed", item_id="X"), "because you viewed X"),
        (Reason("also_bought", item_id="X"), "bought together with X"),
        (Reason("similar_sessions", item_id="X"), "in visits like yours, after X"),
        (Reason("popular"), "popular now"),
        (Reason("popular", segment="all"), "popular now"),
        (Reason("popular", segment="country:FR"), "popular in country FR"),
        (Reason("popular", segment="category:a:b"), "popular in category a:b"),
        (Reason("factors"), "fits your taste"),
        (Reason("trending"), "trending now"),
        (Reason("viewed_before", item_id="X"), "you viewed it before"),
        (Reason("viewed_next", item_id="X"), "often viewed after X"),
        (Reason("related", item_id="X"), "related to X"),
        (Reason("related"), "related"),
        (Reason("similar_users", item_id="X"), "liked by users like you who viewed X"),
        (Reason("similar_content", item_id="X"), "similar to X"),
        (Reason("matches_search", query="red shoes"), "fits your search for “red shoes”"),
        (Reason("chosen_after_search", query="red shoes"), "chosen after searching for “red shoes”"),
        (Reason("chosen_after_search"), "chosen after search"),
        (Reason("also_viewed"), "also viewed"),
        (Reason("a_newer_model", item_id="X"), "a newer model: X"),
        (Reason("a_newer_model"), "a newer model"),
    ],
)
def test_each_reason_has_its_sentence(reason: Reason, expected: str) -> None:
    assert sentence(reason) == expected


TEXTS = st.none() | st.text()


@given(st.builds(Reason, st.text(min_size=1), item_id=TEXTS, segment=TEXTS, query=TEXTS))
def test_any_reason_has_a_sentence(reason: Reason) -> None:
    assert sentence(reason)

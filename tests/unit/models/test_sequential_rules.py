"""Sequential rules, counted by hand."""

import pytest

from tests.support.session_builder import SessionBuilder
from topics.records import Reason


def test_rules_are_weighted_by_inverse_distance() -> None:
    builder = SessionBuilder("sequential_rules").add_session(1, "abc")
    # one session supports the rules; the support is increased by one
    assert builder.candidates("a") == pytest.approx({"b": 1 / 2, "c": 1 / 4})


def test_rules_are_directed() -> None:
    builder = SessionBuilder("sequential_rules").add_session(1, "ab")
    assert builder.candidates("b") == {}


def test_rules_of_the_second_newest_item_weigh_less() -> None:
    builder = SessionBuilder("sequential_rules", second_weight=0.4).add_session(1, "ax").add_session(2, "by")
    assert builder.candidates("ab") == pytest.approx({"y": 1 / 2, "x": 0.4 / 2})


def test_the_reason_names_the_preceding_item() -> None:
    builder = SessionBuilder("sequential_rules").add_session(1, "ab")
    b = builder.index.find("b")
    assert builder.model.explain(builder.context("a"), b, -1) == Reason("viewed_next", item_id="a")

"""Sequential rules, counted by hand."""

import pytest

from tests.support.session_builder import Visits
from topics.records import Reason


def test_a_rule_of_first_order_counts_fully_and_one_of_second_order_half() -> None:
    visits = Visits("sequential_rules").visit(1, "abc")
    # one session supports the rules; one is added to tell few from many
    assert visits.near("a") == pytest.approx({"b": 1 / 2, "c": 1 / 4})


def test_rules_have_a_direction() -> None:
    visits = Visits("sequential_rules").visit(1, "ab")
    assert visits.near("b") == {}


def test_the_second_newest_items_rules_count_less() -> None:
    visits = Visits("sequential_rules", second=0.4).visit(1, "ax").visit(2, "by")
    assert visits.near("ab") == pytest.approx({"y": 1 / 2, "x": 0.4 / 2})


def test_the_reason_names_the_item_it_follows() -> None:
    visits = Visits("sequential_rules").visit(1, "ab")
    b = visits.index.find("b")
    assert visits.model.explain(visits.context("a"), b, -1) == Reason("viewed_next", item_id="a")

"""The value of a purchase by its price."""

import pytest

from state.attribution import DEFAULT_ATTRIBUTION_WINDOWS, DEFAULT_REWARD_WEIGHTS, AttributionRules
from topics.records import POST_CLICK_KINDS, RewardKind


@pytest.mark.parametrize(
    ("exponent", "revenue", "value"),
    [
        (0.0, 225.0, 10.0),
        (0.5, 225.0, 30.0),
        (0.5, 25.0, 10.0),
        (1.0, 225.0, 90.0),
        (2.0, 75.0, 90.0),
        (0.5, 0.0, 10.0),
        (0.5, 0.25, 1.0),
    ],
)
def test_a_purchase_counts_by_its_price(exponent: float, revenue: float, value: float) -> None:
    rules = AttributionRules(price_exponent=exponent, price_unit=25.0)
    assert rules.value(RewardKind.PURCHASE, revenue) == pytest.approx(value)


def test_a_kind_without_a_weight_has_the_value_zero() -> None:
    assert AttributionRules().value(RewardKind.IMPRESSION) == 0.0
    assert AttributionRules(weights={}).value(RewardKind.CLICK) == 0.0


def test_the_longest_windows() -> None:
    windows = {**DEFAULT_ATTRIBUTION_WINDOWS, RewardKind.CART: 500_000.0, RewardKind.HIDE: 900_000.0}
    rules = AttributionRules(windows=windows)
    assert rules.longest_window == 900_000.0
    assert rules.longest_post_click_window == 500_000.0
    assert AttributionRules().longest_window == 7 * 86_400.0
    assert AttributionRules().longest_post_click_window == 86_400.0


def test_reactions_that_take_more_effort_count_more() -> None:
    weights = DEFAULT_REWARD_WEIGHTS
    assert weights[RewardKind.PURCHASE] > weights[RewardKind.CART] > weights[RewardKind.CLICK] > 0
    assert all(weights[kind] > weights[RewardKind.CLICK] for kind in POST_CLICK_KINDS)
    assert weights[RewardKind.HIDE] < weights[RewardKind.DISLIKE] < 0

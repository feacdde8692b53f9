"""Estimators against examples worked by hand."""

import numpy as np
import pytest

from stream_app.tools.evaluation.policies.estimators import (
    ESTIMATORS,
    Estimator,
    Evidence,
    clipped_dr,
    clipped_ips,
    direct_method,
    doubly_robust,
    ips,
    snips,
    switch_dr,
)


def known(rewards: list[float], weights: list[float], expected: list[float], value: list[float]) -> Evidence:
    return Evidence(
        np.array(rewards), np.array(weights), np.array(expected), np.array(value), np.zeros(len(rewards))
    )


# Four rounds: two clicks, the first of them on what the target shows twice as often as the log.
HAND = known([1, 0, 1, 0], [2, 0, 0.5, 1.5], [0.5, 0.25, 0.5, 0.5], [0.6, 0.4, 0.4, 0.2])


def test_the_direct_method_is_the_mean_of_what_the_model_expects_under_the_target() -> None:
    assert direct_method(HAND).value == pytest.approx((0.6 + 0.4 + 0.4 + 0.2) / 4)


def test_ips_is_the_mean_of_weighted_rewards() -> None:
    assert ips(HAND).value == pytest.approx((2 * 1 + 0.5 * 1) / 4)


def test_snips_divides_by_the_weights_instead() -> None:
    assert snips(HAND).value == pytest.approx((2 * 1 + 0.5 * 1) / (2 + 0 + 0.5 + 1.5))


def test_doubly_robust_corrects_the_model_by_weighted_residuals() -> None:
    terms = [0.6 + 2 * 0.5, 0.4, 0.4 + 0.5 * 0.5, 0.2 - 1.5 * 0.5]
    assert doubly_robust(HAND).value == pytest.approx(sum(terms) / 4)


def heavy() -> Evidence:
    """99 rounds of weight 1 with a click in ten of them, and one of weight 100 with a click: worth clipping."""
    n = 100
    rewards = np.zeros(n)
    rewards[:10] = rewards[-1] = 1.0
    weights = np.ones(n)
    weights[-1] = 100.0
    return Evidence(rewards, weights, np.full(n, 0.01), np.full(n, 0.01), np.zeros(n))


def test_clipping_limits_the_weight_that_would_decide_alone() -> None:
    found = clipped_ips(heavy())
    assert found.threshold == pytest.approx(1.0)
    assert found.clipped == pytest.approx(0.01)
    assert found.value == pytest.approx(11 / 100)
    assert found.bias == pytest.approx(
        99 / 100 * 0.01
    )  # the weight cut off, times what the model expects there


def test_clipped_dr_clips_the_residual_alone() -> None:
    assert clipped_dr(heavy()).value == pytest.approx(0.01 + (11 * 0.99 - 89 * 0.01) / 100)


def test_switch_leaves_the_heavy_round_to_the_model() -> None:
    assert switch_dr(heavy()).value == pytest.approx(0.01 + (10 * 0.99 - 89 * 0.01) / 100)


def test_nothing_is_clipped_where_that_would_cost_more_bias_than_it_saves() -> None:
    many = 1000  # so many rounds that variance is no worry
    few = known([1, 1, 1, 0] * many, [1, 1, 2, 1] * many, [0.9] * 4 * many, [0.9] * 4 * many)
    for estimator in (clipped_ips, clipped_dr, switch_dr):
        assert estimator(few).clipped == 0.0
    assert clipped_ips(few).value == ips(few).value
    assert clipped_dr(few).value == switch_dr(few).value == doubly_robust(few).value


@pytest.mark.parametrize("name", Estimator)
def test_the_target_that_wrote_the_log_earns_what_it_earned(name: Estimator) -> None:
    rewards = np.array([1.0, 0.0, 0.0, 1.0, 0.0])
    same = Evidence(rewards, np.ones(5), rewards, rewards, np.zeros(5))
    assert ESTIMATORS[name](same).value == pytest.approx(0.4)


@pytest.mark.parametrize("name", [each for each in Estimator if each is not Estimator.DM])
def test_influences_average_zero_and_tell_what_leaving_out_a_round_does(name: Estimator) -> None:
    rng = np.random.default_rng(5)
    n = 2000
    of = Evidence(
        rng.integers(2, size=n).astype(float), rng.uniform(0.5, 1.5, n), rng.uniform(0, 1, n),
        rng.uniform(0, 1, n), np.zeros(n),
    )  # fmt: skip
    found = ESTIMATORS[name](of)
    assert found.influences.mean() == pytest.approx(0.0, abs=1e-12)
    without = ESTIMATORS[name](Evidence(*(each[1:] for each in of)))
    if found.threshold == without.threshold:  # the last quantile may be the round left out
        assert found.value - without.value == pytest.approx(found.influences[0] / (n - 1), rel=0.01)


def test_a_target_that_the_log_never_shows_has_no_self_normalised_value() -> None:
    never = known([1, 0], [0, 0], [0.5, 0.5], [0.5, 0.5])
    assert np.isnan(snips(never).value)
    assert ips(never).value == 0.0
    assert clipped_ips(never).clipped == 0.0

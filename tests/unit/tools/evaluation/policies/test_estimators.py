"""Estimators on examples computed by hand."""

import numpy as np
import pytest

from stream_app.tools.evaluation.policies.estimators import (
    ESTIMATORS,
    Estimator,
    EstimatorInputs,
    clipped_dr,
    clipped_ips,
    direct_method,
    doubly_robust,
    ips,
    snips,
    switch_dr,
)


def make_inputs(
    rewards: list[float], weights: list[float], expected: list[float], value: list[float]
) -> EstimatorInputs:
    return EstimatorInputs(
        np.array(rewards), np.array(weights), np.array(expected), np.array(value), np.zeros(len(rewards))
    )


# Four rounds: two clicks, the first of them on an item that the target displays twice as often as the log.
HAND_COMPUTED = make_inputs([1, 0, 1, 0], [2, 0, 0.5, 1.5], [0.5, 0.25, 0.5, 0.5], [0.6, 0.4, 0.4, 0.2])


def test_direct_method_is_the_mean_model_value_of_the_target() -> None:
    assert direct_method(HAND_COMPUTED).value == pytest.approx((0.6 + 0.4 + 0.4 + 0.2) / 4)


def test_ips_is_the_mean_of_weighted_rewards() -> None:
    assert ips(HAND_COMPUTED).value == pytest.approx((2 * 1 + 0.5 * 1) / 4)


def test_snips_divides_by_the_weights_instead() -> None:
    assert snips(HAND_COMPUTED).value == pytest.approx((2 * 1 + 0.5 * 1) / (2 + 0 + 0.5 + 1.5))


def test_doubly_robust_corrects_the_model_by_weighted_residuals() -> None:
    terms = [0.6 + 2 * 0.5, 0.4, 0.4 + 0.5 * 0.5, 0.2 - 1.5 * 0.5]
    assert doubly_robust(HAND_COMPUTED).value == pytest.approx(sum(terms) / 4)


def with_heavy_round() -> EstimatorInputs:
    """99 rounds of weight 1 with a click in ten of them, and one of weight 100 with a click, to be clipped."""
    n = 100
    rewards = np.zeros(n)
    rewards[:10] = rewards[-1] = 1.0
    weights = np.ones(n)
    weights[-1] = 100.0
    return EstimatorInputs(rewards, weights, np.full(n, 0.01), np.full(n, 0.01), np.zeros(n))


def test_clipping_limits_a_dominating_weight() -> None:
    estimate = clipped_ips(with_heavy_round())
    assert estimate.threshold == pytest.approx(1.0)
    assert estimate.clipped == pytest.approx(0.01)
    assert estimate.value == pytest.approx(11 / 100)
    assert estimate.bias == pytest.approx(
        99 / 100 * 0.01
    )  # the clipped weight times the prediction of the model


def test_clipped_dr_clips_the_residual_alone() -> None:
    assert clipped_dr(with_heavy_round()).value == pytest.approx(0.01 + (11 * 0.99 - 89 * 0.01) / 100)


def test_switch_leaves_the_heavy_round_to_the_model() -> None:
    assert switch_dr(with_heavy_round()).value == pytest.approx(0.01 + (10 * 0.99 - 89 * 0.01) / 100)


def test_nothing_is_clipped_when_bias_outweighs_variance() -> None:
    repetitions = 1000  # enough rounds for a small variance
    small_weights = make_inputs(
        [1, 1, 1, 0] * repetitions,
        [1, 1, 2, 1] * repetitions,
        [0.9] * 4 * repetitions,
        [0.9] * 4 * repetitions,
    )
    for estimator in (clipped_ips, clipped_dr, switch_dr):
        assert estimator(small_weights).clipped == 0.0
    assert clipped_ips(small_weights).value == ips(small_weights).value
    assert (
        clipped_dr(small_weights).value
        == switch_dr(small_weights).value
        == doubly_robust(small_weights).value
    )


@pytest.mark.parametrize("name", Estimator)
def test_target_equal_to_the_logging_policy_gets_its_mean_reward(name: Estimator) -> None:
    rewards = np.array([1.0, 0.0, 0.0, 1.0, 0.0])
    same = EstimatorInputs(rewards, np.ones(5), rewards, rewards, np.zeros(5))
    assert ESTIMATORS[name](same).value == pytest.approx(0.4)


@pytest.mark.parametrize("name", [each for each in Estimator if each is not Estimator.DM])
def test_influences_have_zero_mean_and_predict_leave_one_out(name: Estimator) -> None:
    rng = np.random.default_rng(5)
    n = 2000
    inputs = EstimatorInputs(
        rng.integers(2, size=n).astype(float), rng.uniform(0.5, 1.5, n), rng.uniform(0, 1, n),
        rng.uniform(0, 1, n), np.zeros(n),
    )  # fmt: skip
    estimate = ESTIMATORS[name](inputs)
    assert estimate.influences.mean() == pytest.approx(0.0, abs=1e-12)
    without = ESTIMATORS[name](EstimatorInputs(*(each[1:] for each in inputs)))
    if estimate.threshold == without.threshold:  # the largest quantile may be the omitted round
        assert estimate.value - without.value == pytest.approx(estimate.influences[0] / (n - 1), rel=0.01)


def test_snips_is_undefined_without_overlap() -> None:
    no_overlap = make_inputs([1, 0], [0, 0], [0.5, 0.5], [0.5, 0.5])
    assert np.isnan(snips(no_overlap).value)
    assert ips(no_overlap).value == 0.0
    assert clipped_ips(no_overlap).clipped == 0.0

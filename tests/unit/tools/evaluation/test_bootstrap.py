"""Bootstrap intervals have their nominal coverage."""

import numpy as np
import pytest

from stream_app.tools.evaluation.bootstrap import ClusterBootstrap


def test_intervals_have_nominal_coverage() -> None:
    rng = np.random.default_rng(3)
    truth, covered, n_trials = 0.3, 0, 300
    for trial in range(n_trials):
        user_rate = rng.beta(3, 7, size=80)  # its mean is .3
        groups = np.repeat(np.arange(80), 5)
        values = (rng.random(400) < user_rate[groups]).astype(np.float64)
        [interval] = ClusterBootstrap(groups, resamples=300, seed=trial).intervals(values[:, None])
        covered += interval.low <= truth <= interval.high
    assert 0.90 <= covered / n_trials <= 0.99


def test_correlated_lists_widen_the_interval() -> None:
    values = np.repeat(np.random.default_rng(1).integers(0, 2, 50), 10).astype(np.float64)[:, None]
    [independent] = ClusterBootstrap(np.arange(500)).intervals(values)
    [clustered] = ClusterBootstrap(np.repeat(np.arange(50), 10)).intervals(values)
    assert clustered.mean == independent.mean
    assert clustered.high - clustered.low > 2 * (independent.high - independent.low)


def test_paired_interval_of_a_constant_difference_is_tight() -> None:
    baseline_values = np.random.default_rng(1).random(100)
    treatment_values = baseline_values + 0.01
    baseline, treatment, difference = ClusterBootstrap(np.arange(100)).intervals(
        np.stack((baseline_values, treatment_values, treatment_values - baseline_values), axis=1)
    )
    assert baseline.high > treatment.low
    assert [difference.low, difference.high] == pytest.approx([0.01, 0.01])


def test_mask_restricts_the_interval_to_its_lists() -> None:
    values = np.array([[1.0], [0.0], [0.0], [0.0]])
    bootstrap = ClusterBootstrap(np.array([0, 1, 2, 2]))
    [interval] = bootstrap.intervals(values, np.array([True, True, False, False]))
    assert interval.mean == 0.5
    [empty] = bootstrap.intervals(values, np.zeros(4, np.bool_))
    assert np.isnan([empty.mean, empty.low, empty.high]).all()


def test_the_same_seed_gives_the_same_interval() -> None:
    values = np.random.default_rng(1).random((50, 2))
    first, second = (ClusterBootstrap(np.arange(50), seed=4).intervals(values) for _ in range(2))
    assert first == second
    assert first != ClusterBootstrap(np.arange(50), seed=5).intervals(values)

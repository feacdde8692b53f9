"""Intervals: resampling of users, textbook standard errors, and bias."""

import numpy as np
import pytest

from stream_app.tools.evaluation.policies.studentized_bootstrap import StudentizedBootstrap


def test_user_with_ten_equal_rounds_counts_once() -> None:
    rng = np.random.default_rng(1)
    by_user = rng.normal(size=200)
    single = StudentizedBootstrap(np.arange(200)).standard_errors((by_user - by_user.mean())[:, None])
    tenfold = np.repeat(by_user, 10)
    repeated = StudentizedBootstrap(np.repeat(np.arange(200), 10)).standard_errors(
        (tenfold - tenfold.mean())[:, None]
    )
    assert repeated == pytest.approx(single)
    assert single[0] == pytest.approx(by_user.std(ddof=1) / np.sqrt(200))


def test_intervals_depend_on_the_seed_alone() -> None:
    values = np.random.default_rng(2).normal(size=(300, 1))
    first, again, other = (
        StudentizedBootstrap(np.arange(300), seed=seed).intervals([0.0], values) for seed in (1, 1, 2)
    )
    assert first == again != other


def test_bias_widens_the_interval_by_less_than_twice_the_bias() -> None:
    values = np.random.default_rng(2).normal(size=(1000, 1))
    bootstrap = StudentizedBootstrap(np.arange(1000))
    [plain] = bootstrap.intervals([0.0], values)
    [biased] = bootstrap.intervals([0.0], values, [0.1])
    assert plain.high + 0.05 < biased.high < plain.high + 0.1


def test_single_user_has_no_interval() -> None:
    [interval] = StudentizedBootstrap(np.zeros(5, np.int64)).intervals([0.4], np.ones((5, 1)))
    assert interval.mean == 0.4
    assert np.isnan([interval.low, interval.high]).all()


def test_constant_values_have_a_zero_width_interval() -> None:
    [interval] = StudentizedBootstrap(np.arange(5)).intervals([1.0], np.zeros((5, 1)))
    assert (interval.low, interval.high) == (1.0, 1.0)


@pytest.mark.parametrize("click_rate", [0.01, 0.1])
def test_intervals_cover_rare_clicks(click_rate: float) -> None:
    rng = np.random.default_rng(11)
    covered = 0
    repetitions = 200
    for seed in range(repetitions):
        clicks = (rng.random(3000) < click_rate).astype(float)
        [interval] = StudentizedBootstrap(np.arange(3000), resamples=200, seed=seed).intervals(
            [clicks.mean()], (clicks - clicks.mean())[:, None]
        )
        covered += interval.low <= click_rate <= interval.high
    # four standard errors of a share of .95 with n = 200
    assert abs(covered / repetitions - 0.95) < 4 * np.sqrt(0.95 * 0.05 / repetitions)

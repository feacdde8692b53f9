"""Intervals: shoppers are resampled, not rounds; errors as the textbook has them; what bias does."""

import numpy as np
import pytest

from stream_app.tools.evaluation.policies.studentized_bootstrap import Studentised


def test_a_shopper_with_ten_equal_rounds_counts_once() -> None:
    rng = np.random.default_rng(1)
    by_shopper = rng.normal(size=200)
    once = Studentised(np.arange(200)).errors((by_shopper - by_shopper.mean())[:, None])
    tenfold = np.repeat(by_shopper, 10)
    ten = Studentised(np.repeat(np.arange(200), 10)).errors((tenfold - tenfold.mean())[:, None])
    assert ten == pytest.approx(once)
    assert once[0] == pytest.approx(by_shopper.std(ddof=1) / np.sqrt(200))


def test_intervals_depend_on_the_seed_alone() -> None:
    values = np.random.default_rng(2).normal(size=(300, 1))
    first, again, other = (
        Studentised(np.arange(300), seed=seed).intervals([0.0], values) for seed in (1, 1, 2)
    )
    assert first == again != other


def test_what_may_be_biased_has_a_wider_interval_but_not_by_the_whole_bias_twice() -> None:
    values = np.random.default_rng(2).normal(size=(1000, 1))
    bootstrap = Studentised(np.arange(1000))
    [plain] = bootstrap.intervals([0.0], values)
    [biased] = bootstrap.intervals([0.0], values, [0.1])
    assert plain.high + 0.05 < biased.high < plain.high + 0.1


def test_a_single_shopper_has_no_interval() -> None:
    [found] = Studentised(np.zeros(5, np.int64)).intervals([0.4], np.ones((5, 1)))
    assert found.mean == 0.4
    assert np.isnan([found.low, found.high]).all()


def test_what_never_varies_has_an_interval_of_no_width() -> None:
    [found] = Studentised(np.arange(5)).intervals([1.0], np.zeros((5, 1)))
    assert (found.low, found.high) == (1.0, 1.0)


@pytest.mark.parametrize("click_rate", [0.01, 0.1])
def test_rare_clicks_are_covered(click_rate: float) -> None:
    rng = np.random.default_rng(11)
    held = 0
    repetitions = 200
    for seed in range(repetitions):
        clicks = (rng.random(3000) < click_rate).astype(float)
        [found] = Studentised(np.arange(3000), resamples=200, seed=seed).intervals(
            [clicks.mean()], (clicks - clicks.mean())[:, None]
        )
        held += found.low <= click_rate <= found.high
    # four standard errors of a share of .95 in 200
    assert abs(held / repetitions - 0.95) < 4 * np.sqrt(0.95 * 0.05 / repetitions)

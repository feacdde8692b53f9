"""Bias and coverage on synthetic logs with known truth; `headrace evaluate estimators` does it at length."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from stream_app.tools.evaluation.policies.estimator_coverage import WORLDS, WorldFigures, try_estimators
from stream_app.tools.evaluation.policies.estimators import Estimator
from stream_app.tools.evaluation.policies.synthetic_log import World
from stream_app.tools.evaluation.progress import Tell

REPETITIONS = 60


@pytest.fixture(scope="module")
def right() -> WorldFigures:
    return try_estimators(WORLDS["model right"], repetitions=REPETITIONS, resamples=200)


@pytest.mark.parametrize("name", Estimator)
def test_where_the_model_is_right_every_estimator_is_as_unbiased_as_it_promises(
    right: WorldFigures, name: Estimator
) -> None:
    trial = right.trials[name]
    allowed = 0.02 * right.truth if name is Estimator.CLIPPED_IPS else 0.0  # it is clipped, and so too low
    assert abs(trial.bias) < 4 * trial.bias_error + allowed


@pytest.mark.parametrize("name", Estimator)
def test_intervals_hold_the_truth_nineteen_times_of_twenty(right: WorldFigures, name: Estimator) -> None:
    trial = right.trials[name]
    assert abs(trial.coverage - 0.95) < 4 * np.sqrt(0.95 * 0.05 / REPETITIONS)
    assert trial.error == pytest.approx(trial.spread, rel=4 / np.sqrt(2 * REPETITIONS))


def test_the_doubly_robust_estimator_varies_less_than_ips(right: WorldFigures) -> None:
    assert right.trials[Estimator.DR].spread < right.trials[Estimator.IPS].spread


def test_a_wrong_model_misleads_the_direct_method_but_not_the_doubly_robust() -> None:
    wrong = try_estimators(World(shoppers=3000, curvature=0.8), repetitions=30, resamples=100)
    dm, dr = wrong.trials[Estimator.DM], wrong.trials[Estimator.DR]
    assert dm.bias < -6 * dm.bias_error
    assert abs(dr.bias) < 4 * dr.bias_error


def test_logs_differ_by_seed_alone() -> None:
    world = World(shoppers=20)
    first, again, other = (world.draw(seed).rounds for seed in (1, 1, 2))
    assert (first.rewards == again.rewards).all()
    assert (first.propensities != other.propensities).any()


def test_the_log_is_drawn_by_the_propensities_it_tells() -> None:
    rounds, target, _ = World(shoppers=4000, sharpness=0.5).draw(1)
    weights = target[np.arange(len(rounds)), rounds.chosen] / rounds.propensities
    assert weights.mean() == pytest.approx(1.0, abs=4 * weights.std() / np.sqrt(len(rounds) / 3))


def test_progress_is_told() -> None:
    told: list[int] = []

    @contextmanager
    def watch(title: str, total: int) -> Iterator[Tell]:
        assert (title, total) == ("here", 3)
        yield told.append

    try_estimators(World(shoppers=50), repetitions=3, resamples=100, title="here", watch=watch)
    assert told == [1, 2, 3]

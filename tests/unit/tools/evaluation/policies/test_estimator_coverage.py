"""Bias and coverage on synthetic logs with known truth; `headrace evaluate estimators` runs more repetitions."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from stream_app.tools.evaluation.policies.estimator_coverage import (
    SCENARIOS,
    ScenarioResult,
    evaluate_estimators,
)
from stream_app.tools.evaluation.policies.estimators import Estimator
from stream_app.tools.evaluation.policies.synthetic_log import SyntheticScenario
from stream_app.tools.progress import UpdateProgress

REPETITIONS = 60


@pytest.fixture(scope="module")
def correct_model() -> ScenarioResult:
    return evaluate_estimators(SCENARIOS["model right"], repetitions=REPETITIONS, resamples=200)


@pytest.mark.parametrize("name", Estimator)
def test_estimators_are_unbiased_under_a_correct_model(
    correct_model: ScenarioResult, name: Estimator
) -> None:
    trial = correct_model.trials[name]
    allowed = (
        0.02 * correct_model.truth if name is Estimator.CLIPPED_IPS else 0.0
    )  # clipped, so biased downwards
    assert abs(trial.bias) < 4 * trial.bias_std_error + allowed


@pytest.mark.parametrize("name", Estimator)
def test_intervals_have_nominal_coverage(correct_model: ScenarioResult, name: Estimator) -> None:
    trial = correct_model.trials[name]
    assert abs(trial.coverage - 0.95) < 4 * np.sqrt(0.95 * 0.05 / REPETITIONS)
    assert trial.std_error == pytest.approx(trial.std_dev, rel=4 / np.sqrt(2 * REPETITIONS))


def test_the_doubly_robust_estimator_varies_less_than_ips(correct_model: ScenarioResult) -> None:
    assert correct_model.trials[Estimator.DR].std_dev < correct_model.trials[Estimator.IPS].std_dev


def test_a_wrong_model_misleads_the_direct_method_but_not_the_doubly_robust() -> None:
    wrong_model = evaluate_estimators(
        SyntheticScenario(users=3000, curvature=0.8), repetitions=30, resamples=100
    )
    dm, dr = wrong_model.trials[Estimator.DM], wrong_model.trials[Estimator.DR]
    assert dm.bias < -6 * dm.bias_std_error
    assert abs(dr.bias) < 4 * dr.bias_std_error


def test_logs_differ_by_seed_alone() -> None:
    scenario = SyntheticScenario(users=20)
    first, again, other = (scenario.sample_log(seed).rounds for seed in (1, 1, 2))
    assert (first.rewards == again.rewards).all()
    assert (first.propensities != other.propensities).any()


def test_logged_propensities_are_those_of_the_sampling() -> None:
    rounds, target, _ = SyntheticScenario(users=4000, inverse_temperature=0.5).sample_log(1)
    weights = target[np.arange(len(rounds)), rounds.chosen] / rounds.propensities
    assert weights.mean() == pytest.approx(1.0, abs=4 * weights.std() / np.sqrt(len(rounds) / 3))


def test_progress_is_reported() -> None:
    reported: list[int] = []

    @contextmanager
    def open_progress(title: str, total: int) -> Iterator[UpdateProgress]:
        assert (title, total) == ("here", 3)
        yield reported.append

    evaluate_estimators(
        SyntheticScenario(users=50), repetitions=3, resamples=100, title="here", open_progress=open_progress
    )
    assert reported == [1, 2, 3]

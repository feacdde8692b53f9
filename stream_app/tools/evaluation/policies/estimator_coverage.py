"""Bias of the estimators and coverage of their intervals, on synthetic logs with a known truth."""

from enum import IntEnum
from typing import Final

import msgspec
import numpy as np

from stream_app.tools.evaluation.policies.estimators import ESTIMATORS, Estimator, estimator_inputs
from stream_app.tools.evaluation.policies.reward_models import cross_fit
from stream_app.tools.evaluation.policies.rounds import Floats
from stream_app.tools.evaluation.policies.studentized_bootstrap import StudentizedBootstrap
from stream_app.tools.evaluation.policies.synthetic_log import SyntheticScenario
from stream_app.tools.progress import OpenProgress, no_progress

SCENARIOS: Final[dict[str, SyntheticScenario]] = {
    "model right": SyntheticScenario(),
    "model wrong": SyntheticScenario(curvature=0.8),
    "little overlap": SyntheticScenario(users=700, inverse_temperature=2.5),
}
"""The scenarios that estimators are tested in."""


class EstimatorTrial(msgspec.Struct, frozen=True):
    """Results of an estimator over all repetitions.

    Attributes
    ----------
    bias, bias_std_error
        Mean difference between the estimate and the target's expected reward in the contexts of the log, and the
        standard error of that mean.
    std_dev
        Standard deviation of the estimates.
    std_error
        Mean of the estimated standard errors.
    coverage
        Share of the 95 % intervals that cover the target's value over all contexts.
    width
        Mean width of the intervals.
    clipped
        Mean share of rounds above its threshold.
    """

    bias: float
    bias_std_error: float
    std_dev: float
    std_error: float
    coverage: float
    width: float
    clipped: float


class ScenarioResult(msgspec.Struct, frozen=True):
    """A scenario and its trials.

    Attributes
    ----------
    truth
        True value of the target.
    rounds
        Rounds of a log.
    rewarded, effective_rounds
        Mean number of clicks in a log, and mean effective sample size of its weights.
    """

    truth: float
    rounds: int
    rewarded: float
    effective_rounds: float
    trials: dict[Estimator, EstimatorTrial]


def evaluate_estimators(
    scenario: SyntheticScenario,
    *,
    repetitions: int,
    seed: int = 7,
    resamples: int = 500,
    title: str = "",
    open_progress: OpenProgress = no_progress,
) -> ScenarioResult:
    """Estimate the value of the target on many logs of a scenario.

    Parameters
    ----------
    repetitions
        Number of logs.
    seed
        Seed of the first log; the others follow.
    """
    truth = scenario.truth(seed + 10_000_000)
    results = np.empty((repetitions, len(_Result), len(ESTIMATORS)))
    sizes = np.empty((repetitions, 2))
    with open_progress(title, repetitions) as update_progress:
        for index in range(repetitions):
            results[index], sizes[index] = _evaluate_log(scenario, truth, seed + index, resamples)
            update_progress(index + 1)
    return ScenarioResult(
        truth=truth,
        rounds=scenario.users * scenario.n_positions,
        rewarded=float(sizes[:, 0].mean()),
        effective_rounds=float(sizes[:, 1].mean()),
        trials={name: _summarize(results[:, :, column]) for column, name in enumerate(ESTIMATORS)},
    )


class _Result(IntEnum):
    """Results of an estimator on one log."""

    VALUE = 0
    DEVIATION = 1
    STANDARD_ERROR = 2
    WIDTH = 3
    CLIPPED = 4
    COVERED = 5


def _evaluate_log(
    scenario: SyntheticScenario, truth: float, seed: int, resamples: int
) -> tuple[Floats, tuple[float, float]]:
    """Results of all estimators on one log, shape (len(_Result), estimators); clicks and effective rounds."""
    rounds, target, expected = scenario.sample_log(seed)
    inputs = estimator_inputs(rounds, target, cross_fit(rounds, seed=seed))
    estimates = [estimator(inputs) for estimator in ESTIMATORS.values()]
    bootstrap = StudentizedBootstrap(rounds.groups, resamples=resamples, seed=seed)
    influences = np.stack([each.influences for each in estimates], axis=1)
    intervals = bootstrap.intervals(
        [each.value for each in estimates], influences, [each.bias for each in estimates]
    )
    results = np.empty((len(_Result), len(estimates)))
    results[_Result.VALUE] = [each.value for each in estimates]
    results[_Result.DEVIATION] = results[_Result.VALUE] - expected
    results[_Result.STANDARD_ERROR] = bootstrap.standard_errors(influences)
    results[_Result.WIDTH] = [each.high - each.low for each in intervals]
    results[_Result.CLIPPED] = [each.clipped for each in estimates]
    results[_Result.COVERED] = [each.low <= truth <= each.high for each in intervals]
    return results, (rounds.rewards.sum(), inputs.weights.sum() ** 2 / (inputs.weights**2).sum())


def _summarize(results: Floats) -> EstimatorTrial:
    """Summary of one estimator; results have shape (repetitions, len(_Result))."""
    deviations = results[:, _Result.DEVIATION]
    return EstimatorTrial(
        bias=float(deviations.mean()),
        bias_std_error=float(deviations.std(ddof=1) / np.sqrt(len(results))),
        std_dev=float(results[:, _Result.VALUE].std(ddof=1)),
        std_error=float(results[:, _Result.STANDARD_ERROR].mean()),
        coverage=float(results[:, _Result.COVERED].mean()),
        width=float(results[:, _Result.WIDTH].mean()),
        clipped=float(results[:, _Result.CLIPPED].mean()),
    )

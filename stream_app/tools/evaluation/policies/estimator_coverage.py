"""Bias of the estimators and coverage of their intervals, on synthetic logs with a known truth."""

from typing import Final

import msgspec
import numpy as np

from stream_app.tools.evaluation.policies.estimators import ESTIMATORS, Estimator, estimator_inputs
from stream_app.tools.evaluation.policies.reward_models import cross_fit
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
    trials
        By estimator.
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
    scenario
        Samples the logs.
    repetitions
        Number of logs.
    seed
        Seed of the first log; the others follow.
    resamples
        Resamples of the bootstrap.
    title, open_progress
        Title of the progress bar, and the function that opens it.
    """
    truth = scenario.truth(seed + 10_000_000)
    names = list(ESTIMATORS)
    values, deviations, standard_errors, interval_widths, clipped_shares = (
        np.empty((repetitions, len(names))) for _ in range(5)
    )
    covered = np.empty((repetitions, len(names)), np.bool_)
    sizes = np.empty((repetitions, 2))
    with open_progress(title, repetitions) as update_progress:
        for index in range(repetitions):
            rounds, target, expected = scenario.sample_log(seed + index)
            inputs = estimator_inputs(rounds, target, cross_fit(rounds, seed=seed + index))
            estimates = [ESTIMATORS[name](inputs) for name in names]
            bootstrap = StudentizedBootstrap(rounds.groups, resamples=resamples, seed=seed + index)
            influences = np.stack([each.influences for each in estimates], axis=1)
            intervals = bootstrap.intervals(
                [each.value for each in estimates], influences, [each.bias for each in estimates]
            )
            values[index] = [each.value for each in estimates]
            deviations[index] = values[index] - expected
            standard_errors[index] = bootstrap.standard_errors(influences)
            clipped_shares[index] = [each.clipped for each in estimates]
            interval_widths[index] = [each.high - each.low for each in intervals]
            covered[index] = [each.low <= truth <= each.high for each in intervals]
            sizes[index] = rounds.rewards.sum(), inputs.weights.sum() ** 2 / (inputs.weights**2).sum()
            update_progress(index + 1)
    return ScenarioResult(
        truth=truth,
        rounds=scenario.users * scenario.n_positions,
        rewarded=float(sizes[:, 0].mean()),
        effective_rounds=float(sizes[:, 1].mean()),
        trials={
            name: EstimatorTrial(
                bias=float(deviations[:, index].mean()),
                bias_std_error=float(deviations[:, index].std(ddof=1) / np.sqrt(repetitions)),
                std_dev=float(values[:, index].std(ddof=1)),
                std_error=float(standard_errors[:, index].mean()),
                coverage=float(covered[:, index].mean()),
                width=float(interval_widths[:, index].mean()),
                clipped=float(clipped_shares[:, index].mean()),
            )
            for index, name in enumerate(names)
        },
    )

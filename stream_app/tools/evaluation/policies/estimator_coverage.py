"""Are the estimators right? Their bias, and how often their intervals hold the truth, on logs with known truth."""

from typing import Final

import msgspec
import numpy as np

from stream_app.tools.evaluation.policies.estimators import ESTIMATORS, Estimator, evidence
from stream_app.tools.evaluation.policies.reward_models import cross_fit
from stream_app.tools.evaluation.policies.studentized_bootstrap import Studentised
from stream_app.tools.evaluation.policies.synthetic_log import World
from stream_app.tools.evaluation.progress import Watch, unwatched

WORLDS: Final[dict[str, World]] = {
    "model right": World(),
    "model wrong": World(curvature=0.8),
    "little overlap": World(shoppers=700, sharpness=2.5),
}
"""The worlds that estimators are tested in."""


class Trial(msgspec.Struct, frozen=True):
    """How an estimator did over all repetitions.

    Attributes
    ----------
    bias, bias_error
        Mean of each estimate less what the target would earn in the contexts of its log, and the standard error
        of that mean.
    spread
        Standard deviation of the estimates.
    error
        Mean of the standard errors it gave.
    coverage
        Share of the 95 % intervals that held the target's value over all contexts.
    width
        Mean width of the intervals.
    clipped
        Mean share of rounds above its threshold.
    """

    bias: float
    bias_error: float
    spread: float
    error: float
    coverage: float
    width: float
    clipped: float


class WorldFigures(msgspec.Struct, frozen=True):
    """A world and the trials in it.

    Attributes
    ----------
    truth
        The target's value.
    rounds
        Of one log.
    rewarded, effective
        Mean number of clicks in a log, and mean effective sample size of its weights.
    trials
        By estimator.
    """

    truth: float
    rounds: int
    rewarded: float
    effective: float
    trials: dict[Estimator, Trial]


def try_estimators(
    world: World,
    *,
    repetitions: int,
    seed: int = 7,
    resamples: int = 500,
    title: str = "",
    watch: Watch = unwatched,
) -> WorldFigures:
    """Estimate the target's value on many logs of a world.

    Parameters
    ----------
    world
        Draws the logs.
    repetitions
        Logs.
    seed
        Of the first log; each has its own.
    resamples
        Of the bootstrap.
    title, watch
        Progress.
    """
    truth = world.truth(seed + 10_000_000)
    names = list(ESTIMATORS)
    values, off, errors, widths, shares = (np.empty((repetitions, len(names))) for _ in range(5))
    held = np.empty((repetitions, len(names)), np.bool_)
    sizes = np.empty((repetitions, 2))
    with watch(title, repetitions) as tell:
        for at in range(repetitions):
            rounds, target, expected = world.draw(seed + at)
            known = evidence(rounds, target, cross_fit(rounds, seed=seed + at))
            found = [ESTIMATORS[name](known) for name in names]
            bootstrap = Studentised(rounds.groups, resamples=resamples, seed=seed + at)
            influences = np.stack([each.influences for each in found], axis=1)
            intervals = bootstrap.intervals(
                [each.value for each in found], influences, [each.bias for each in found]
            )
            values[at] = [each.value for each in found]
            off[at] = values[at] - expected
            errors[at] = bootstrap.errors(influences)
            shares[at] = [each.clipped for each in found]
            widths[at] = [each.high - each.low for each in intervals]
            held[at] = [each.low <= truth <= each.high for each in intervals]
            sizes[at] = rounds.rewards.sum(), known.weights.sum() ** 2 / (known.weights**2).sum()
            tell(at + 1)
    return WorldFigures(
        truth=truth,
        rounds=world.shoppers * world.places,
        rewarded=float(sizes[:, 0].mean()),
        effective=float(sizes[:, 1].mean()),
        trials={
            name: Trial(
                bias=float(off[:, at].mean()),
                bias_error=float(off[:, at].std(ddof=1) / np.sqrt(repetitions)),
                spread=float(values[:, at].std(ddof=1)),
                error=float(errors[:, at].mean()),
                coverage=float(held[:, at].mean()),
                width=float(widths[:, at].mean()),
                clipped=float(shares[:, at].mean()),
            )
            for at, name in enumerate(names)
        },
    )

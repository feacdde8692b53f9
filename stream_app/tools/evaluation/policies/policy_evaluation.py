"""Targets through estimators: what a log says of policies that did not write it."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import msgspec
import numpy as np

from stream_app.errors import UserError
from stream_app.tools.evaluation.policies import targets
from stream_app.tools.evaluation.policies.estimators import ESTIMATORS, Estimator, evidence
from stream_app.tools.evaluation.policies.reward_models import cross_fit, fit
from stream_app.tools.evaluation.policies.rounds import Floats, Rounds
from stream_app.tools.evaluation.policies.studentized_bootstrap import Studentised
from stream_app.tools.evaluation.policies.verdicts import Verdict, verdict
from stream_app.tools.evaluation.progress import Watch, unwatched
from stream_app.tools.evaluation.statistics import Interval

LEARNED_SHARE: Final = 0.5
"""Of the shoppers, those that came first: learned policies learn from them and are evaluated on the rest."""


class Target(StrEnum):
    """Policies that can be asked about by name."""

    UNIFORM = "uniform"
    GREEDY = "greedy"
    SOFTMAX = "softmax"


class EstimateFigures(msgspec.Struct, frozen=True):
    """What an estimator says of a target.

    Attributes
    ----------
    value
        Expected reward of a round.
    difference
        The same less what the logging policy earned in the same rounds.
    threshold, clipped
        Where weights are clipped or switched, and the share of rounds above; None where they are not.
    """

    value: Interval
    difference: Interval
    threshold: float | None
    clipped: float | None


class TargetFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What a log says of a target.

    Attributes
    ----------
    rounds, shoppers
        Evaluated on.
    on_policy
        What the logging policy earned a round there.
    effective
        Effective sample size: (sum of weights) squared over the sum of squared weights.
    effective_rewarded
        The same of weights times rewards: on how many rewarded rounds IPS rests.
    largest_weight, mean_weight
        Of the rounds; a sound log and question make the mean 1.
    outside
        The target's mean probability of what is no candidate.
    estimates
        By estimator.
    truth
        What the target really earned, where its own log was given.
    verdict
        In words, by the doubly robust difference.
    """

    rounds: int
    shoppers: int
    on_policy: Interval
    effective: float
    effective_rewarded: float
    largest_weight: float
    mean_weight: Interval
    outside: float
    estimates: dict[Estimator, EstimateFigures]
    truth: Interval | None
    verdict: Verdict


class Logged(msgspec.Struct, frozen=True, kw_only=True):
    """What a policy earned in its own rounds.

    Attributes
    ----------
    rounds, shoppers, rewarded
        Of the policy; those with a reward other than 0.
    value
        Reward of a round.
    difference
        The same less that of the policy with the most rounds; None for that policy.
    """

    rounds: int
    shoppers: int
    rewarded: int
    value: Interval
    difference: Interval | None = None


class PolicyFigures(msgspec.Struct, frozen=True, kw_only=True):
    """A log, and what it says.

    Attributes
    ----------
    logged
        By policy that wrote it.
    targets
        By target.
    """

    logged: dict[str, Logged]
    targets: dict[str, TargetFigures]


class PolicyEvaluation:
    """Evaluates targets on a log.

    Parameters
    ----------
    rounds
        The log.
    resamples
        Of the bootstrap.
    folds
        Of cross-fitting.
    temperature
        Of the softmax policy, in standard deviations of its scores.
    seed
        Of folds, draws and resamples.
    watch
        Progress.
    """

    def __init__(
        self,
        rounds: Rounds,
        *,
        resamples: int = 1000,
        folds: int = 5,
        temperature: float = 1.0,
        seed: int = 7,
        watch: Watch = unwatched,
    ) -> None:
        self._rounds = rounds
        self._resamples = resamples
        self._folds = folds
        self._temperature = temperature
        self._seed = seed
        self._watch = watch

    def run(
        self, asked: Sequence[Target], other: Rounds | None = None, other_name: str = ""
    ) -> PolicyFigures:
        """Evaluate.

        Parameters
        ----------
        asked
            Targets by name.
        other
            A log of one more target.
        other_name
            Its name in the figures.

        Raises
        ------
        UserError
            If the log is too small for a learned policy.
        """
        rounds = self._rounds
        found: dict[str, TargetFigures] = {}
        total = len(asked) + (other is not None)
        with self._watch("policies", total) as tell:
            if other is not None:
                truth = self._interval(other)
                found[other_name] = self._evaluate(rounds, targets.frequencies(rounds, other), truth)
                tell(len(found))
            for name in asked:
                found[str(name)] = self._named(name)
                tell(len(found))
        return PolicyFigures(logged=self._logged(), targets=found)

    def _named(self, name: Target) -> TargetFigures:
        if name is Target.UNIFORM:
            return self._evaluate(self._rounds, targets.uniform(self._rounds))
        earlier, later = self._rounds.split(LEARNED_SHARE)
        if not earlier.rewards.any():
            raise UserError(f"The first half of the log has no reward, so nothing can be learned for {name}.")
        model = fit(
            earlier.shown_features(),
            earlier.rewards,
            logistic=earlier.binary,
            constants=earlier.design.constants,
        )
        if name is Target.GREEDY:
            return self._evaluate(later, targets.greedy(later, model))
        return self._evaluate(
            later, targets.softmax(later, model, temperature=self._temperature, seed=self._seed)
        )

    def _evaluate(self, rounds: Rounds, asked: targets.Asked, truth: Interval | None = None) -> TargetFigures:
        n = len(rounds)
        known = evidence(rounds, asked.probabilities, cross_fit(rounds, folds=self._folds, seed=self._seed))
        estimates = [estimator(known) for estimator in ESTIMATORS.values()]
        own = float(rounds.rewards.mean())
        weights = known.weights
        heaviest = weights * np.abs(rounds.rewards)
        on_policy = rounds.rewards - own
        influences = np.stack(
            [
                *(each.influences for each in estimates),
                *(each.influences - on_policy for each in estimates),
                on_policy,
                weights - weights.mean(),
            ],
            axis=1,
        )
        values = [each.value for each in estimates]
        biases = [each.bias for each in estimates]
        intervals = self._bootstrap(rounds).intervals(
            [*values, *(value - own for value in values), own, float(weights.mean())],
            influences,
            [*biases, *biases, 0.0, 0.0],
        )
        count = len(estimates)
        differences = dict(zip(ESTIMATORS, intervals[count : 2 * count], strict=True))
        effective, rewarded = _effective(weights), _effective(heaviest)
        return TargetFigures(
            rounds=n,
            shoppers=len(np.unique(rounds.groups)),
            on_policy=intervals[-2].rounded(),
            effective=round(effective, 1),
            effective_rewarded=round(rewarded, 1),
            largest_weight=round(float(weights.max()), 4),
            mean_weight=intervals[-1].rounded(),
            outside=round(asked.outside, 6),
            estimates={
                name: EstimateFigures(
                    value.rounded(),
                    differences[name].rounded(),
                    None if each.threshold is None else round(each.threshold, 4),
                    None if each.threshold is None else round(each.clipped, 6),
                )
                for name, value, each in zip(ESTIMATORS, intervals[:count], estimates, strict=True)
            },
            truth=truth,
            verdict=verdict(
                rounds=n,
                effective=effective,
                rewarded=rewarded,
                weight=intervals[-1],
                outside=asked.outside,
                difference=differences[Estimator.DR],
            ),
        )

    def _logged(self) -> dict[str, Logged]:
        rounds = self._rounds
        counts = np.bincount(rounds.policy, minlength=len(rounds.policies))
        order = [int(at) for at in np.argsort(-counts, kind="stable") if counts[at]]
        means, columns = [], []
        for at in order:
            mine = rounds.policy == at
            mean = float(rounds.rewards[mine].mean())
            means.append(mean)
            columns.append(np.where(mine, rounds.rewards - mean, 0.0) * (len(rounds) / counts[at]))
        influences = np.stack([*columns, *(column - columns[0] for column in columns[1:])], axis=1)
        found = self._bootstrap(rounds).intervals(
            [*means, *(mean - means[0] for mean in means[1:])], influences
        )
        differences = [None, *(each.rounded() for each in found[len(order) :])]
        return {
            rounds.policies[at]: Logged(
                rounds=int(counts[at]),
                shoppers=len(np.unique(rounds.groups[rounds.policy == at])),
                rewarded=int(np.count_nonzero(rounds.rewards[rounds.policy == at])),
                value=value.rounded(),
                difference=difference,
            )
            for at, value, difference in zip(order, found, differences, strict=False)
        }

    def _interval(self, rounds: Rounds) -> Interval:
        """What the policies of a log earned a round."""
        value = float(rounds.rewards.mean())
        [found] = self._bootstrap(rounds).intervals([value], (rounds.rewards - value)[:, None])
        return found.rounded()

    def _bootstrap(self, rounds: Rounds) -> Studentised:
        return Studentised(rounds.groups, resamples=self._resamples, seed=self._seed)


def _effective(weights: Floats) -> float:
    squares = float((weights**2).sum())
    return float(weights.sum()) ** 2 / squares if squares > 0.0 else 0.0

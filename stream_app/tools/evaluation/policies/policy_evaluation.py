"""Evaluation of target policies on a log."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from enum import StrEnum
from typing import Final

import msgspec
import numpy as np

from stream_app.errors import UserError
from stream_app.tools.evaluation.bootstrap import ConfidenceInterval
from stream_app.tools.evaluation.policies import targets
from stream_app.tools.evaluation.policies.estimators import ESTIMATORS, Estimator, estimator_inputs
from stream_app.tools.evaluation.policies.reward_models import cross_fit, fit
from stream_app.tools.evaluation.policies.rounds import Floats, Rounds
from stream_app.tools.evaluation.policies.studentized_bootstrap import StudentizedBootstrap
from stream_app.tools.evaluation.policies.verdicts import PolicyVerdict, verdict
from stream_app.tools.progress import OpenProgress, no_progress

TRAINING_SHARE: Final = 0.5
"""Share of the users, by first round, that learned policies are trained on; the others are for the evaluation."""


class TargetName(StrEnum):
    """Target policies by name."""

    UNIFORM = "uniform"
    GREEDY = "greedy"
    SOFTMAX = "softmax"


class TargetEstimate(msgspec.Struct, frozen=True):
    """An estimate of a target.

    Attributes
    ----------
    value
        Expected reward per round.
    difference
        The same less the reward of the logging policy in the same rounds.
    threshold, clipped
        Weight above which rounds are clipped or switched, and their share; None for other estimators.
    """

    value: ConfidenceInterval
    difference: ConfidenceInterval
    threshold: float | None
    clipped: float | None


class TargetEvaluation(msgspec.Struct, frozen=True, kw_only=True):
    """All estimates of a target.

    Attributes
    ----------
    rounds, users
        Rounds and users of the evaluation.
    on_policy
        Reward of the logging policy per round.
    effective_rounds
        Effective sample size: (sum of weights) squared over the sum of squared weights.
    effective_rewarded_rounds
        The same for weights times rewards: the number of rewarded rounds that IPS depends on.
    largest_weight, mean_weight
        Weights of the rounds; the mean is 1 if the propensities are right and cover the target.
    out_of_support
        Mean probability of the target for items that are not candidates.
    truth
        Reward of the target in its own log, if given.
    verdict
        Interpretation of the doubly robust difference.
    """

    rounds: int
    users: int
    on_policy: ConfidenceInterval
    effective_rounds: float
    effective_rewarded_rounds: float
    largest_weight: float
    mean_weight: ConfidenceInterval
    out_of_support: float
    estimates: dict[Estimator, TargetEstimate]
    truth: ConfidenceInterval | None
    verdict: PolicyVerdict


class LoggedPolicyValue(msgspec.Struct, frozen=True, kw_only=True):
    """Reward of a policy in its own rounds.

    Attributes
    ----------
    rounds, users, rewarded
        Rounds and users of the policy; rounds with a reward other than 0.
    value
        Reward per round.
    difference
        The same less the value of the policy with the most rounds; None for that policy.
    """

    rounds: int
    users: int
    rewarded: int
    value: ConfidenceInterval
    difference: ConfidenceInterval | None = None


class PolicyEstimate(msgspec.Struct, frozen=True, kw_only=True):
    """The results of a log: values of the logging policies and evaluations of the targets, by name."""

    logged: dict[str, LoggedPolicyValue]
    targets: dict[str, TargetEvaluation]


@dataclass(frozen=True)
class PolicyEvaluation:
    """Evaluates targets on a log.

    Attributes
    ----------
    temperature
        Temperature of the softmax policy, in standard deviations of its scores.
    """

    rounds: Rounds
    _: KW_ONLY
    resamples: int = 1000
    folds: int = 5
    temperature: float = 1.0
    seed: int = 7
    open_progress: OpenProgress = no_progress

    def run(
        self, target: Sequence[TargetName], target_log: Rounds | None = None, target_log_name: str = ""
    ) -> PolicyEstimate:
        """Evaluate the targets.

        Parameters
        ----------
        target_log
            Log of one more target, named `target_log_name` in the results.

        Raises
        ------
        UserError
            If the log is too small for a learned policy.
        """
        rounds = self.rounds
        evaluations: dict[str, TargetEvaluation] = {}
        total = len(target) + (target_log is not None)
        with self.open_progress("policies", total) as update_progress:
            if target_log is not None:
                truth = self._interval(target_log)
                evaluations[target_log_name] = self._evaluate(
                    rounds, targets.frequencies(rounds, target_log), truth
                )
                update_progress(len(evaluations))
            for name in target:
                evaluations[str(name)] = self._evaluate_named(name)
                update_progress(len(evaluations))
        return PolicyEstimate(logged=self._logged(), targets=evaluations)

    def _evaluate_named(self, name: TargetName) -> TargetEvaluation:
        if name is TargetName.UNIFORM:
            return self._evaluate(self.rounds, targets.uniform(self.rounds))
        training, held_out = self.rounds.split(TRAINING_SHARE)
        if not training.rewards.any():
            raise UserError(
                f"The first half of the log has no reward, so no model can be learned for {name}."
            )
        model = fit(
            training.chosen_features(),
            training.rewards,
            logistic=training.binary,
            constants=training.design.constants,
        )
        if name is TargetName.GREEDY:
            return self._evaluate(held_out, targets.greedy(held_out, model))
        return self._evaluate(
            held_out, targets.softmax(held_out, model, temperature=self.temperature, seed=self.seed)
        )

    def _evaluate(
        self, rounds: Rounds, target: targets.TargetProbabilities, truth: ConfidenceInterval | None = None
    ) -> TargetEvaluation:
        n = len(rounds)
        inputs = estimator_inputs(
            rounds, target.probabilities, cross_fit(rounds, folds=self.folds, seed=self.seed)
        )
        estimates = [estimator(inputs) for estimator in ESTIMATORS.values()]
        on_policy_value = float(rounds.rewards.mean())
        weights = inputs.weights
        weighted_rewards = weights * np.abs(rounds.rewards)
        on_policy = rounds.rewards - on_policy_value
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
            [*values, *(value - on_policy_value for value in values), on_policy_value, float(weights.mean())],
            influences,
            [*biases, *biases, 0.0, 0.0],
        )
        count = len(estimates)
        differences = dict(zip(ESTIMATORS, intervals[count : 2 * count], strict=True))
        effective_rounds, rewarded = _effective_size(weights), _effective_size(weighted_rewards)
        return TargetEvaluation(
            rounds=n,
            users=len(np.unique(rounds.groups)),
            on_policy=intervals[-2].rounded(),
            effective_rounds=round(effective_rounds, 1),
            effective_rewarded_rounds=round(rewarded, 1),
            largest_weight=round(float(weights.max()), 4),
            mean_weight=intervals[-1].rounded(),
            out_of_support=round(target.out_of_support, 6),
            estimates={
                name: TargetEstimate(
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
                effective_rounds=effective_rounds,
                rewarded=rewarded,
                weight=intervals[-1],
                out_of_support=target.out_of_support,
                difference=differences[Estimator.DR],
            ),
        )

    def _logged(self) -> dict[str, LoggedPolicyValue]:
        rounds = self.rounds
        counts = np.bincount(rounds.policy, minlength=len(rounds.policies))
        order = [int(at) for at in np.argsort(-counts, kind="stable") if counts[at]]
        means, columns = [], []
        for at in order:
            in_policy = rounds.policy == at
            mean = float(rounds.rewards[in_policy].mean())
            means.append(mean)
            columns.append(np.where(in_policy, rounds.rewards - mean, 0.0) * (len(rounds) / counts[at]))
        influences = np.stack([*columns, *(column - columns[0] for column in columns[1:])], axis=1)
        evaluations = self._bootstrap(rounds).intervals(
            [*means, *(mean - means[0] for mean in means[1:])], influences
        )
        differences = [None, *(each.rounded() for each in evaluations[len(order) :])]
        return {
            rounds.policies[at]: LoggedPolicyValue(
                rounds=int(counts[at]),
                users=len(np.unique(rounds.groups[rounds.policy == at])),
                rewarded=int(np.count_nonzero(rounds.rewards[rounds.policy == at])),
                value=value.rounded(),
                difference=difference,
            )
            for at, value, difference in zip(order, evaluations, differences, strict=False)
        }

    def _interval(self, rounds: Rounds) -> ConfidenceInterval:
        value = float(rounds.rewards.mean())
        [evaluations] = self._bootstrap(rounds).intervals([value], (rounds.rewards - value)[:, None])
        return evaluations.rounded()

    def _bootstrap(self, rounds: Rounds) -> StudentizedBootstrap:
        return StudentizedBootstrap(rounds.groups, resamples=self.resamples, seed=self.seed)


def _effective_size(weights: Floats) -> float:
    squares = float((weights**2).sum())
    return float(weights.sum()) ** 2 / squares if squares > 0.0 else 0.0

"""What a target policy would earn a round, estimated from rounds of another policy.

Every estimator gives its value and each round's influence on it: how far, to first order, that round pulls the value
(times the number of rounds; the mean of all is 0). Intervals, also those of differences, are made of influences.
Notation: in round i the logging policy showed an item with propensity p, the target would with probability t;
w = t / p is the round's weight, r its reward, q(a) what the reward model expects of candidate a, q that of the item
shown, v the sum over candidates of the target's probability times q(a).
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Final, NamedTuple

import numpy as np

from stream_app.tools.evaluation.policies.reward_models import CrossFit
from stream_app.tools.evaluation.policies.rounds import Floats, Rounds

_QUANTILES: Final = np.linspace(0.5, 1.0, 51)
"""Of the weights above 0: the thresholds that are tried; the last clips nothing."""


class Estimator(StrEnum):
    """The estimators, in the order of tables."""

    DM = "dm"
    IPS = "ips"
    SNIPS = "snips"
    DR = "dr"
    SWITCH_DR = "switch_dr"
    CLIPPED_IPS = "clipped_ips"
    CLIPPED_DR = "clipped_dr"


class Estimate(NamedTuple):
    """What an estimator says.

    Attributes
    ----------
    value
        Expected reward of a round under the target.
    influences : ndarray of float64, shape (n,)
        Of each round.
    threshold
        The weight that it clips at or switches above; None for those that do not.
    clipped
        Share of the rounds above it.
    bias
        How far it may be off by its own making, as the reward model has it; intervals allow for so much.
    """

    value: float
    influences: Floats
    threshold: float | None = None
    clipped: float = 0.0
    bias: float = 0.0


class Evidence(NamedTuple):
    """What estimators are made of, by round.

    Attributes
    ----------
    rewards, weights, expected, target_value : ndarray of float64, shape (n,)
        r, w, q and v of the module's notation.
    model_influences : ndarray of float64, shape (n,)
        How far each round pulls the mean of `target_value` by way of the reward model.
    """

    rewards: Floats
    weights: Floats
    expected: Floats
    target_value: Floats
    model_influences: Floats


def evidence(rounds: Rounds, target: Floats, fitted: CrossFit) -> Evidence:
    """Put together what estimators need.

    Parameters
    ----------
    rounds
        The log.
    target : ndarray of float64, shape (n, a)
        The target's probability of each candidate in each round.
    fitted
        Reward models.
    """
    n = len(rounds)
    rows = np.arange(n)
    gradients = np.zeros((len(fitted.models), rounds.design.width))
    for batch, features in rounds.batches():
        for each, model in enumerate(fitted.models):
            mine = fitted.fold[batch] == each
            gradients[each] += model.gradient(features[mine], target[batch[mine]])
    pulls = np.zeros(n)
    for each, model in enumerate(fitted.models):
        others = fitted.fold != each
        pulls[others] += model.influences(fitted.features[others], rounds.rewards[others]) @ gradients[each]
    return Evidence(
        rewards=rounds.rewards,
        weights=target[rows, rounds.chosen] / rounds.propensities,
        expected=fitted.predictions[rows, rounds.chosen],
        target_value=(target * fitted.predictions).sum(axis=1),
        # the penalty's own pull keeps the mean off 0
        model_influences=pulls - pulls.mean(),
    )


def direct_method(of: Evidence) -> Estimate:
    """Mean of v: the reward model alone. No variance of weights; as wrong as the model.

    References
    ----------
    Dudík, Langford, Li: Doubly robust policy evaluation and learning, ICML 2011. The influence of a round by way of
    the coefficients is that of an M-estimator: Stefanski, Boos: The calculus of M-estimation, The American
    Statistician 2002.
    """
    value = float(of.target_value.mean())
    return Estimate(value, of.target_value - value + of.model_influences)


def ips(of: Evidence) -> Estimate:
    """Mean of w r, inverse propensity scoring. Unbiased wherever the log could show what the target does.

    References
    ----------
    Horvitz, Thompson: A generalization of sampling without replacement, JASA 1952.
    """
    return _mean(of.weights * of.rewards)


def snips(of: Evidence) -> Estimate:
    """Sum of w r over sum of w, self-normalised IPS: a slight bias for much less variance.

    References
    ----------
    Swaminathan, Joachims: The self-normalized estimator for counterfactual learning, NeurIPS 2015.
    """
    total = of.weights.sum()
    if total <= 0.0:
        return Estimate(float("nan"), np.full(len(of.weights), np.nan))
    value = float((of.weights * of.rewards).sum() / total)
    return Estimate(value, of.weights * (of.rewards - value) / (total / len(of.weights)))


def doubly_robust(of: Evidence) -> Estimate:
    """Mean of v + w (r - q): unbiased if the propensities or the model are right.

    References
    ----------
    Dudík, Erhan, Langford, Li: Doubly robust policy evaluation and optimization, Statistical Science 2014.
    """
    return _mean(of.target_value + of.weights * (of.rewards - of.expected))


def switch_dr(of: Evidence) -> Estimate:
    """Doubly robust, but the model alone where w is above a threshold.

    The threshold is the one with the least estimated variance plus squared bound of the bias, see `threshold`.

    References
    ----------
    Wang, Agarwal, Dudík: Optimal and adaptive off-policy evaluation in contextual bandits, ICML 2017.
    """

    def at(limit: float) -> tuple[Floats, Floats]:
        kept = np.where(of.weights <= limit, of.weights, 0.0)
        return of.target_value + kept * (of.rewards - of.expected), of.weights - kept

    return _thresholded(of, at)


def clipped_ips(of: Evidence) -> Estimate:
    """Mean of min(w, threshold) r: too low, where rewards are above 0, by what is cut off.

    References
    ----------
    Bottou et al.: Counterfactual reasoning and learning systems, JMLR 2013; the threshold as in `switch_dr`.
    """

    def at(limit: float) -> tuple[Floats, Floats]:
        kept = np.minimum(of.weights, limit)
        return kept * of.rewards, of.weights - kept

    return _thresholded(of, at)


def clipped_dr(of: Evidence) -> Estimate:
    """Mean of v + min(w, threshold) (r - q).

    References
    ----------
    Su, Dimakopoulou, Krishnamurthy, Dudík: Doubly robust off-policy evaluation with shrinkage, ICML 2020
    (pessimistic shrinkage); the threshold as in `switch_dr`.
    """

    def at(limit: float) -> tuple[Floats, Floats]:
        kept = np.minimum(of.weights, limit)
        return of.target_value + kept * (of.rewards - of.expected), of.weights - kept

    return _thresholded(of, at)


ESTIMATORS: Final[dict[Estimator, Callable[[Evidence], Estimate]]] = {
    Estimator.DM: direct_method,
    Estimator.IPS: ips,
    Estimator.SNIPS: snips,
    Estimator.DR: doubly_robust,
    Estimator.SWITCH_DR: switch_dr,
    Estimator.CLIPPED_IPS: clipped_ips,
    Estimator.CLIPPED_DR: clipped_dr,
}


def _mean(terms: Floats) -> Estimate:
    value = float(terms.mean())
    return Estimate(value, terms - value)


def _thresholded(of: Evidence, at: Callable[[float], tuple[Floats, Floats]]) -> Estimate:
    """The estimate at the best threshold.

    The bias is taken to be the mean of the weight that is cut off times what the model expects of what was shown:
    what clipped IPS loses by the model's account, and what the others lose where the model is wrong by as much as
    it says. It stands for the bound of Wang et al. (2017, §3.2), which wants the largest expected reward instead;
    with clicks as rare as a shop's that bound never lets anything be clipped. Intervals allow for this bias.

    Parameters
    ----------
    of
        The evidence.
    at
        Terms whose mean is the estimate, and the weight cut off, by round, given a threshold.
    """
    positive = of.weights[of.weights > 0.0]
    limits = np.unique(np.quantile(positive, _QUANTILES)) if len(positive) else np.zeros(1)
    scale = np.abs(of.expected)
    best, least = float(limits[-1]), np.inf
    for limit in limits[::-1]:
        terms, cut = at(float(limit))
        risk = float(terms.var() / len(terms) + (scale * cut).mean() ** 2)
        if risk < least:
            best, least = float(limit), risk
    terms, cut = at(best)
    return _mean(terms)._replace(
        threshold=best, clipped=float((of.weights > best).mean()), bias=float((scale * cut).mean())
    )

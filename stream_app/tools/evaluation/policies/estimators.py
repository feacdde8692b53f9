"""Estimators of the expected reward of a target policy per round, from rounds of another policy.

Every estimator returns its value and the influence of each round: the first-order change of the value by the round,
times the number of rounds; influences have mean 0. Intervals, also of differences, are computed from influences.
Notation: in round i the logging policy chose an item with propensity p, the target would with probability t;
w = t / p is the weight of the round, r its reward, q(a) the reward that the model predicts for candidate a, q that of
the displayed item, v the sum over candidates of the target's probability times q(a).
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Final, NamedTuple

import numpy as np

from stream_app.tools.evaluation.policies.reward_models import CrossFit
from stream_app.tools.evaluation.policies.rounds import Floats, Rounds

_QUANTILES: Final = np.linspace(0.5, 1.0, 51)
"""Quantiles of the positive weights: the thresholds tried; the last one clips nothing."""


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
    """The result of an estimator.

    Attributes
    ----------
    value
        Expected reward of a round under the target.
    influences : ndarray of float64, shape (n,)
        Influence of each round.
    threshold
        Weight above which it clips or switches; None for other estimators.
    clipped
        Share of the rounds above the threshold.
    bias
        Bias by clipping, as estimated by the reward model; intervals are widened by it.
    """

    value: float
    influences: Floats
    threshold: float | None = None
    clipped: float = 0.0
    bias: float = 0.0


class EstimatorInputs(NamedTuple):
    """Inputs of the estimators, by round.

    Attributes
    ----------
    rewards, weights, expected, target_value : ndarray of float64, shape (n,)
        r, w, q and v in the notation of the module.
    model_influences : ndarray of float64, shape (n,)
        Influence of each round on the mean of `target_value` through the reward model.
    """

    rewards: Floats
    weights: Floats
    expected: Floats
    target_value: Floats
    model_influences: Floats


def estimator_inputs(rounds: Rounds, target: Floats, fitted: CrossFit) -> EstimatorInputs:
    """Compute the inputs of the estimators.

    Parameters
    ----------
    target : ndarray of float64, shape (n, a)
        The target's probability of each candidate in each round.
    """
    n = len(rounds)
    rows = np.arange(n)
    gradients = np.zeros((len(fitted.models), rounds.design.width))
    for batch, features in rounds.batches():
        for each, model in enumerate(fitted.models):
            in_fold = fitted.fold[batch] == each
            gradients[each] += model.gradient(features[in_fold], target[batch[in_fold]])
    model_pulls = np.zeros(n)
    for each, model in enumerate(fitted.models):
        out_of_fold = fitted.fold != each
        model_pulls[out_of_fold] += (
            model.influences(fitted.features[out_of_fold], rounds.rewards[out_of_fold]) @ gradients[each]
        )
    return EstimatorInputs(
        rewards=rounds.rewards,
        weights=target[rows, rounds.chosen] / rounds.propensities,
        expected=fitted.predictions[rows, rounds.chosen],
        target_value=(target * fitted.predictions).sum(axis=1),
        # the penalty shifts the mean from 0
        model_influences=model_pulls - model_pulls.mean(),
    )


def direct_method(inputs: EstimatorInputs) -> Estimate:
    """Mean of v: the reward model alone. No variance of weights, but the bias of the model.

    References
    ----------
    Dudík, Langford, Li: Doubly robust policy evaluation and learning, ICML 2011. The influence of a round through
    the coefficients is that of an M-estimator: Stefanski, Boos: The calculus of M-estimation, The American
    Statistician 2002.
    """
    value = float(inputs.target_value.mean())
    return Estimate(value, inputs.target_value - value + inputs.model_influences)


def ips(inputs: EstimatorInputs) -> Estimate:
    """Mean of w r, inverse propensity scoring. Unbiased if the log supports the target.

    References
    ----------
    Horvitz, Thompson: A generalization of sampling without replacement, JASA 1952.
    """
    return _mean(inputs.weights * inputs.rewards)


def snips(inputs: EstimatorInputs) -> Estimate:
    """Sum of w r over sum of w, self-normalized IPS: slightly biased, with much less variance.

    References
    ----------
    Swaminathan, Joachims: The self-normalized estimator for counterfactual learning, NeurIPS 2015.
    """
    total = inputs.weights.sum()
    if total <= 0.0:
        return Estimate(float("nan"), np.full(len(inputs.weights), np.nan))
    value = float((inputs.weights * inputs.rewards).sum() / total)
    return Estimate(value, inputs.weights * (inputs.rewards - value) / (total / len(inputs.weights)))


def doubly_robust(inputs: EstimatorInputs) -> Estimate:
    """Mean of v + w (r - q): unbiased if either the propensities or the model is right.

    References
    ----------
    Dudík, Erhan, Langford, Li: Doubly robust policy evaluation and optimization, Statistical Science 2014.
    """
    return _mean(_corrected(inputs, inputs.weights)[0])


def switch_dr(inputs: EstimatorInputs) -> Estimate:
    """Doubly robust, but the model alone where w is above a threshold.

    The threshold minimizes the estimated variance plus squared bias, see `_with_best_threshold`.

    References
    ----------
    Wang, Agarwal, Dudík: Optimal and adaptive off-policy evaluation in contextual bandits, ICML 2017.
    """
    weights = inputs.weights
    return _with_best_threshold(
        inputs, lambda limit: _corrected(inputs, np.where(weights <= limit, weights, 0.0))
    )


def clipped_ips(inputs: EstimatorInputs) -> Estimate:
    """Mean of min(w, threshold) r: for positive rewards biased downwards by the clipped weight.

    References
    ----------
    Bottou et al.: Counterfactual reasoning and learning systems, JMLR 2013; the threshold as in `switch_dr`.
    """

    def terms_at(limit: float) -> tuple[Floats, Floats]:
        kept_weights = np.minimum(inputs.weights, limit)
        return kept_weights * inputs.rewards, inputs.weights - kept_weights

    return _with_best_threshold(inputs, terms_at)


def clipped_dr(inputs: EstimatorInputs) -> Estimate:
    """Mean of v + min(w, threshold) (r - q).

    References
    ----------
    Su, Dimakopoulou, Krishnamurthy, Dudík: Doubly robust off-policy evaluation with shrinkage, ICML 2020
    (pessimistic shrinkage); the threshold as in `switch_dr`.
    """
    return _with_best_threshold(inputs, lambda limit: _corrected(inputs, np.minimum(inputs.weights, limit)))


ESTIMATORS: Final[dict[Estimator, Callable[[EstimatorInputs], Estimate]]] = {
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


def _corrected(inputs: EstimatorInputs, kept_weights: Floats) -> tuple[Floats, Floats]:
    """The terms of the doubly robust mean with these weights, and the part of each weight that is cut off."""
    residuals = inputs.rewards - inputs.expected
    return inputs.target_value + kept_weights * residuals, inputs.weights - kept_weights


def _with_best_threshold(
    inputs: EstimatorInputs, terms_at: Callable[[float], tuple[Floats, Floats]]
) -> Estimate:
    """The estimate at the best threshold.

    The bias is estimated as the mean of the clipped weight times the predicted reward of the displayed item: the loss
    of clipped IPS according to the model, and the loss of the other estimators if the error of the model is as large
    as its prediction. It replaces the bound of Wang et al. (2017, §3.2), which takes the largest expected reward;
    with clicks as rare as in a shop that bound never permits clipping. Intervals are widened by this bias.

    Parameters
    ----------
    terms_at
        Function from a threshold to the terms whose mean is the estimate, and to the clipped weight, by round.
    """
    positive = inputs.weights[inputs.weights > 0.0]
    limits = np.unique(np.quantile(positive, _QUANTILES)) if len(positive) else np.zeros(1)
    scale = np.abs(inputs.expected)
    best_limit, lowest_risk = float(limits[-1]), np.inf
    for limit in limits[::-1]:
        terms, cut_weights = terms_at(float(limit))
        risk = float(terms.var() / len(terms) + (scale * cut_weights).mean() ** 2)
        if risk < lowest_risk:
            best_limit, lowest_risk = float(limit), risk
    terms, cut_weights = terms_at(best_limit)
    return _mean(terms)._replace(
        threshold=best_limit,
        clipped=float((inputs.weights > best_limit).mean()),
        bias=float((scale * cut_weights).mean()),
    )

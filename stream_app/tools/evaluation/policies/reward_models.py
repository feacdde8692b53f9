"""Reward models: the reward of an item at a position, by ridge or logistic regression.

Both are M-estimators: the coefficients are the zero of the mean score of the rounds, less the penalty. This gives the
influence of each round on the coefficients, which the interval of the direct method needs.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream_app.tools.evaluation.policies.rounds import Floats, Rounds

PENALTY: Final = 1.0
"""Factor of half the squared coefficients, added to a sum over rounds: a prior of unit variance (``C=1`` in
scikit-learn).
"""

CONSTANT_PENALTY: Final = 1e-4
"""The penalty of constants: almost none, but the coefficient of a position without clicks stays finite."""

_MAX_STEPS: Final = 50
_TOLERANCE: Final = 1e-10


@dataclass(frozen=True, kw_only=True)
class RewardModel:
    """A fitted regression.

    Attributes
    ----------
    logistic
        Logistic regression (rewards 0 or 1); otherwise linear.
    coefficients : ndarray of float64, shape (d,)
        Coefficients of the features.
    inverse : ndarray of float64, shape (d, d)
        Inverse of the Hessian of the penalized negative log-likelihood (a sum over rounds).
    """

    logistic: bool
    coefficients: Floats
    inverse: Floats

    def scores(self, features: Floats) -> Floats:
        """The linear predictor, shape of `features` without its last axis."""
        scores: Floats = features @ self.coefficients
        return scores

    def means(self, features: Floats) -> Floats:
        """Expected rewards, shape of `features` without its last axis."""
        return _logistic(self.scores(features)) if self.logistic else self.scores(features)

    def gradient(self, features: Floats, weights: Floats) -> Floats:
        """Gradient of a weighted sum of expected rewards with respect to the coefficients, shape (d,).

        Parameters
        ----------
        features : ndarray of float64, shape (..., d)
            Features of the predictions.
        weights : ndarray of float64, shape (...)
            Their weights in the sum.
        """
        if self.logistic:
            means = self.means(features)
            weights = weights * means * (1.0 - means)
        return np.tensordot(weights, features, axes=weights.ndim)

    def influences(self, features: Floats, rewards: Floats) -> Floats:
        """Influence of each training round on the coefficients, to first order, shape (n, d)."""
        residuals = rewards - self.means(features)
        return (residuals[:, None] * features) @ self.inverse


def fit(
    features: Floats, rewards: Floats, *, logistic: bool, constants: int = 0, penalty: float = PENALTY
) -> RewardModel:
    """Fit a ridge or logistic regression, the latter by Newton's method with step halving.

    Parameters
    ----------
    features : ndarray of float64, shape (n, d)
        Features of the displayed items.
    rewards : ndarray of float64, shape (n,)
        Rewards; 0 or 1 if `logistic`.
    constants
        The number of leading features that are constants and hardly penalized.
    penalty
        Factor of half the squared coefficients of the other features.

    References
    ----------
    Hoerl, Kennard: Ridge regression, Technometrics 1970; McCullagh, Nelder: Generalized linear models, 1989, §4.

    Examples
    --------
    >>> model = fit(np.ones((4, 1)), np.array([1.0, 0.0, 0.0, 0.0]), logistic=True, constants=1)
    >>> model.means(np.array([[1.0]])).round(4).tolist()
    [0.25]
    """
    size = features.shape[1]
    penalties = np.where(np.arange(size) < constants, CONSTANT_PENALTY, penalty)
    ridge = np.diag(penalties)
    if not logistic:
        inverse = np.linalg.inv(features.T @ features + ridge)
        return RewardModel(logistic=False, coefficients=inverse @ (features.T @ rewards), inverse=inverse)
    coefficients = np.zeros(size)
    loss = _loss(features, rewards, coefficients, penalties)
    inverse = np.linalg.inv(ridge)
    for _ in range(_MAX_STEPS):
        means = _logistic(features @ coefficients)
        curvature = means * (1.0 - means)
        inverse = np.linalg.inv((features * curvature[:, None]).T @ features + ridge)
        step = inverse @ (features.T @ (rewards - means) - penalties * coefficients)
        step_size = 1.0
        while step_size > _TOLERANCE:
            new_loss = _loss(features, rewards, coefficients + step_size * step, penalties)
            if new_loss <= loss:
                break
            step_size /= 2.0
        else:
            break
        coefficients = coefficients + step_size * step
        if loss - new_loss <= _TOLERANCE * max(1.0, loss):
            break
        loss = new_loss
    return RewardModel(logistic=True, coefficients=coefficients, inverse=inverse)


def _logistic(scores: Floats) -> Floats:
    return 0.5 * (1.0 + np.tanh(0.5 * scores))  # does not overflow


def _loss(features: Floats, rewards: Floats, coefficients: Floats, penalties: Floats) -> float:
    scores = features @ coefficients
    return float(
        (np.logaddexp(0.0, scores) - rewards * scores).sum() + 0.5 * (penalties * coefficients) @ coefficients
    )


@dataclass(frozen=True, kw_only=True)
class CrossFit:
    """Reward models, each fitted without the rounds that it predicts for.

    Attributes
    ----------
    fold : ndarray of int64, shape (n,)
        Fold of each round; rounds of a user share it.
    models
        Model k is fitted on all rounds except fold k.
    predictions : ndarray of float64, shape (n, a)
        Expected reward of each candidate by the model of the fold of the round; 0 for padding.
    features : ndarray of float64, shape (n, d)
        Features of the displayed items.
    """

    fold: NDArray[np.int64]
    models: tuple[RewardModel, ...]
    predictions: Floats
    features: Floats


def cross_fit(rounds: Rounds, *, folds: int = 5, seed: int = 7, penalty: float = PENALTY) -> CrossFit:
    """Fit reward models by cross-fitting.

    Parameters
    ----------
    rounds
        The log; binary rewards get a logistic regression, others a ridge regression.
    folds
        Number of folds; users are assigned to folds at random.

    References
    ----------
    Chernozhukov et al.: Double/debiased machine learning, The Econometrics Journal 2018.
    """
    _, group_indices = np.unique(rounds.groups, return_inverse=True)
    count = int(group_indices.max()) + 1
    folds = min(folds, count)
    fold_of_group = np.random.default_rng(seed).permutation(count) % folds
    fold = fold_of_group[group_indices]
    features = rounds.chosen_features()
    logistic = rounds.binary
    models = tuple(
        fit(
            features[fold != each],
            rounds.rewards[fold != each],
            logistic=logistic,
            constants=rounds.design.constants,
            penalty=penalty,
        )
        for each in range(folds)
    )
    predictions = np.zeros(rounds.candidates.shape)
    for rows, batch in rounds.batches():
        for each, model in enumerate(models):
            in_fold = fold[rows] == each
            predictions[rows[in_fold]] = model.means(batch[in_fold])
    predictions[rounds.candidates < 0] = 0.0
    return CrossFit(fold=fold, models=models, predictions=predictions, features=features)

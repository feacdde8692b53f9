"""Reward models: what an item earns in a place, by ridge or logistic regression.

Both are M-estimators: the coefficients are where the mean of the rounds' scores, less the penalty, is 0. So is known
how much they move with each round, which the interval of the direct method needs.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream_app.tools.evaluation.policies.rounds import Floats, Rounds

PENALTY: Final = 1.0
"""Of half the squared coefficients, against a sum over rounds: a prior of unit variance (scikit-learn's ``C=1``)."""

CONSTANT_PENALTY: Final = 1e-4
"""The penalty of constants: as good as none, but a place without a click stays finite."""

_MAX_STEPS: Final = 50
_TOLERANCE: Final = 1e-10


@dataclass(frozen=True, kw_only=True)
class RewardModel:
    """A fitted regression.

    Attributes
    ----------
    logistic
        Whether rewards are 0 or 1 and the mean is the logistic function of features times coefficients, else it is
        the product itself.
    coefficients : ndarray of float64, shape (d,)
        Of the features.
    inverse : ndarray of float64, shape (d, d)
        Inverse of the Hessian of the penalised negative log-likelihood (a sum over rounds).
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
        """Derivative by the coefficients of a weighted sum of expected rewards, shape (d,).

        Parameters
        ----------
        features : ndarray of float64, shape (..., d)
            Of what is predicted.
        weights : ndarray of float64, shape (...)
            Its weight in the sum.
        """
        if self.logistic:
            means = self.means(features)
            weights = weights * means * (1.0 - means)
        return np.tensordot(weights, features, axes=weights.ndim)

    def influences(self, features: Floats, rewards: Floats) -> Floats:
        """How far each round that was learned pulls the coefficients, shape (n, d), to first order."""
        residuals = rewards - self.means(features)
        return (residuals[:, None] * features) @ self.inverse


def fit(
    features: Floats, rewards: Floats, *, logistic: bool, constants: int = 0, penalty: float = PENALTY
) -> RewardModel:
    """Fit a ridge or logistic regression (the latter by Newton's method with halved steps).

    Parameters
    ----------
    features : ndarray of float64, shape (n, d)
        Of what was shown.
    rewards : ndarray of float64, shape (n,)
        What it earned; 0 or 1 where `logistic`.
    logistic
        The kind of regression.
    constants
        The first so many features are constants, hardly penalised.
    penalty
        Of half the squared coefficients of the other features.

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
    return 0.5 * (1.0 + np.tanh(0.5 * scores))  # overflows nowhere


def _loss(features: Floats, rewards: Floats, coefficients: Floats, penalties: Floats) -> float:
    scores = features @ coefficients
    return float(
        (np.logaddexp(0.0, scores) - rewards * scores).sum() + 0.5 * (penalties * coefficients) @ coefficients
    )


@dataclass(frozen=True, kw_only=True)
class CrossFit:
    """Reward models, each fitted without the rounds that it predicts.

    Attributes
    ----------
    fold : ndarray of int64, shape (n,)
        The fold of each round; rounds of one shopper share it.
    models
        Model k was fitted on all rounds but those of fold k.
    predictions : ndarray of float64, shape (n, a)
        Expected reward of each candidate by the model of the round's own fold; 0 where there is no candidate.
    features : ndarray of float64, shape (n, d)
        Of what was shown.
    """

    fold: NDArray[np.int64]
    models: tuple[RewardModel, ...]
    predictions: Floats
    features: Floats


def cross_fit(rounds: Rounds, *, folds: int = 5, seed: int = 7, penalty: float = PENALTY) -> CrossFit:
    """Fit reward models in the way of cross-fitting.

    Parameters
    ----------
    rounds
        The log; rewards of 0 and 1 alone get a logistic regression, others a ridge regression.
    folds
        Parts that shoppers are dealt to.
    seed
        Of the dealing.
    penalty
        Of half the squared coefficients, but of constants.

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

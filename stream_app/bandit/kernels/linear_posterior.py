"""The sums of a linear posterior, and its mean and precision."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.bandit.kernels.examination import (
    ExaminationModel,
    PositionModel,
    RankSum,
    count_reward,
    estimate_examination,
)
from stream_app.bandit.kernels.features import clip_feature
from stream_app.bandit.kernels.linear_algebra import cholesky, solve
from stream_app.models.array_types import Floats, Matrix, Rows
from stream_app.models.kernels.jit import SUMS, jit

_JITTER = 1e-9
"""First addition to the diagonal of a singular matrix, relative to its largest element."""


class LinearSums(NamedTuple):
    """Weighted sums over impressions and rewards; the last of the d features is the constant 1."""

    # shape (positions, d, d): outer products of the features of impressions, lower triangles
    outer: NDArray[np.float64]
    features: NDArray[np.float64]  # shape (positions, d): features of impressions
    rewards: NDArray[np.float64]  # shape (d,): features of rewards, times the value
    ranks: NDArray[np.float64]  # shape (positions, len(RankSum))


class LinearPrior(NamedTuple):
    """The prior of the weights."""

    mean: NDArray[np.float64]  # shape (d,)
    precision: NDArray[np.float64]  # shape (d,): diagonal of the precision matrix
    reward_scale: float  # value that counts as 1; 0 for the root mean square of the rewards


class LinearEstimate(NamedTuple):
    """Output of `posterior`."""

    mean: NDArray[np.float64]  # shape (d,)
    # shape (d, d): Cholesky factor of the precision matrix; above the diagonal anything
    lower: NDArray[np.float64]
    examination: NDArray[np.float64]  # shape (positions,): examination probabilities


@jit(fastmath=SUMS, numpy_errors=True)
def fold_impressions(
    features: Matrix, positions: Rows, weight: float, outer: Floats, feature_sums: Floats, rank_sums: Floats
) -> None:
    """Add impressions to the sums of their positions.

    Parameters
    ----------
    features : ndarray of float32, shape (m, d - 1)
    positions : ndarray of int32, shape (m,)
        Clipped to the positions there are.
    outer, feature_sums, rank_sums
        See `LinearSums`. Single arrays: as a named tuple they would cost a tenth of the call.
    """
    d = features.shape[1] + 1
    x = np.empty(d)
    x[d - 1] = 1.0
    for row in range(len(features)):
        rank = min(max(positions[row], 0), len(rank_sums) - 1)
        for i in range(d - 1):
            x[i] = clip_feature(features[row, i])
        for i in range(d):
            feature_sums[rank, i] += weight * x[i]
        target = outer[rank]
        for i in range(d):
            scaled_x = weight * x[i]
            if scaled_x != 0.0:
                for j in range(i + 1):
                    target[i, j] += scaled_x * x[j]
        rank_sums[rank, RankSum.IMPRESSIONS] += weight


@jit(fastmath=SUMS, numpy_errors=True)
def fold_reward(
    features: Matrix,
    position: int,
    value: float,
    first: bool,
    weight: float,
    reward_sums: Floats,
    rank_sums: Floats,
) -> None:
    """Add a reward to the sums.

    Parameters
    ----------
    features : ndarray of float32, shape (d - 1,)
    position
        Clipped to the positions there are.
    value, first
        Value of the reward, and whether it is the first reaction to the item on this list.
    reward_sums, rank_sums
        See `LinearSums`.
    """
    rank = min(max(position, 0), len(rank_sums) - 1)
    for i in range(len(features)):
        reward_sums[i] += weight * value * clip_feature(features[i])
    reward_sums[len(features)] += weight * value
    count_reward(rank_sums, rank, value, first, weight)


@jit(fastmath=SUMS, numpy_errors=True)
def posterior(
    sums: LinearSums,
    decay_factor: float,
    prior: LinearPrior,
    model: ExaminationModel,
    n_iterations: int,
    estimate: LinearEstimate,
) -> None:
    """Compute the posterior mean, the Cholesky factor of the precision and the examination probabilities.

    The posterior and the examination probabilities are estimated in turns, starting from the prior of the latter.
    Nothing is kept between calls, so equal sums give equal posteriors. If the sums give no finite mean and factor,
    the output is the prior.

    Parameters
    ----------
    estimate
        Output.
    """
    mean, lower, examination = estimate
    predicted = np.zeros(len(examination))
    matrix = np.empty((len(mean), len(mean)))
    for rank in range(len(examination)):
        examination[rank] = model.prior[rank]
    if model.model != PositionModel.POSITION:
        # these do not depend on the posterior
        estimate_examination(sums.ranks, predicted, model, decay_factor, examination)
        n_iterations = 0
    rhs = _right_hand_side(sums, prior, decay_factor)
    for iteration in range(n_iterations + 1):
        _write_precision(sums, prior, decay_factor, examination, matrix)
        valid = _factorize(matrix, lower)
        solve(lower, rhs, mean)
        if not (valid and _all_finite(estimate)):
            _reset_to_prior(prior, model, estimate)
            return
        if iteration < n_iterations:
            for rank in range(len(examination)):
                total = 0.0
                for i in range(len(mean)):
                    total += mean[i] * sums.features[rank, i]
                predicted[rank] = total
            estimate_examination(sums.ranks, predicted, model, decay_factor, examination)


@jit(fastmath=SUMS, numpy_errors=True)
def _right_hand_side(sums: LinearSums, prior: LinearPrior, decay_factor: float) -> Floats:
    """Precision times mean: the prior's plus the rewards', in units of the reward scale."""
    reward_scale = prior.reward_scale
    if not reward_scale > 0.0:
        square_sum = sums.ranks[:, RankSum.SQUARED_VALUE].sum()
        reward_scale = (
            math.sqrt(square_sum / sums.ranks[:, RankSum.REWARDS].sum()) if square_sum > 0.0 else 1.0
        )
    rhs = np.empty(len(prior.mean))
    for i in range(len(rhs)):
        rhs[i] = prior.precision[i] * prior.mean[i] + decay_factor / reward_scale * sums.rewards[i]
    return rhs


@jit(fastmath=SUMS, numpy_errors=True)
def _write_precision(
    sums: LinearSums, prior: LinearPrior, decay_factor: float, examination: Floats, matrix: Floats
) -> None:
    d = len(matrix)
    for i in range(d):
        for j in range(i + 1):
            matrix[i, j] = 0.0
        matrix[i, i] = prior.precision[i]
    for rank in range(len(examination)):
        if sums.ranks[rank, RankSum.IMPRESSIONS] > 0.0:
            scale = decay_factor * examination[rank]
            for i in range(d):
                for j in range(i + 1):
                    matrix[i, j] += scale * sums.outer[rank, i, j]


@jit(fastmath=SUMS, numpy_errors=True)
def _factorize(matrix: Floats, lower: Floats) -> bool:
    """Write the Cholesky factor; a matrix singular by rounding gets a growing addition to its diagonal."""
    valid = cholesky(matrix, lower)
    if not valid:
        jitter = 0.0
        for i in range(len(matrix)):
            jitter = max(jitter, _JITTER * matrix[i, i])
        while not valid and 0.0 < jitter < 1e300:
            for i in range(len(matrix)):
                matrix[i, i] += jitter
            valid = cholesky(matrix, lower)
            jitter *= 10.0
    return valid


@jit(fastmath=SUMS, numpy_errors=True)
def _all_finite(estimate: LinearEstimate) -> bool:
    for i in range(len(estimate.mean)):
        if not (math.isfinite(estimate.mean[i]) and math.isfinite(estimate.lower[i, i])):
            return False
    return bool(np.isfinite(estimate.examination).all())


@jit(fastmath=SUMS, numpy_errors=True)
def _reset_to_prior(prior: LinearPrior, model: ExaminationModel, estimate: LinearEstimate) -> None:
    for i in range(len(estimate.mean)):
        estimate.mean[i] = prior.mean[i]
        for j in range(i):
            estimate.lower[i, j] = 0.0
        estimate.lower[i, i] = math.sqrt(prior.precision[i])
    for rank in range(len(estimate.examination)):
        estimate.examination[rank] = model.prior[rank]

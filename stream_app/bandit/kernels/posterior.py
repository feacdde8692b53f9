"""The compiled inner loops of the posteriors; see `stream_app.models.kernels.shared` for the rules."""

# ruff: noqa: C901, PLR0912 - one loop, one kernel: arrays are costly to pass on

import math
from typing import Any

import numpy as np

from stream_app.models.kernels.jit import SUMS, jit


@jit(fastmath=SUMS, numpy_errors=True)
def clip_feature(value: Any, max_abs: float) -> float:
    """A feature within `max_abs` of 0, and 0 if it is no number."""
    if math.isnan(value):
        return 0.0
    return float(min(max(value, -max_abs), max_abs))


@jit(fastmath=SUMS, numpy_errors=True)
def fold_impressions(
    features: Any, positions: Any, weight: float, max_abs: float, outer: Any, sums: Any, rank_sums: Any
) -> None:
    """Add the outer products (lower triangles) of what was seen to those of their places; the last feature is a 1."""
    d = features.shape[1] + 1
    x = np.empty(d)
    x[d - 1] = 1.0
    for row in range(len(features)):
        rank = min(max(positions[row], 0), len(rank_sums) - 1)
        for i in range(d - 1):
            x[i] = clip_feature(features[row, i], max_abs)
        for i in range(d):
            sums[rank, i] += weight * x[i]
        target = outer[rank]
        for i in range(d):
            scaled_x = weight * x[i]
            if scaled_x != 0.0:
                for j in range(i + 1):
                    target[i, j] += scaled_x * x[j]
        rank_sums[rank, 0] += weight


@jit(fastmath=SUMS, numpy_errors=True)
def fold_reward(
    features: Any,
    position: int,
    value: float,
    first: bool,
    weight: float,
    max_abs: float,
    reward_sums: Any,
    rank_sums: Any,
) -> None:
    """Add value times features and 1, and the value to its place."""
    rank = min(max(position, 0), len(rank_sums) - 1)
    for i in range(len(features)):
        reward_sums[i] += weight * value * clip_feature(features[i], max_abs)
    reward_sums[len(features)] += weight * value
    if first and value > 0:
        rank_sums[rank, 1] += weight
    rank_sums[rank, 2] += weight * value
    rank_sums[rank, 3] += weight * value * value
    rank_sums[rank, 4] += weight


@jit(fastmath=SUMS, numpy_errors=True)
def estimate_examination(
    rank_sums: Any,
    predicted: Any,
    mode: int,
    prior: Any,
    floor: float,
    prior_strength: float,
    decay_factor: float,
    examination: Any,
) -> None:
    """Write how likely each place is to be looked at; `examination` holds the last estimate.

    Parameters
    ----------
    rank_sums : ndarray of float64, shape (places, 5)
        Showings, first reactions, values, squared values, rewards.
    predicted : ndarray of float64, shape (places,)
        What the items shown there would have brought if all had been looked at, in any unit.
    mode
        0 for the position-based model, 1 for the cascade, 2 for none.
    prior : ndarray of float64, shape (places,)
        What `prior_strength` rewards a place speak for.
    decay_factor
        What turns the sums into sums decayed until now.
    """
    n = len(examination)
    if mode == 2:
        for rank in range(n):
            examination[rank] = 1.0
    elif mode == 1:
        # the first choice ends the scan: what was chosen above is what did not get here
        reached = 1.0
        for rank in range(n):
            examination[rank] = min(max(reached, floor), 1.0)
            reached -= (
                decay_factor * rank_sums[rank, 1] / (decay_factor * rank_sums[rank, 0] + prior_strength)
            )
    else:
        observed_reward = 0.0
        expected_reward = 0.0
        rewards = 0.0
        for rank in range(n):
            observed_reward += max(rank_sums[rank, 2], 0.0)
            expected_reward += examination[rank] * max(predicted[rank], 0.0)
            rewards += rank_sums[rank, 4]
        if not (observed_reward > 0.0 and expected_reward > 0.0):
            for rank in range(n):
                examination[rank] = prior[rank]
            return
        # the predictions may be off by a factor while little is known: only their proportions count
        scale = observed_reward / expected_reward
        prior_reward = prior_strength * observed_reward / rewards
        first_estimate = 1.0
        for rank in range(n):
            estimate = (decay_factor * max(rank_sums[rank, 2], 0.0) + prior_reward * prior[rank]) / (
                decay_factor * scale * max(predicted[rank], 0.0) + prior_reward
            )
            if rank == 0:
                first_estimate = estimate
            examination[rank] = min(max(estimate / first_estimate, floor), 1.0)


@jit(fastmath=SUMS, numpy_errors=True)
def cholesky(matrix: Any, lower: Any) -> bool:
    """Write the lower Cholesky factor; False if the matrix (its lower triangle) is not positive definite."""
    d = len(matrix)
    for i in range(d):
        for j in range(i + 1):
            total = matrix[i, j]
            for k in range(j):
                total -= lower[i, k] * lower[j, k]
            if i == j:
                if not total > 0.0:
                    return False
                lower[i, i] = math.sqrt(total)
            else:
                lower[i, j] = total / lower[j, j]
    return True


@jit(fastmath=SUMS, numpy_errors=True)
def solve_transposed(lower: Any, out: Any) -> None:
    """Turn `out` into the solution of Lᵀ · solution = out."""
    for step in range(len(lower)):
        i = len(lower) - 1 - step
        out[i] /= lower[i, i]
        for k in range(i):
            out[k] -= lower[i, k] * out[i]


@jit(fastmath=SUMS, numpy_errors=True)
def solve(lower: Any, rhs: Any, out: Any) -> None:
    """Write the solution of L Lᵀ out = right."""
    d = len(lower)
    for i in range(d):
        total = rhs[i]
        for k in range(i):
            total -= lower[i, k] * out[k]
        out[i] = total / lower[i, i]
    solve_transposed(lower, out)


@jit(fastmath=SUMS, numpy_errors=True)
def cholesky_rank_one_update(lower: Any, whitened_mean: Any, x: Any, value: float) -> None:
    """Add x xᵀ to A and value · x to A · mean, in O(d²).

    For a posterior whose past does not fade against the prior and whose places are not weighed anew: A changes by
    one row then. Rotations alone are used, so rounding does not pile up.

    Parameters
    ----------
    lower : ndarray of float64, shape (d, d)
        Cholesky factor L of A.
    whitened_mean : ndarray of float64, shape (d,)
        Lᵀ · mean. With normal noise added, `solve_transposed` makes a draw of the posterior of it, without the mean.
    x : ndarray of float64, shape (d,)
        Used up.
    value
        What the showing of x brought.

    References
    ----------
    Gill, Golub, Murray, Saunders: Methods for modifying matrix factorizations, Mathematics of Computation 1974.
    """
    d = len(whitened_mean)
    for k in range(d):
        length = math.sqrt(lower[k, k] * lower[k, k] + x[k] * x[k])
        cosine = lower[k, k] / length
        sine = x[k] / length
        lower[k, k] = length
        for i in range(k + 1, d):
            previous = lower[i, k]
            lower[i, k] = cosine * previous + sine * x[i]
            x[i] = cosine * x[i] - sine * previous
        previous = whitened_mean[k]
        whitened_mean[k] = cosine * previous + sine * value
        value = cosine * value - sine * previous


@jit(fastmath=SUMS, numpy_errors=True)
def posterior(
    outer: Any,
    sums: Any,
    reward_sums: Any,
    rank_sums: Any,
    decay_factor: float,
    prior_mean: Any,
    prior_precision: Any,
    reward_scale: float,
    mode: int,
    examination_prior: Any,
    floor: float,
    prior_strength: float,
    n_iterations: int,
    mean: Any,
    lower: Any,
    examination: Any,
) -> None:
    """Write mean, Cholesky factor of the precision and chances of the places that follow from the sums.

    The posterior and the chances of the places are found in turns, from the prior of the places on: nothing is kept
    from one call to the next, so equal sums have equal posteriors. Rewards are counted in `reward_scale`, or where
    that is 0 in the root of their mean square. Sums that give no finite mean and factor leave the prior.
    """
    d = len(mean)
    rhs = np.empty(d)
    predicted = np.zeros(len(examination))
    matrix = np.empty((d, d))
    for rank in range(len(examination)):
        examination[rank] = examination_prior[rank]
    if mode != 0:
        estimate_examination(
            rank_sums, predicted, mode, examination_prior, floor, prior_strength, decay_factor, examination
        )
        n_iterations = 0
    if not reward_scale > 0.0:
        reward_scale = (
            math.sqrt(rank_sums[:, 3].sum() / rank_sums[:, 4].sum()) if rank_sums[:, 3].sum() > 0.0 else 1.0
        )
    for i in range(d):
        rhs[i] = prior_precision[i] * prior_mean[i] + decay_factor / reward_scale * reward_sums[i]
    for iteration in range(n_iterations + 1):
        for i in range(d):
            for j in range(i + 1):
                matrix[i, j] = 0.0
            matrix[i, i] = prior_precision[i]
        for rank in range(len(examination)):
            if rank_sums[rank, 0] > 0.0:
                scale = decay_factor * examination[rank]
                for i in range(d):
                    for j in range(i + 1):
                        matrix[i, j] += scale * outer[rank, i, j]
        valid = cholesky(matrix, lower)
        if not valid:
            # rounding, with values far apart: the prior's share is raised until there is a factor
            jitter = 0.0
            for i in range(d):
                jitter = max(jitter, 1e-9 * matrix[i, i])
            while not valid and 0.0 < jitter < 1e300:
                for i in range(d):
                    matrix[i, i] += jitter
                valid = cholesky(matrix, lower)
                jitter *= 10.0
        solve(lower, rhs, mean)
        for i in range(d):
            valid = valid and math.isfinite(mean[i]) and math.isfinite(lower[i, i])
        for rank in range(len(examination)):
            valid = valid and math.isfinite(examination[rank])
        if not valid:
            for i in range(d):
                mean[i] = prior_mean[i]
                for j in range(i):
                    lower[i, j] = 0.0
                lower[i, i] = math.sqrt(prior_precision[i])
            for rank in range(len(examination)):
                examination[rank] = examination_prior[rank]
            return
        if iteration < n_iterations:
            for rank in range(len(examination)):
                total = 0.0
                for i in range(d):
                    total += mean[i] * sums[rank, i]
                predicted[rank] = total
            estimate_examination(
                rank_sums,
                predicted,
                mode,
                examination_prior,
                floor,
                prior_strength,
                decay_factor,
                examination,
            )

"""The sums of a linear posterior, and what follows from them."""

# ruff: noqa: C901, PLR0912 - one loop, one kernel: arrays are costly to pass on

import math
from typing import Any

import numpy as np

from stream_app.bandit.kernels.examination import estimate_examination
from stream_app.bandit.kernels.features import clip_feature
from stream_app.bandit.kernels.linear_algebra import cholesky, solve
from stream_app.models.kernels.jit import SUMS, jit


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

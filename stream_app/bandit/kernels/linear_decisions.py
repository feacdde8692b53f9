"""Slates by a linear posterior."""

import math

import numpy as np

from stream_app.bandit.kernels.features import MAX_ABS_FEATURE, clip_feature
from stream_app.bandit.kernels.random import normal, seeded
from stream_app.bandit.kernels.slates import seeded_ensemble_slate, top_k
from stream_app.models.array_types import Floats, Matrix, Rows
from stream_app.models.kernels.jit import SUMS, jit


@jit(fastmath=SUMS, numpy_errors=True)
def sample_weights(mean: Floats, lower: Floats, scale: float, seed: np.uint64, weights: Matrix) -> None:
    """Sample weight vectors from a Gaussian posterior.

    Parameters
    ----------
    mean : ndarray of float64, shape (d,)
    lower : ndarray of float64, shape (d, d)
        Cholesky factor of the precision matrix.
    scale
        Multiplier of the standard deviations.
    weights : ndarray of float32, shape (d, draws)
    """
    d, draws = weights.shape
    random = seeded(seed)
    deviations = np.empty((d, draws))
    for i in range(d):
        for draw in range(draws):
            deviations[i, draw] = scale * normal(random)
    # solves Lᵀ u = z from the last row up, all draws at once
    for steps_back in range(d):
        i = d - 1 - steps_back
        row = deviations[i]
        inverse = 1.0 / lower[i, i]
        for draw in range(draws):
            row[draw] *= inverse
        for k in range(i):
            factor = lower[i, k]
            out_row = deviations[k]
            for draw in range(draws):
                out_row[draw] -= factor * row[draw]
    for i in range(d):
        for draw in range(draws):
            weights[i, draw] = mean[i] + deviations[i, draw]


@jit(fastmath=SUMS, numpy_errors=True)
def thompson_slate(
    features: Matrix, weights: Matrix, seed: np.uint64, order: Rows, propensities: Floats
) -> None:
    """Choose a slate by one of the sampled weight vectors, each equally likely.

    Parameters
    ----------
    features : ndarray of float32, shape (n, d)
    weights : ndarray of float32, shape (d + 1, draws)
        Output of `sample_weights`; the last row, the intercept, does not change the order.
    order : ndarray of int32, shape (k,)
        Output: rows, best first.
    propensities : ndarray of float64, shape (k,)
        Output: share of the weight vectors that have this row at this rank.
    """
    n, d = features.shape
    draws = weights.shape[1]
    scores = np.zeros((n, draws), np.float32)
    for row in range(n):
        out_row = scores[row]
        for i in range(d):
            value = features[row, i]
            if math.isnan(value) or value == 0.0:
                continue
            x = np.float32(min(max(value, -MAX_ABS_FEATURE), MAX_ABS_FEATURE))
            weight = weights[i]
            for draw in range(draws):
                out_row[draw] += x * weight[draw]
    seeded_ensemble_slate(scores, seed, order, propensities)


@jit(fastmath=SUMS, numpy_errors=True)
def ucb_order(features: Matrix, mean: Floats, lower: Floats, width: float, order: Rows) -> None:
    """Order the candidates by the upper confidence bound, mean + width · sqrt(xᵀ A⁻¹ x).

    Parameters
    ----------
    features : ndarray of float32, shape (n, d)
    mean : ndarray of float64, shape (d + 1,)
    lower : ndarray of float64, shape (d + 1, d + 1)
        Cholesky factor of A.
    width
        0 orders by the mean.
    order : ndarray of int32, shape (k,)
        Output: rows, best first.
    """
    n, d = features.shape
    scores = np.empty(n)
    x = np.empty(d + 1)
    for row in range(n):
        score = 0.0
        x[d] = 1.0
        for i in range(d):
            x[i] = clip_feature(features[row, i])
            score += mean[i] * x[i]
        if width > 0.0:
            square = 0.0
            for i in range(d + 1):
                total = x[i]
                for k in range(i):
                    total -= lower[i, k] * x[k]
                x[i] = total / lower[i, i]
                square += x[i] * x[i]
            score += width * math.sqrt(square)
        scores[row] = score
    top_k(scores, order)

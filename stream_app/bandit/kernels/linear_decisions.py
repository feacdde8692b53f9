"""Slates by a linear posterior."""

import math
from typing import Any

import numpy as np

from stream_app.bandit.kernels.random import normal, randint
from stream_app.bandit.kernels.slates import ensemble_slate, top_k
from stream_app.models.kernels.jit import SUMS, jit


@jit(fastmath=SUMS, numpy_errors=True)
def sample_weights(mean: Any, lower: Any, scale: float, seed: Any, weights: Any) -> None:
    """Draw weightings from a Gaussian posterior.

    Parameters
    ----------
    mean : ndarray of float64, shape (d,)
    lower : ndarray of float64, shape (d, d)
        Cholesky factor of the precision.
    scale
        What the standard deviations are multiplied by.
    seed
        An unsigned whole number.
    weights : ndarray of float32, shape (d, draws)
        Gets the weightings.
    """
    d, draws = weights.shape
    state = np.empty(1, np.uint64)
    state[0] = seed
    spare = np.zeros(2)
    deviations = np.empty((d, draws))
    for i in range(d):
        for draw in range(draws):
            deviations[i, draw] = scale * normal(state, spare)
    # L' u = z, from the last row up, all draws at once
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
    features: Any, weights: Any, seed: Any, max_abs: float, order: Any, propensities: Any
) -> None:
    """Choose a slate by one of the weightings, each equally likely; see `ensemble_slate`."""
    # what is added to all does not change their order
    n, d = features.shape
    draws = weights.shape[1]
    scores = np.zeros((n, draws), np.float32)
    for row in range(n):
        out_row = scores[row]
        for i in range(d):
            value = features[row, i]
            if math.isnan(value) or value == 0.0:
                continue
            x = np.float32(min(max(value, -max_abs), max_abs))
            weight = weights[i]
            for draw in range(draws):
                out_row[draw] += x * weight[draw]
    state = np.empty(1, np.uint64)
    state[0] = seed
    ensemble_slate(scores, randint(state, draws), order, propensities)


@jit(fastmath=SUMS, numpy_errors=True)
def ucb_order(features: Any, mean: Any, lower: Any, width: float, max_abs: float, order: Any) -> None:
    """Choose the largest upper confidence bounds, mean + width · sqrt(xᵀ A⁻¹ x); `lower` is the factor of A."""
    n, d = features.shape
    scores = np.empty(n)
    x = np.empty(d + 1)
    for row in range(n):
        score = 0.0
        x[d] = 1.0
        for i in range(d):
            value = features[row, i]
            x[i] = 0.0 if math.isnan(value) else min(max(value, -max_abs), max_abs)
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

"""The compiled inner loops of the posteriors; see `stream_app.models.kernels.shared` for the rules."""

# ruff: noqa: C901, PLR0912 - one loop, one kernel: arrays are costly to pass on

import math
from typing import Any

import numpy as np

from stream_app.models.kernels.jit import SUMS, jit


@jit(fastmath=SUMS, numpy_errors=True)
def safe(value: Any, largest: float) -> float:
    """A feature within `largest` of 0, and 0 if it is no number."""
    if math.isnan(value):
        return 0.0
    return float(min(max(value, -largest), largest))


@jit(fastmath=SUMS, numpy_errors=True)
def fold_seen(
    features: Any, positions: Any, weight: float, largest: float, outer: Any, sums: Any, places: Any
) -> None:
    """Add the outer products (lower triangles) of what was seen to those of their places; the last feature is a 1."""
    d = features.shape[1] + 1
    x = np.empty(d)
    x[d - 1] = 1.0
    for row in range(len(features)):
        place = min(max(positions[row], 0), len(places) - 1)
        for i in range(d - 1):
            x[i] = safe(features[row, i], largest)
        for i in range(d):
            sums[place, i] += weight * x[i]
        to = outer[place]
        for i in range(d):
            scaled = weight * x[i]
            if scaled != 0.0:
                for j in range(i + 1):
                    to[i, j] += scaled * x[j]
        places[place, 0] += weight


@jit(fastmath=SUMS, numpy_errors=True)
def fold_reward(
    features: Any,
    position: int,
    value: float,
    first: bool,
    weight: float,
    largest: float,
    rewarded: Any,
    places: Any,
) -> None:
    """Add value times features and 1, and the value to its place."""
    place = min(max(position, 0), len(places) - 1)
    for i in range(len(features)):
        rewarded[i] += weight * value * safe(features[i], largest)
    rewarded[len(features)] += weight * value
    if first and value > 0:
        places[place, 1] += weight
    places[place, 2] += weight * value
    places[place, 3] += weight * value * value
    places[place, 4] += weight


@jit(fastmath=SUMS, numpy_errors=True)
def place_weights(
    places: Any,
    predicted: Any,
    mode: int,
    prior: Any,
    floor: float,
    trust: float,
    factor: float,
    weights: Any,
) -> None:
    """Write how likely each place is to be looked at; `weights` holds the last estimate.

    Parameters
    ----------
    places : ndarray of float64, shape (places, 5)
        Showings, first reactions, values, squared values, rewards.
    predicted : ndarray of float64, shape (places,)
        What the items shown there would have brought if all had been looked at, in any unit.
    mode
        0 for the position-based model, 1 for the cascade, 2 for none.
    prior : ndarray of float64, shape (places,)
        What `trust` rewards a place speak for.
    factor
        What turns the sums into sums decayed until now.
    """
    n = len(weights)
    if mode == 2:
        for place in range(n):
            weights[place] = 1.0
    elif mode == 1:
        # the first choice ends the scan: what was chosen above is what did not get here
        reached = 1.0
        for place in range(n):
            weights[place] = min(max(reached, floor), 1.0)
            reached -= factor * places[place, 1] / (factor * places[place, 0] + trust)
    else:
        got = 0.0
        expected = 0.0
        rewards = 0.0
        for place in range(n):
            got += max(places[place, 2], 0.0)
            expected += weights[place] * max(predicted[place], 0.0)
            rewards += places[place, 4]
        if not (got > 0.0 and expected > 0.0):
            for place in range(n):
                weights[place] = prior[place]
            return
        # the predictions may be off by a factor while little is known: only their proportions count
        scale = got / expected
        pull = trust * got / rewards
        top = 1.0
        for place in range(n):
            estimate = (factor * max(places[place, 2], 0.0) + pull * prior[place]) / (
                factor * scale * max(predicted[place], 0.0) + pull
            )
            if place == 0:
                top = estimate
            weights[place] = min(max(estimate / top, floor), 1.0)


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
    for back in range(len(lower)):
        i = len(lower) - 1 - back
        out[i] /= lower[i, i]
        for k in range(i):
            out[k] -= lower[i, k] * out[i]


@jit(fastmath=SUMS, numpy_errors=True)
def solve(lower: Any, right: Any, out: Any) -> None:
    """Write the solution of L Lᵀ out = right."""
    d = len(lower)
    for i in range(d):
        total = right[i]
        for k in range(i):
            total -= lower[i, k] * out[k]
        out[i] = total / lower[i, i]
    solve_transposed(lower, out)


@jit(fastmath=SUMS, numpy_errors=True)
def absorb(lower: Any, root: Any, x: Any, value: float) -> None:
    """Add x xᵀ to A and value · x to A · mean, in O(d²).

    For a posterior whose past does not fade against the prior and whose places are not weighed anew: A changes by
    one row then. Rotations alone are used, so rounding does not pile up.

    Parameters
    ----------
    lower : ndarray of float64, shape (d, d)
        Cholesky factor L of A.
    root : ndarray of float64, shape (d,)
        Lᵀ · mean. With normal noise added, `solve_transposed` makes a draw of the posterior of it, without the mean.
    x : ndarray of float64, shape (d,)
        Used up.
    value
        What the showing of x brought.

    References
    ----------
    Gill, Golub, Murray, Saunders: Methods for modifying matrix factorizations, Mathematics of Computation 1974.
    """
    d = len(root)
    for k in range(d):
        length = math.sqrt(lower[k, k] * lower[k, k] + x[k] * x[k])
        cosine = lower[k, k] / length
        sine = x[k] / length
        lower[k, k] = length
        for i in range(k + 1, d):
            before = lower[i, k]
            lower[i, k] = cosine * before + sine * x[i]
            x[i] = cosine * x[i] - sine * before
        before = root[k]
        root[k] = cosine * before + sine * value
        value = cosine * value - sine * before


@jit(fastmath=SUMS, numpy_errors=True)
def posterior(
    outer: Any,
    sums: Any,
    rewarded: Any,
    places: Any,
    factor: float,
    prior_mean: Any,
    strengths: Any,
    unit: float,
    mode: int,
    place_prior: Any,
    floor: float,
    trust: float,
    rounds: int,
    mean: Any,
    lower: Any,
    weights: Any,
) -> None:
    """Write mean, Cholesky factor of the precision and chances of the places that follow from the sums.

    The posterior and the chances of the places are found in turns, from the prior of the places on: nothing is kept
    from one call to the next, so equal sums have equal posteriors. Rewards are counted in `unit`, or where that is 0
    in the root of their mean square. Sums that give no finite mean and factor leave the prior.
    """
    d = len(mean)
    right = np.empty(d)
    predicted = np.zeros(len(weights))
    matrix = np.empty((d, d))
    for place in range(len(weights)):
        weights[place] = place_prior[place]
    if mode != 0:
        place_weights(places, predicted, mode, place_prior, floor, trust, factor, weights)
        rounds = 0
    if not unit > 0.0:
        unit = math.sqrt(places[:, 3].sum() / places[:, 4].sum()) if places[:, 3].sum() > 0.0 else 1.0
    for i in range(d):
        right[i] = strengths[i] * prior_mean[i] + factor / unit * rewarded[i]
    for turn in range(rounds + 1):
        for i in range(d):
            for j in range(i + 1):
                matrix[i, j] = 0.0
            matrix[i, i] = strengths[i]
        for place in range(len(weights)):
            if places[place, 0] > 0.0:
                scale = factor * weights[place]
                for i in range(d):
                    for j in range(i + 1):
                        matrix[i, j] += scale * outer[place, i, j]
        sound = cholesky(matrix, lower)
        if not sound:
            # rounding, with values far apart: the prior's share is raised until there is a factor
            raised = 0.0
            for i in range(d):
                raised = max(raised, 1e-9 * matrix[i, i])
            while not sound and 0.0 < raised < 1e300:
                for i in range(d):
                    matrix[i, i] += raised
                sound = cholesky(matrix, lower)
                raised *= 10.0
        solve(lower, right, mean)
        for i in range(d):
            sound = sound and math.isfinite(mean[i]) and math.isfinite(lower[i, i])
        for place in range(len(weights)):
            sound = sound and math.isfinite(weights[place])
        if not sound:
            for i in range(d):
                mean[i] = prior_mean[i]
                for j in range(i):
                    lower[i, j] = 0.0
                lower[i, i] = math.sqrt(strengths[i])
            for place in range(len(weights)):
                weights[place] = place_prior[place]
            return
        if turn < rounds:
            for place in range(len(weights)):
                total = 0.0
                for i in range(d):
                    total += mean[i] * sums[place, i]
                predicted[place] = total
            place_weights(places, predicted, mode, place_prior, floor, trust, factor, weights)

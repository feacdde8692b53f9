"""Kernels of `stream_app.ranking.fusion.factorization`: encode and score rows, take a step by Adagrad."""

from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.models.array_types import Integers, Matrix
from stream_app.models.kernels.jit import FUNCTIONS, jit
from stream_app.ranking.kernels.listwise import softmax_loss


class BlockColumn(IntEnum):
    """Columns of a table of blocks."""

    FEATURE = 0
    KNOTS = 1
    OTHER = 2
    """Second feature of a cross, -1 for none."""
    OTHER_KNOTS = 3
    FIRST = 4
    """First weight of the block."""


class FactorizationWeights(NamedTuple):
    """The learned weights, with the sums that Adagrad divides by."""

    linear: Matrix  # shape (weights,): one for each knot of each bin and each pair of knots of each cross
    factors: Matrix  # shape (knots, rank): of each knot of the factorization machine
    # linear_square_sum, factors_square_sum: sums of squared gradients
    linear_square_sum: Matrix
    factors_square_sum: Matrix


class ActiveWeights(NamedTuple):
    """The rows as `score` leaves them for `learn`; the first n rows are valid."""

    # linear_index, factor_index, shape (rows, active): weights that a row adds up, linear and of the
    # factorization machine
    linear_index: NDArray[np.int32]
    # linear_value, factor_value, shape (rows, active): how much of each
    linear_value: Matrix
    factor_index: NDArray[np.int32]
    factor_value: Matrix
    sums: Matrix  # shape (rows, rank): sums of the factors
    scores: Matrix  # shape (rows,)


class PendingGradient(NamedTuple):
    """Scratch memory of a step: gradients, a mark for each weight with a gradient, and a list of these weights."""

    linear: Matrix
    factors: Matrix
    linear_marks: NDArray[np.bool_]
    factor_marks: NDArray[np.bool_]
    linear_list: NDArray[np.int32]
    factor_list: NDArray[np.int32]


@jit(fastmath=FUNCTIONS, numpy_errors=True)
def _locate(value: np.float32, knots: int) -> tuple[int, int, np.float32]:
    """Find the knots around a value and the fraction of the way between; the knot `knots` stands for missing."""
    low = knots
    high = knots
    fraction = np.float32(0.0)
    if value >= 0:
        position = min(value, np.float32(1.0)) * np.float32(knots - 1)
        low = int(position)
        high = min(low + 1, knots - 1)
        fraction = position - np.float32(low)
    return low, high, fraction


@jit(fastmath=FUNCTIONS, numpy_errors=True)
def _encode(features: Matrix, row: int, blocks: Integers, index: NDArray[np.int32], value: Matrix) -> None:
    """Write the active weights of one row: two per bin, four per cross."""
    k = 0
    for block in range(len(blocks)):
        first = blocks[block, BlockColumn.FIRST]
        low, high, fraction = _locate(
            features[row, blocks[block, BlockColumn.FEATURE]], blocks[block, BlockColumn.KNOTS]
        )
        complement = np.float32(1.0) - fraction
        other = blocks[block, BlockColumn.OTHER]
        if other < 0:
            index[k] = first + low
            index[k + 1] = first + high
            value[k] = complement
            value[k + 1] = fraction
            k += 2
            continue
        knots = blocks[block, BlockColumn.OTHER_KNOTS]
        other_low, other_high, other_fraction = _locate(features[row, other], knots)
        other_complement = np.float32(1.0) - other_fraction
        width = knots + 1
        index[k] = first + low * width + other_low
        index[k + 1] = first + high * width + other_low
        index[k + 2] = first + low * width + other_high
        index[k + 3] = first + high * width + other_high
        value[k] = complement * other_complement
        value[k + 1] = fraction * other_complement
        value[k + 2] = complement * other_fraction
        value[k + 3] = fraction * other_fraction
        k += 4


@jit(fastmath=FUNCTIONS, numpy_errors=True)
def score(
    features: Matrix, blocks: Integers, pairs: Integers, weights: FactorizationWeights, active: ActiveWeights
) -> None:
    """Score rows.

    Parameters
    ----------
    features : ndarray of float32, shape (n, features)
        From 0 to 1, below 0 where missing.
    blocks, pairs : ndarray of int64, shape (blocks, len(BlockColumn))
        Bins and crosses; features of the factorization machine. See `BlockColumn`.
    active
        Receives the rows and their scores.
    """
    n_factors = weights.factors.shape[1]
    squares = np.empty(n_factors, np.float32)
    for row in range(len(features)):
        index = active.linear_index[row]
        value = active.linear_value[row]
        _encode(features, row, blocks, index, value)
        total = np.float32(0.0)
        for k in range(len(index)):
            total += weights.linear[index[k]] * value[k]
        index = active.factor_index[row]
        value = active.factor_value[row]
        _encode(features, row, pairs, index, value)
        sums = active.sums[row]
        for r in range(n_factors):
            sums[r] = 0.0
            squares[r] = 0.0
        for k in range(len(index)):
            if value[k] != 0:
                for r in range(n_factors):
                    product = weights.factors[index[k], r] * value[k]
                    sums[r] += product
                    squares[r] += product * product
        for r in range(n_factors):
            total += np.float32(0.5) * (sums[r] * sums[r] - squares[r])
        active.scores[row] = total


@jit(fastmath=FUNCTIONS, numpy_errors=True)
def _add_linear_gradient(errors: Matrix, active: ActiveWeights, pending: PendingGradient) -> int:
    """Add up the gradients of the linear weights; return how many have one."""
    size = 0
    for row in range(len(errors)):
        error = errors[row]
        index = active.linear_index[row]
        value = active.linear_value[row]
        for k in range(len(index)):
            if value[k] != 0:
                j = index[k]
                if not pending.linear_marks[j]:
                    pending.linear_marks[j] = True
                    pending.linear[j] = 0.0
                    pending.linear_list[size] = j
                    size += 1
                pending.linear[j] += error * value[k]
    return size


@jit(fastmath=FUNCTIONS, numpy_errors=True)
def _add_factor_gradient(
    errors: Matrix, factors: Matrix, active: ActiveWeights, pending: PendingGradient
) -> int:
    """Add up the gradients of the factors; return how many knots have one."""
    n_factors = factors.shape[1]
    size = 0
    for row in range(len(errors)):
        error = errors[row]
        index = active.factor_index[row]
        value = active.factor_value[row]
        sums = active.sums[row]
        for k in range(len(index)):
            if value[k] != 0:
                j = index[k]
                if not pending.factor_marks[j]:
                    pending.factor_marks[j] = True
                    pending.factor_list[size] = j
                    size += 1
                    for r in range(n_factors):
                        pending.factors[j, r] = 0.0
                for r in range(n_factors):
                    others = sums[r] - factors[j, r] * value[k]
                    pending.factors[j, r] += error * value[k] * others
    return size


@jit(fastmath=FUNCTIONS, numpy_errors=True)
def learn(
    n: int,
    chosen: int,
    weights: FactorizationWeights,
    active: ActiveWeights,
    pending: PendingGradient,
    learning_rate: np.float32,
    factor_learning_rate: np.float32,
) -> float:
    """Take one step by Adagrad after `score`.

    Returns the loss before the step; infinite, with no step taken, where the scores are not finite.

    Parameters
    ----------
    chosen
        Row of the choice.
    active
        As `score` wrote it.
    pending
        Scratch memory; no marks before and after.
    learning_rate, factor_learning_rate
        Step sizes, float32.
    """
    loss, largest, total = softmax_loss(active.scores, n, chosen)
    if not np.isfinite(loss):
        return np.inf
    errors = np.empty(n, np.float32)
    for row in range(n):
        errors[row] = np.exp(active.scores[row] - largest) / total
        if row == chosen:
            errors[row] -= np.float32(1.0)
    n_linear = _add_linear_gradient(errors, active, pending)
    n_knots = _add_factor_gradient(errors, weights.factors, active, pending)
    for at in range(n_linear):
        j = pending.linear_list[at]
        gradient = pending.linear[j]
        pending.linear_marks[j] = False
        weights.linear_square_sum[j] += gradient * gradient
        weights.linear[j] -= learning_rate * gradient / np.sqrt(weights.linear_square_sum[j])
    for at in range(n_knots):
        j = pending.factor_list[at]
        pending.factor_marks[j] = False
        for r in range(weights.factors.shape[1]):
            gradient = pending.factors[j, r]
            weights.factors_square_sum[j, r] += gradient * gradient
            weights.factors[j, r] -= (
                factor_learning_rate * gradient / np.sqrt(weights.factors_square_sum[j, r])
            )
    return float(loss)

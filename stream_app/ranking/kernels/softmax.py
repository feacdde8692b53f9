"""Kernels of `stream_app.ranking.fusion.softmax`: score rows, add up a gradient, take a step by Adagrad."""

from enum import IntEnum
from typing import NamedTuple

import numpy as np

from stream_app.models.array_types import Matrix, Scores
from stream_app.models.kernels.jit import FUNCTIONS, jit
from stream_app.ranking.kernels.listwise import softmax_loss


class SoftmaxWeights(NamedTuple):
    """The learned weights, with the sums that Adagrad divides by."""

    # shape (features, bins + 1, units): value of each unit at each knot of each feature; unit 0 is the
    # additive part
    knots: Matrix
    out: Matrix  # shape (units,): weight of each hidden unit; that of unit 0 is 1 and not learned
    bias: Matrix  # shape (units,): of the hidden units
    # knots_square_sum, out_square_sum, bias_square_sum: sums of squared gradients
    knots_square_sum: Matrix
    out_square_sum: Matrix
    bias_square_sum: Matrix


class PendingStep(NamedTuple):
    """Gradients added up since the last step, in the shapes of the weights."""

    knots: Matrix
    out: Matrix
    bias: Matrix


class PieceColumn(IntEnum):
    """The values of a piece between two knots."""

    RELATIVE_VALUE = 0
    """Value at the lower knot minus that at the first knot."""
    RISE = 1
    """Value at the upper knot minus that at the lower one."""


class ScoringTables(NamedTuple):
    """Weights in the form that scoring reads: half the loads of two knots and the first."""

    pieces: Matrix  # shape (features, bins, len(PieceColumn), units)
    zero: Matrix  # shape (units,): sum of each unit where every feature is 0


@jit(fastmath=FUNCTIONS, numpy_errors=True)
def tabulate(weights: SoftmaxWeights, tables: ScoringTables) -> None:
    """Write the scoring tables of weights."""
    features, knots, units = weights.knots.shape
    for k in range(units):
        tables.zero[k] = weights.bias[k]
    for j in range(features):
        for k in range(units):
            tables.zero[k] += weights.knots[j, 0, k]
        for low in range(knots - 1):
            for k in range(units):
                tables.pieces[j, low, PieceColumn.RELATIVE_VALUE, k] = (
                    weights.knots[j, low, k] - weights.knots[j, 0, k]
                )
                tables.pieces[j, low, PieceColumn.RISE, k] = (
                    weights.knots[j, low + 1, k] - weights.knots[j, low, k]
                )


@jit(fastmath=FUNCTIONS, numpy_errors=True)
def score(
    pieces: Matrix, zero: Matrix, out: Matrix, features: Matrix, hidden: Matrix, scores: Scores
) -> None:
    """Score rows.

    Parameters
    ----------
    pieces, zero
        Of a `ScoringTables`.
    out : ndarray of float32, shape (units,)
        Weights of the units.
    features : ndarray of float32, shape (n, features)
        From 0 to 1.
    hidden : ndarray of float32, shape (n, units)
        Receives the sums of the units, for `accumulate_gradient`.
    scores : ndarray of float32, shape (n,)
        Receives the scores.
    """
    units = len(out)
    bins = pieces.shape[1]
    for row in range(len(features)):
        unit = hidden[row]
        for k in range(units):
            unit[k] = zero[k]
        # most features of most candidates are 0, and add nothing
        for j in range(features.shape[1]):
            value = features[row, j]
            if not value > 0:
                continue
            at = min(value, np.float32(1.0)) * np.float32(bins)
            low = min(int(at), bins - 1)
            fraction = np.float32(at - low)
            lower_knot = pieces[j, low, PieceColumn.RELATIVE_VALUE]
            rise = pieces[j, low, PieceColumn.RISE]
            for k in range(units):
                unit[k] += lower_knot[k] + fraction * rise[k]
        total = unit[0]
        for k in range(1, units):
            if unit[k] > 0:
                total += out[k] * unit[k]
        scores[row] = total


@jit(fastmath=FUNCTIONS, numpy_errors=True)
def _add_row(row_features: Matrix, gradient: Matrix, pending_knots: Matrix, nonzero_gradient: Matrix) -> None:
    """Add the gradient of one row to the two knots around each of its features."""
    bins = pending_knots.shape[1] - 1
    units = len(gradient)
    for j in range(len(row_features)):
        value = row_features[j]
        if not value > 0:
            continue
        at = min(value, np.float32(1.0)) * bins
        low = min(int(at), bins - 1)
        fraction = np.float32(at - low)
        complement = np.float32(1.0) - fraction
        lower_knot = pending_knots[j, low]
        upper_knot = pending_knots[j, low + 1]
        for k in range(units):
            lower_knot[k] += complement * gradient[k]
            upper_knot[k] += fraction * gradient[k]
            nonzero_gradient[j, k] += gradient[k]


@jit(fastmath=FUNCTIONS, numpy_errors=True)
def accumulate_gradient(
    weights: SoftmaxWeights,
    features: Matrix,
    chosen: int,
    hidden: Matrix,
    scores: Scores,
    pending: PendingStep,
    min_probability: float,
) -> float:
    """Add the gradient of one choice to the pending step.

    Returns the loss; infinite, with nothing added, where the scores are not finite.

    Parameters
    ----------
    weights
        That `hidden` and `scores` were computed with.
    features : ndarray of float32, shape (n, features)
    chosen
        Row of the choice.
    hidden : ndarray of float32, shape (n, units)
    scores : ndarray of float32, shape (n,)
    min_probability
        Rows with a smaller probability are skipped.
    """
    units = len(weights.out)
    loss, largest, total = softmax_loss(scores, len(features), chosen)
    if not np.isfinite(loss):
        return np.inf
    gradient = np.empty(units, np.float32)
    # most features of most candidates are 0: their first knot receives the sum minus that of the rows above 0
    total_gradient = np.zeros(units, np.float32)
    nonzero_gradient = np.zeros((features.shape[1], units), np.float32)
    for row in range(len(features)):
        error = np.exp(scores[row] - largest) / total
        if row == chosen:
            error -= np.float32(1.0)
        elif error < min_probability:
            continue
        error = np.float32(error)
        gradient[0] = error
        total_gradient[0] += error
        for k in range(1, units):
            active = hidden[row, k] > 0
            gradient[k] = error * weights.out[k] if active else np.float32(0.0)
            if active:
                pending.out[k] += error * hidden[row, k]
            pending.bias[k] += gradient[k]
            total_gradient[k] += gradient[k]
        _add_row(features[row], gradient, pending.knots, nonzero_gradient)
    for j in range(features.shape[1]):
        for k in range(units):
            pending.knots[j, 0, k] += total_gradient[k] - nonzero_gradient[j, k]
    return float(loss)


@jit(fastmath=FUNCTIONS, numpy_errors=True)
def take_step(
    weights: SoftmaxWeights,
    pending: PendingStep,
    learning_rate: float,
    output_learning_rate: float,
    decay: float,
) -> None:
    """Take the pending step by Adagrad, and set it to 0.

    Parameters
    ----------
    pending
        Gradients added up; 0 after the step.
    learning_rate, output_learning_rate
        Step sizes of the knots and biases, and of the output weights.
    decay
        Weight decay of the knots that have a gradient, relative to the step size.
    """
    features, knots, units = weights.knots.shape
    for j in range(features):
        for knot in range(knots):
            gradients = pending.knots[j, knot]
            if gradients[0] == 0.0:
                continue
            value = weights.knots[j, knot]
            squares = weights.knots_square_sum[j, knot]
            for k in range(units):
                gradient = gradients[k]
                squares[k] += gradient * gradient
                value[k] -= np.float32(learning_rate) * (
                    gradient / np.sqrt(squares[k]) + np.float32(decay) * value[k]
                )
                gradients[k] = 0.0
    for k in range(1, units):
        gradient = pending.out[k]
        weights.out_square_sum[k] += gradient * gradient
        weights.out[k] -= np.float32(output_learning_rate) * gradient / np.sqrt(weights.out_square_sum[k])
        pending.out[k] = 0.0
        gradient = pending.bias[k]
        weights.bias_square_sum[k] += gradient * gradient
        weights.bias[k] -= np.float32(learning_rate) * gradient / np.sqrt(weights.bias_square_sum[k])
        pending.bias[k] = 0.0


@jit(fastmath=FUNCTIONS, numpy_errors=True)
def update_average(mean: Matrix, value: Matrix, fraction: float) -> None:
    """Move a running mean towards a value by a fraction of the difference.

    Parameters
    ----------
    mean, value : ndarray of float32, shape (n,)
        The mean, which is changed, and the value.
    fraction
        From 0, which keeps the mean, to 1, which replaces it.
    """
    for at in range(len(mean)):
        mean[at] += np.float32(fraction) * (value[at] - mean[at])

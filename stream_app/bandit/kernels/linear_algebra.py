"""Cholesky factorization and triangular solves."""

import math

from stream_app.models.array_types import Floats
from stream_app.models.kernels.jit import SUMS, jit


@jit(fastmath=SUMS, numpy_errors=True)
def cholesky(matrix: Floats, lower: Floats) -> bool:
    """Compute the lower Cholesky factor; return False if the matrix is not positive definite.

    Parameters
    ----------
    matrix : ndarray of float64, shape (d, d)
        Only the lower triangle is read.
    lower : ndarray of float64, shape (d, d)
        Output; elements above the diagonal stay as they are.
    """
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
def solve_transposed(lower: Floats, out: Floats) -> None:
    """Solve Lᵀ y = out in place.

    Parameters
    ----------
    lower : ndarray of float64, shape (d, d)
        Cholesky factor L.
    out : ndarray of float64, shape (d,)
        Input: the right-hand side. Output: y.
    """
    for step in range(len(lower)):
        i = len(lower) - 1 - step
        out[i] /= lower[i, i]
        for k in range(i):
            out[k] -= lower[i, k] * out[i]


@jit(fastmath=SUMS, numpy_errors=True)
def solve(lower: Floats, rhs: Floats, out: Floats) -> None:
    """Solve L Lᵀ out = rhs.

    Parameters
    ----------
    lower : ndarray of float64, shape (d, d)
        Cholesky factor L.
    rhs, out : ndarray of float64, shape (d,)
        Right-hand side and output.
    """
    d = len(lower)
    for i in range(d):
        total = rhs[i]
        for k in range(i):
            total -= lower[i, k] * out[k]
        out[i] = total / lower[i, i]
    solve_transposed(lower, out)


@jit(fastmath=SUMS, numpy_errors=True)
def cholesky_rank_one_update(lower: Floats, whitened_mean: Floats, x: Floats, value: float) -> None:
    """Add x xᵀ to A and value · x to A · mean, in O(d²).

    For a posterior without decay and without re-estimated examination probabilities: each event then adds one row
    to A. Only rotations are used, so rounding errors do not accumulate.

    Parameters
    ----------
    lower : ndarray of float64, shape (d, d)
        Cholesky factor L of A.
    whitened_mean : ndarray of float64, shape (d,)
        Lᵀ · mean. `solve_transposed` of it gives the mean; with standard normal noise added, a posterior sample.
    x : ndarray of float64, shape (d,)
        Features; overwritten.
    value
        Reward of the impression of x.

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

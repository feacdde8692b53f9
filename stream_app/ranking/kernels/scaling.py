"""Scales of features, as float32: logarithms of shares and counts, ranks by counting."""

import numpy as np

from stream_app.models.array_types import Scores
from stream_app.models.kernels.jit import FUNCTIONS, jit


@jit(fastmath=FUNCTIONS, numpy_errors=True)
def fast_log2(value: np.float32) -> np.float32:
    """Logarithm of a float32 above 0 to within 4e-5, at a fifth of the library's cost: exponent and a polynomial."""
    bits = np.float32(value).view(np.int32)
    m = np.int32((bits & 0x7FFFFF) | 0x3F800000).view(np.float32)
    part = np.float32(1.59392004) + m * (np.float32(-0.40487258) + m * np.float32(0.04342951))
    part = np.float32(-2.78682116) + m * (np.float32(5.04690171) + m * (np.float32(-3.49252564) + m * part))
    return np.float32((bits >> 23) - 127) + part


@jit(fastmath=FUNCTIONS, numpy_errors=True)
def log_share(value: np.float32) -> np.float32:
    """Map a share from 0 to 1 to a logarithmic scale: 0 is 0, 1/1024 is 0.1, 1/32 is 0.5, 1 is 1."""
    return fast_log2(
        np.float32(1.0) + np.float32(1023.0) * min(max(value, np.float32(0.0)), np.float32(1.0))
    ) * np.float32(0.1)


@jit(fastmath=FUNCTIONS, numpy_errors=True)
def log_count(value: np.float32, log2_limit: float) -> np.float32:
    """Map a count to a logarithmic scale: 0 is 0, 2 ** `log2_limit` - 1 and more is 1."""
    return min(
        fast_log2(np.float32(1.0) + max(value, np.float32(0.0))) / np.float32(log2_limit), np.float32(1.0)
    )


@jit(fastmath=FUNCTIONS, numpy_errors=True)
def clip_unit(value: np.float32) -> np.float32:
    """Clip to 0 to 1."""
    return min(max(value, np.float32(0.0)), np.float32(1.0))


@jit(fastmath=FUNCTIONS, numpy_errors=True)
def count_larger(values: Scores, n: int, ranks: Scores) -> None:
    """Write how many of the first `n` values are larger than each; for a few hundred, counting beats sorting.

    Parameters
    ----------
    values : ndarray of float32, shape (at least n,)
        Read only.
    n
        Number of values.
    ranks : ndarray, shape (at least n,)
        Output: the first `n` entries are written.
    """
    for row in range(n):
        value = values[row]
        larger = 0
        for other in range(n):
            larger += values[other] > value
        ranks[row] = larger

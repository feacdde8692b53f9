"""The softmax over the scores of a list: its loss, its logarithms, its probabilities."""

import numpy as np

from stream_app.models.array_types import Floats, Scores
from stream_app.models.kernels.jit import FUNCTIONS, jit


@jit(fastmath=FUNCTIONS, numpy_errors=True)
def softmax_loss(scores: Scores, n: int, chosen: int) -> tuple[np.float32, np.float32, np.float32]:
    """Compute the loss of a choice among the first `n` scores: minus the logarithm of its probability.

    Parameters
    ----------
    scores : ndarray of float32, shape (at least n,)
    chosen
        Row of the choice.

    Returns
    -------
    loss : float32
        Infinite or NaN where the scores are.
    largest : float32
        The largest score.
    total : float32
        Sum of exp(score - largest): the probability of a row is exp(score - largest) / total.
    """
    largest = scores[0]
    for row in range(1, n):
        largest = max(largest, scores[row])
    total = np.float32(0.0)
    for row in range(n):
        total += np.exp(scores[row] - largest)
    return np.log(total) + largest - scores[chosen], largest, total


@jit(fastmath=FUNCTIONS, numpy_errors=True)
def shifted_logits(scores: Scores, out: Scores) -> float:
    """Write scores minus the least, plus 1; return the logarithm of the sum of their exponentials.

    A shifted score is above 0, and a shifted score minus that logarithm is the logarithm of a probability.

    Parameters
    ----------
    scores : ndarray of float32, shape (n,)
    out : ndarray of float32, shape (n,)
    """
    minimum, largest = scores[0], scores[0]
    for row in range(1, len(scores)):
        minimum = min(minimum, scores[row])
        largest = max(largest, scores[row])
    total = np.float32(0.0)
    for row in range(len(scores)):
        out[row] = scores[row] - minimum + np.float32(1.0)
        total += np.exp(scores[row] - largest)
    return float(np.log(total) + largest - minimum + np.float32(1.0))


@jit(fastmath=FUNCTIONS, numpy_errors=True)
def probabilities(scores: Scores, log_normalizer: float, out: Floats) -> None:
    """Write exp(score - logarithm), rounded to a millionth.

    Parameters
    ----------
    scores : ndarray of float32, shape (n,)
        Shifted scores.
    log_normalizer
        As `shifted_logits` returns it.
    out : ndarray of float64, shape (n,)
    """
    for row in range(len(scores)):
        out[row] = np.floor(np.exp(np.float64(scores[row]) - log_normalizer) * 1e6 + 0.5) / 1e6

"""Choices over expected choices of items."""

from stream_app.models.array_types import Floats, Items
from stream_app.models.kernels.jit import jit


@jit()
def choice_rates(items: Items, chosen: Floats, expected: Floats, prior: float, out: Floats) -> None:
    """Compute choices over expected choices, with a prior of rate 1.

    Parameters
    ----------
    items : ndarray of int32, shape (n,)
        Unknown items, negative or beyond the sums, have rate 1.
    chosen, expected : ndarray of float64, shape (items,)
        Weighted sums of choices and of expected choices.
    prior
        Choices, and expected choices, added to both sums.
    out : ndarray of float64, shape (n,)
    """
    for row in range(len(items)):
        item = items[row]
        out[row] = 1.0
        if prior > 0.0 and 0 <= item < len(expected):
            out[row] = (chosen[item] + prior) / (expected[item] + prior)

"""Examination and click model: how far down a list users look, and where they click.

It is the position-based model of Joachims, Swaminathan, Schnabel, *Unbiased learning-to-rank with biased feedback*
(WSDM 2017, §5.1), with the usual η = 1: rank k is examined with probability 1 / k. It is applied as a cascade
(Craswell, Zoeter, Taylor, Ramsey, *An experimental comparison of click position-bias models*, WSDM 2008): a user
examines the list from the top, continues from rank k to k + 1 with probability k / (k + 1), and stops at the first
click. It is the same for all users and policies and has no parameters, so that it cannot be tuned for a policy.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Examination(NamedTuple):
    """The examined part of a list.

    Attributes
    ----------
    examined
        Examined items from the top; a clicked item is the last one.
    clicked
        Rank of the clicked item, from 0; -1 without a click.
    """

    examined: tuple[str, ...]
    clicked: int


def examination_depth(u: float, length: int) -> int:
    """Number of items examined if none is clicked: at least k with probability 1 / k.

    Parameters
    ----------
    u
        Uniform random number from [0, 1).

    Examples
    --------
    >>> [examination_depth(u, 20) for u in (0.0, 0.4, 0.5, 0.8, 0.99)]
    [1, 1, 2, 5, 20]
    """
    remaining = 1.0 - u
    return length if remaining * length <= 1.0 else min(length, int(1.0 / remaining))


def examine_list(items: Sequence[str], u: float, would_click: Callable[[str], bool]) -> Examination:
    """Examine a list from the top and click the first item that `would_click` accepts.

    Parameters
    ----------
    items
        The displayed items, best first.
    u
        Uniform random number from [0, 1), which decides the examination depth.
    would_click
        Whether the user clicks an item; called once per examined item, in order.

    Examples
    --------
    >>> examine_list(["a", "b", "c"], 0.5, {"b", "c"}.__contains__)
    Examination(examined=('a', 'b'), clicked=1)
    >>> examine_list(["a", "b", "c"], 0.4, {"b", "c"}.__contains__)
    Examination(examined=('a',), clicked=-1)
    """
    depth = examination_depth(u, len(items))
    for rank, item in enumerate(items[:depth]):
        if would_click(item):
            return Examination(tuple(items[: rank + 1]), rank)
    return Examination(tuple(items[:depth]), -1)


def click_probability(click_probabilities: NDArray[np.float64]) -> float:
    """Probability of a click on a list before it is examined.

    Parameters
    ----------
    click_probabilities : ndarray of float64, shape (k,)
        Click probability of each item if it is examined, by rank.

    Returns
    -------
    float
        Sum over ranks k of 1 / k x click probability x probability of no click above. It is greatest for the items
        with the highest probabilities in descending order (exchange argument: the upper of two adjacent ranks is
        examined more often).

    Examples
    --------
    >>> click_probability(np.array([0.5, 0.5]))
    0.625
    """
    if not len(click_probabilities):
        return 0.0
    not_clicked_above = np.concatenate(([1.0], np.cumprod(1.0 - click_probabilities[:-1])))
    return float((click_probabilities * not_clicked_above / np.arange(1, len(click_probabilities) + 1)).sum())

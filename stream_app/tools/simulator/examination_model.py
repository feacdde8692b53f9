"""How far down a list a shopper looks, and where they click: the same for every shopper and every policy.

The model is the position-based one of Joachims, Swaminathan, Schnabel, *Unbiased learning-to-rank with biased
feedback* (WSDM 2017, §5.1), at its usual strength η = 1: the item in place k is looked at with probability 1 /
k. It is read as a cascade (Craswell, Zoeter, Taylor, Ramsey, *An experimental comparison of click position-bias
models*, WSDM 2008): a shopper looks from the top down, goes on from place k to k + 1 with probability k / (k +
1), and stops at the first item they click. Nothing here can be set, so nothing can be set in anybody's favour.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Examination(NamedTuple):
    """What a shopper saw of a list.

    Attributes
    ----------
    examined
        The items looked at, from the top; the clicked one is the last of them.
    clicked
        Its place, from 0; -1 where nothing was clicked.
    """

    examined: tuple[str, ...]
    clicked: int


def examination_depth(u: float, length: int) -> int:
    """How many items are looked at if none is clicked: at least k of them with probability 1 / k.

    Parameters
    ----------
    u
        Drawn uniformly from [0, 1).
    length
        Items there are.

    Examples
    --------
    >>> [examination_depth(u, 20) for u in (0.0, 0.4, 0.5, 0.8, 0.99)]
    [1, 1, 2, 5, 20]
    """
    remaining = 1.0 - u
    return length if remaining * length <= 1.0 else min(length, int(1.0 / remaining))


def examine_list(items: Sequence[str], u: float, would_click: Callable[[str], bool]) -> Examination:
    """Look down a list, and click the first item that is wanted.

    Parameters
    ----------
    items
        As shown, best first.
    u
        Drawn uniformly from [0, 1): decides how far the shopper looks.
    would_click
        Whether the shopper clicks an item that they see; asked of each item looked at, once, in order.

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
    """The chance of a click on a list, before anybody looks.

    Parameters
    ----------
    click_probabilities : ndarray of float64, shape (k,)
        Of each item, best place first: the chance of a click if it is looked at.

    Returns
    -------
    float
        Sum over places k of 1 / k x its chance x the chance that none above was clicked. It is greatest for the items
        with the highest chances, the highest first (swap two neighbors: the upper place is looked at more often).

    Examples
    --------
    >>> click_probability(np.array([0.5, 0.5]))
    0.625
    """
    if not len(click_probabilities):
        return 0.0
    not_clicked_above = np.concatenate(([1.0], np.cumprod(1.0 - click_probabilities[:-1])))
    return float((click_probabilities * not_clicked_above / np.arange(1, len(click_probabilities) + 1)).sum())

"""The features of search results that follow from the list and its prices, and the scales of all of them."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream_app.models.array_types import Floats, Items, Matrix
from stream_app.models.kernels.jit import jit
from stream_app.ranking.kernels.feature_table import ResultFeature
from stream_app.ranking.kernels.results_memory import MAX_PAGES, ItemColumn, PageColumn

MAX_RANK_DIFFERENCE: Final = 24
"""Larger differences between ranks count as this one."""


@jit(numpy_errors=True)
def log_scale(value: float, top: float) -> float:
    """Map a count, or seconds, to a logarithmic scale that ends at `top`."""
    scaled: float = np.log1p(max(value, 0.0)) / np.log1p(top)
    return min(1.0, scaled)


@jit(numpy_errors=True)
def signed(value: float, end: float) -> float:
    """Map a signed number: -`end` and less is 0, 0 is 0.5, `end` and more is 1."""
    return 0.5 + 0.5 * max(-1.0, min(1.0, value / end))


@jit(numpy_errors=True)
def rank_difference(difference: int) -> float:
    """Map a difference of ranks; 0 is 0.5."""
    return (max(-MAX_RANK_DIFFERENCE, min(MAX_RANK_DIFFERENCE, difference)) + MAX_RANK_DIFFERENCE) / (
        2.0 * MAX_RANK_DIFFERENCE
    )


@jit(numpy_errors=True)
def write_prices(displayed: Items, given_prices: Matrix, price: Floats, items: Floats, out: Matrix) -> None:
    """Write how prices compare within a list; `price` has the remembered ones where none is given.

    Parameters
    ----------
    displayed : ndarray of int32, shape (n,)
        Rows of the results, in the order displayed.
    given_prices : ndarray of float32, shape (n,)
        Prices of the event; 0 where it gives none.
    price : ndarray of float64, shape (n,)
        Given or remembered prices; 0 for unknown.
    items : ndarray of float64, shape (items, len(ItemColumn))
        Of a `ResultsMemory`; the column of prices is read.
    out : ndarray of float32, shape (n, len(ResultFeature))
        Output; the price columns of `ResultFeature`.
    """
    n = len(displayed)
    price_change_sum = 0.0
    n_known = 0
    priced = 0
    for i in range(n):
        if given_prices[i] > 0 and items[displayed[i], ItemColumn.PRICE] > 0:
            price_change_sum += np.log(price[i]) - np.log(items[displayed[i], ItemColumn.PRICE])
            n_known += 1
        priced += 1 if price[i] > 0 else 0
    cheapest = 0.0
    for i in range(n):
        if price[i] <= 0:
            continue
        n_cheaper = 0
        n_cheaper_above = 0
        for k in range(n):
            if price[k] > 0 and (price[k] < price[i] or (price[k] == price[i] and k < i)):
                n_cheaper += 1
                n_cheaper_above += 1 if k < i and price[k] < price[i] else 0
        target = out[i]
        target[ResultFeature.PRICE_RANK] = n_cheaper / max(1, priced - 1)
        target[ResultFeature.CHEAPER_ABOVE] = log_scale(n_cheaper_above, 24.0)
        target[ResultFeature.CHEAPEST_ABOVE] = 1.0 if cheapest == 0 or price[i] < cheapest else 0.0
        if cheapest > 0:
            target[ResultFeature.PRICE_TO_ABOVE] = signed(np.log(price[i] / cheapest), 1.0)
        cheapest = price[i] if cheapest == 0 else min(cheapest, price[i])
        if n_known > 1 and given_prices[i] > 0 and items[displayed[i], ItemColumn.PRICE] > 0:
            target[ResultFeature.PRICE_TO_USUAL] = signed(
                np.log(price[i]) - np.log(items[displayed[i], ItemColumn.PRICE]) - price_change_sum / n_known,
                0.4,
            )


@jit(numpy_errors=True)
def write_pages(pages: NDArray[np.int32], seen: int, displayed: Items, out: Matrix) -> float:
    """Write the ranks on the user's last lists; return the share of results at their rank of the previous list.

    Parameters
    ----------
    pages : ndarray of int32, shape (MAX_PAGES, PageColumn.FIRST_ITEM + PAGE_LENGTH)
        Last lists of the user, of a `ResultsMemory`.
    seen
        Number of lists ever recorded for the user.
    displayed : ndarray of int32, shape (n,)
        Rows of the results, in the order displayed.
    out : ndarray of float32, shape (n, len(ResultFeature))
        Output; the columns of earlier ranks.
    """
    if seen == 0:
        return 0.0
    n = len(displayed)
    same = 0
    newest = pages[(seen - 1) % MAX_PAGES]
    for i in range(min(n, newest[PageColumn.LENGTH])):
        same += 1 if newest[PageColumn.FIRST_ITEM + i] == displayed[i] else 0
    for i in range(n):
        target = out[i]
        ignored = 0
        for back in range(min(seen, MAX_PAGES)):
            page = pages[(seen - 1 - back) % MAX_PAGES]
            for k in range(page[PageColumn.LENGTH]):
                if displayed[i] > 0 and page[PageColumn.FIRST_ITEM + k] == displayed[i]:
                    ignored += 1 if page[PageColumn.CHOSEN] != k else 0
                    if back == 0:
                        target[ResultFeature.PREVIOUS_RANK] = (
                            min(k, MAX_RANK_DIFFERENCE) / MAX_RANK_DIFFERENCE
                        )
                        if page[PageColumn.CHOSEN] >= 0:
                            target[ResultFeature.FROM_PREVIOUS_CHOICE] = rank_difference(
                                k - page[PageColumn.CHOSEN]
                            )
                    break
        target[ResultFeature.IGNORED] = ignored / MAX_PAGES
    return same / n

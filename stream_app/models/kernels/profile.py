"""Affinities and price level of a user, computed from a context."""

import numpy as np

from stream_app.models.array_types import Floats, Items, Scores, Times
from stream_app.models.kernels.jit import jit


@jit(inline=True)
def _is_repeated(codes: Items, label: int) -> bool:
    """Return whether an earlier label of the item has the same code."""
    earlier = 0
    while codes[earlier] != codes[label]:
        earlier += 1
    return earlier < label


@jit()
def affinities(
    items: Items, times: Times, now: float, half_life: float, category_codes: Items, brand_codes: Items
) -> tuple[Items, Floats]:
    """Collect the categories and brands of items with their share of the decayed weight.

    Parameters
    ----------
    items, times : ndarray, shape (n,)
        Items of a context and their event times; items below 0 are skipped.
    now, half_life
        Time to decay to, and seconds in which an item loses half its weight.
    category_codes : ndarray of int32, shape (n_items, width)
    brand_codes : ndarray of int32, shape (n_items,)
        Codes of each item, below 0 where unknown.

    Returns
    -------
    codes : ndarray of int32, shape (m,)
        Distinct codes in order of occurrence.
    weights : ndarray of float64, shape (m,)
        Share of the total weight, from 0 to 1.
    """
    width = category_codes.shape[1]
    codes = np.empty(len(items) * (width + 1), np.int32)
    weights = np.zeros(len(codes))
    n = 0
    total = 0.0
    for at in range(len(items)):
        item = items[at]
        if item < 0:
            continue
        weight = 2.0 ** (-max(0.0, now - times[at]) / half_life)
        total += weight
        for label in range(width + 1):
            code = brand_codes[item] if label == width else category_codes[item, label]
            if code < 0 or (label < width and _is_repeated(category_codes[item], label)):
                continue
            slot = 0
            while slot < n and codes[slot] != code:
                slot += 1
            if slot == n:
                codes[n] = code
                n += 1
            weights[slot] += weight
    if total > 0.0:
        weights /= total
    return codes[:n], weights[:n]


@jit()
def label_affinities(
    items: Items, codes: Items, weights: Floats, category_codes: Items, brand_codes: Items, out: Scores
) -> None:
    """Write the affinity to the narrowest known category and to the brand of each item.

    Parameters
    ----------
    items : ndarray of int32, shape (n,)
        Items below 0 get 0.
    codes, weights : ndarray, shape (m,)
        Affinities of the user.
    category_codes, brand_codes
        As for `affinities`.
    out : ndarray of float32, shape (n, 2)
        Receives the affinities.
    """
    width = category_codes.shape[1]
    for at in range(len(items)):
        item = items[at]
        out[at, 0] = out[at, 1] = 0.0
        if item < 0:
            continue
        for label in range(width + 1):
            code = brand_codes[item] if label == width else category_codes[item, label]
            if code < 0:
                continue
            # the narrowest category is the last and overwrites the wider ones
            column = 1 if label == width else 0
            out[at, column] = 0.0
            for slot in range(len(codes)):
                if codes[slot] == code:
                    out[at, column] = weights[slot]
                    break


@jit()
def price_level(
    items: Items, times: Times, now: float, half_life: float, prices: Scores
) -> tuple[float, float, int]:
    """Decayed mean and standard deviation of log prices.

    Returns mean and standard deviation, NaN and 0 without a price, and the number of items with a price.

    Parameters
    ----------
    items, times, now, half_life
        As for `affinities`.
    prices : ndarray of float32, shape (n_items,)
        NaN where unknown.

    References
    ----------
    West: Updating mean and variance estimates: an improved method, CACM 22 (9), 1979.
    """
    total, mean, squares = 0.0, 0.0, 0.0
    count = 0
    for at in range(len(items)):
        item = items[at]
        if item < 0 or not prices[item] > 0.0:
            continue
        weight = 2.0 ** (-max(0.0, now - times[at]) / half_life)
        if weight == 0.0:
            continue
        value = np.log(np.float64(prices[item]))
        # one pass, and no difference of large sums
        total += weight
        step = value - mean
        mean += step * weight / total
        squares += weight * step * (value - mean)
        count += 1
    if count == 0:
        return np.nan, 0.0, 0
    # with denormal weights the sum may be slightly below 0
    return mean, np.sqrt(max(squares, 0.0) / total), count

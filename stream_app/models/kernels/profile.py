"""Affinities and price level of a user, computed from a context."""

import numpy as np
from numpy.typing import NDArray

from stream_app.models.kernels.jit import jit


@jit()
def affinities(
    items: NDArray[np.int32],
    times: NDArray[np.float64],
    now: float,
    half_life: float,
    category_codes: NDArray[np.int32],
    brand_codes: NDArray[np.int32],
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Collect category and brand codes of items with their share of the decayed weight.

    Returns
    -------
    codes : ndarray of int32, shape (m,)
        Distinct codes, in the order of the items.
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
            if code < 0:
                continue
            repeated = False
            for earlier in range(label):
                repeated = repeated or category_codes[item, earlier] == code
            if repeated:
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
    items: NDArray[np.int32],
    codes: NDArray[np.int32],
    weights: NDArray[np.float64],
    category_codes: NDArray[np.int32],
    brand_codes: NDArray[np.int32],
    out: NDArray[np.float32],
) -> None:
    """Write the affinity to the category and to the brand of each item into `out`, shape (n, 2)."""
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
            for slot in range(len(codes)):
                if codes[slot] == code:
                    # the narrowest category stands last, and overwrites the wider ones
                    out[at, 1 if label == width else 0] = weights[slot]
                    break
            else:
                out[at, 1 if label == width else 0] = 0.0


@jit()
def price_level(
    items: NDArray[np.int32],
    times: NDArray[np.float64],
    now: float,
    half_life: float,
    prices: NDArray[np.float32],
) -> tuple[float, float, int]:
    """Compute the decayed mean and standard deviation of log prices, and the number of items with a price."""
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
        # West's update: one pass, and no difference of large sums
        total += weight
        step = value - mean
        mean += step * weight / total
        squares += weight * step * (value - mean)
        count += 1
    if count == 0:
        return np.nan, 0.0, 0
    # of denormal weights the sum may come out below 0
    return mean, np.sqrt(max(squares, 0.0) / total), count

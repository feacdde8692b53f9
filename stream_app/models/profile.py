"""Profile of a user from recent items: affinities to categories and brands, and a price level.

Nothing is stored: profiles are computed from the items and times of a context.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.models.base import Items, Scores, Times
from stream_app.models.item_index import ItemIndex
from stream_app.models.kernels import profile as kernels

PRIOR_ITEMS = 3.0
"""Number of items that the shop's variance of prices counts for in the variance of a user."""


class Affinities(NamedTuple):
    """Categories and brands of a user."""

    # shape (n,): distinct codes of `ItemIndex.category_codes` and `ItemIndex.brand_codes`, in order of
    # occurrence
    codes: Items
    # shape (n,): share of the decayed weight of items with the label, from 0 to 1
    weights: NDArray[np.float64]


class PriceLevel(NamedTuple):
    """Distribution of the prices of a user's items."""

    # mean, deviation: decayed mean and standard deviation of the log price; NaN and 0 if no price is known
    mean: float
    deviation: float
    items: int  # items with a known price


def affinities(items: Items, times: Times, now: float, index: ItemIndex, half_life: float) -> Affinities:
    """Decayed affinities to categories and brands.

    Parameters
    ----------
    items : ndarray of int32, shape (n,)
        Items of the user; `NO_ITEM` is skipped.
    times : ndarray of float64, shape (n,)
        Their event times, seconds since the epoch.
    now
        Time to decay to.
    index
        Holds categories and brands of the items.
    half_life
        Seconds in which an interaction loses half its weight.

    Examples
    --------
    A boot now and a hat one half-life ago have 2/3 and 1/3 of the weight:

    >>> index = ItemIndex(10)
    >>> boot, hat = index.index("boot", 0.0), index.index("hat", 0.0)
    >>> _ = index.describe(boot, 0.0, categories=("women", "shoes"), brand="acme")
    >>> _ = index.describe(hat, 0.0, categories=("women", "hats"))
    >>> user_affinities = affinities(np.array([hat, boot], np.int32), np.array([0.0, 60.0]), 60.0, index, 60.0)
    >>> names = {index.code(*label): label[1] for label in
    ...          [("category", "women"), ("category", "shoes"), ("category", "hats"), ("brand", "acme")]}
    >>> codes, weights = user_affinities.codes.tolist(), user_affinities.weights.tolist()
    >>> {names[code]: round(weight, 3) for code, weight in zip(codes, weights)}
    {'women': 1.0, 'hats': 0.333, 'shoes': 0.667, 'acme': 0.667}
    """
    return Affinities(
        *kernels.affinities(items, times, now, half_life, index.category_codes, index.brand_codes)
    )


def label_affinities(items: Items, user_affinities: Affinities, index: ItemIndex) -> Scores:
    """Affinity of a user to the narrowest category and to the brand of items.

    Parameters
    ----------
    items : ndarray of int32, shape (n,)
        Candidates.
    user_affinities
        Affinities of the user.
    index
        Holds categories and brands of the items.

    Returns
    -------
    ndarray of float32, shape (n, 2)
        Affinity to the category and to the brand, 0 if there is none.
    """
    out = np.empty((len(items), 2), np.float32)
    kernels.label_affinities(
        items, user_affinities.codes, user_affinities.weights, index.category_codes, index.brand_codes, out
    )
    return out


def price_level(items: Items, times: Times, now: float, index: ItemIndex, half_life: float) -> PriceLevel:
    """Decayed mean and standard deviation of log prices; parameters as of `affinities`.

    Examples
    --------
    >>> index = ItemIndex(10)
    >>> for name, price in [("a", 10.0), ("b", 1000.0)]:
    ...     _ = index.describe(index.index(name, 0.0), 0.0, price=price)
    >>> level = price_level(np.array([0, 1], np.int32), np.zeros(2), 0.0, index, 60.0)
    >>> round(np.exp(level.mean)), round(np.exp(level.deviation)), level.items
    (100, 10, 2)
    """
    return PriceLevel(*kernels.price_level(items, times, now, half_life, index.prices))


def price_distance(items: Items, level: PriceLevel, index: ItemIndex, scale: float) -> Scores:
    """Distance of prices from a user's price level, in standard deviations.

    The variance of a user comes from few items, so it is shrunk to that of the shop, which counts as `PRIOR_ITEMS`
    items.

    Parameters
    ----------
    items : ndarray of int32, shape (n,)
        Candidates.
    level
        Price level of the user.
    index
        Holds the prices.
    scale
        Standard deviation of log prices in the shop, such as `OutlierFilter.deviation` of ``price``; above 0.

    Returns
    -------
    ndarray of float32, shape (n,)
        Above 0 for higher prices; 0 if the price or the level is unknown.
    """
    if level.items == 0:
        return np.zeros(len(items), np.float32)
    prices = index.prices[items].astype(np.float64)
    known = (items >= 0) & (prices > 0)
    variance = (level.items * level.deviation**2 + PRIOR_ITEMS * scale**2) / (level.items + PRIOR_ITEMS)
    distance = np.zeros(len(items), np.float32)
    distance[known] = (np.log(prices[known]) - level.mean) / np.sqrt(variance)
    return distance

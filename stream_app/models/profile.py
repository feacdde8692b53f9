"""What a shopper likes lately, from the items they looked at: categories, brands, a level of prices.

Nothing is stored: all is computed from the items and times of a context, so that it is of now and decays by itself.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.models.base import Items, Scores, Times
from stream_app.models.item_index import ItemIndex
from stream_app.models.kernels import profile as kernels

PRIOR_ITEMS = 3.0
"""Items' worth of the shop's own spread of prices in the spread that a shopper is given."""


class Affinities(NamedTuple):
    """Categories and brands of a shopper.

    Attributes
    ----------
    codes : ndarray of int32, shape (n,)
        Codes of `ItemIndex.category_codes` and `ItemIndex.brand_codes`, each once, in the order met.
    weights : ndarray of float64, shape (n,)
        The share of the shopper's decayed attention that went to items so labelled, from 0 to 1.
    """

    codes: Items
    weights: NDArray[np.float64]


class PriceLevel(NamedTuple):
    """The prices a shopper looks at.

    Attributes
    ----------
    mean, deviation
        Of the natural logarithm of the price, decayed; NaN and 0 where no price is known.
    items
        Items with a known price.
    """

    mean: float
    deviation: float
    items: int


def affinities(items: Items, times: Times, now: float, index: ItemIndex, half_life: float) -> Affinities:
    """Decayed affinities to categories and brands.

    Parameters
    ----------
    items : ndarray of int32, shape (n,)
        What the shopper looked at; `NO_ITEM` is passed over.
    times : ndarray of float64, shape (n,)
        When, seconds since the epoch.
    now
        Time to decay to.
    index
        Says what items are filed under.
    half_life
        Seconds in which an interaction loses half its weight.

    Examples
    --------
    A boot now and a hat one half-life ago: 2/3 and 1/3 of the attention, both to women's things.

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
    """How much a shopper likes the narrowest category and the brand of items.

    Parameters
    ----------
    items : ndarray of int32, shape (n,)
        Candidates.
    user_affinities
        The shopper's affinities.
    index
        Says what items are filed under.

    Returns
    -------
    ndarray of float32, shape (n, 2)
        Affinity to the category and to the brand, 0 where there is none.
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
    """How far the prices of items lie from a shopper's level, in standard deviations.

    The shopper's own spread is told from few items, so it is drawn towards the shop's: its variance counts as
    `PRIOR_ITEMS` items.

    Parameters
    ----------
    items : ndarray of int32, shape (n,)
        Candidates.
    level
        The shopper's.
    index
        Knows prices.
    scale
        Standard deviation of log prices in the shop, such as `OutlierFilter.deviation` of ``price``; above 0.

    Returns
    -------
    ndarray of float32, shape (n,)
        Above 0 for the dearer ones; 0 where either price is unknown.
    """
    if level.items == 0:
        return np.zeros(len(items), np.float32)
    prices = index.prices[items].astype(np.float64)
    known = (items >= 0) & (prices > 0)
    variance = (level.items * level.deviation**2 + PRIOR_ITEMS * scale**2) / (level.items + PRIOR_ITEMS)
    distance = np.zeros(len(items), np.float32)
    distance[known] = (np.log(prices[known]) - level.mean) / np.sqrt(variance)
    return distance

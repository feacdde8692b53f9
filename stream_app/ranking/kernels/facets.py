"""What items have in common: facets (categories, brand, price band), and how much two items share of them."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.models.array_types import Integers, Items
from stream_app.models.kernels.jit import jit

PRICE_BANDS: Final = 128
"""Price bands; the upper end of each is twice that of the band below it, plus one."""

_TOP_PRICE: Final = 1e30


class ItemColumns(NamedTuple):
    """Columns of the item index, one row per item."""

    # shape (items, MAX_CATEGORIES): from the widest to the narrowest category, -1 for none
    category_codes: NDArray[np.int32]
    # brand_codes, seller_codes, shape (items,): -1 for none
    brand_codes: NDArray[np.int32]
    seller_codes: NDArray[np.int32]
    prices: NDArray[np.float32]  # shape (items,): NaN for none
    first_seen: NDArray[np.float64]  # shape (items,): event time of the first interaction, infinite before it


@jit()
def extract_facets(
    items: Items, columns: ItemColumns, first_band: int
) -> tuple[Integers, Integers, Integers]:
    """List the facets of each item.

    Parameters
    ----------
    items : ndarray of int32, shape (n,)
    first_band
        Code of the lowest price band, above the codes of all labels.

    Returns
    -------
    facets : ndarray of int64, shape (n, MAX_CATEGORIES + 2)
        Distinct codes of categories, brand and price band.
    facet_counts : ndarray of int64, shape (n,)
        Valid entries of each row.
    leaf_categories : ndarray of int64, shape (n,)
        The narrowest category, -1 for none.
    """
    category_codes, brand_codes, prices = columns.category_codes, columns.brand_codes, columns.prices
    n, width = len(items), category_codes.shape[1]
    facets = np.empty((n, width + 2), np.int64)
    facet_counts = np.zeros(n, np.int64)
    leaf_categories = np.full(n, -1, np.int64)
    for c in range(n):
        item = items[c]
        for at in range(width):
            code = category_codes[item, at]
            if code < 0:
                continue
            leaf_categories[c] = code
            is_listed = False
            for earlier in range(facet_counts[c]):
                is_listed = is_listed or facets[c, earlier] == code
            if not is_listed:
                facets[c, facet_counts[c]] = code
                facet_counts[c] += 1
        if brand_codes[item] >= 0:
            facets[c, facet_counts[c]] = brand_codes[item]
            facet_counts[c] += 1
        price = prices[item]
        if price >= 0:
            band = PRICE_BANDS - 1
            if price <= _TOP_PRICE:
                band = min(PRICE_BANDS - 1, int(np.log2(1.0 + price)))
            facets[c, facet_counts[c]] = first_band + band
            facet_counts[c] += 1
    return facets, facet_counts, leaf_categories


@jit()
def pairwise_dissimilarity(items: Items, columns: ItemColumns, first_band: int) -> tuple[float, int, int]:
    """Add up the dissimilarities of all pairs of items that have facets.

    Parameters
    ----------
    items : ndarray of int32, shape (n,)
    columns, first_band
        As for `extract_facets`.

    Returns
    -------
    total : float
        Sum of 1 - Jaccard similarity over the pairs.
    pairs : int
    categories : int
        Distinct narrowest categories.
    """
    facets, facet_counts, leaf_categories = extract_facets(items, columns, first_band)
    total, pairs, categories = 0.0, 0, 0
    for c in range(len(items)):
        is_distinct = leaf_categories[c] >= 0
        for other in range(c):
            is_distinct = is_distinct and leaf_categories[other] != leaf_categories[c]
            if facet_counts[c] == 0 or facet_counts[other] == 0:
                continue
            shared = 0
            for at in range(facet_counts[c]):
                for other_at in range(facet_counts[other]):
                    shared += facets[c, at] == facets[other, other_at]
            total += 1.0 - shared / (facet_counts[c] + facet_counts[other] - shared)
            pairs += 1
        categories += is_distinct
    return total, pairs, categories

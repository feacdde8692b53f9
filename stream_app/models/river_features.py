"""Features of a user and an item for regressors and classifiers of River: numbers of a fixed set of names."""

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stream_app.models.array_types import Floats, Items
from stream_app.models.base import NO_ITEM
from stream_app.models.item_index import ItemIndex

DAY: Final = 86_400.0
HOUR: Final = 3_600.0

FEATURES: Final = (
    "popularity",  # log(1 + decayed choices of the item)
    "age",  # log(1 + days since the item's first choice)
    "idle",  # log(1 + hours since the item's last choice)
    "seen",  # log(1 + times that the session has the item)
    "seen_last",  # 1 for the session's newest item
    "same_category",  # share of the session's items with the item's narrowest category
    "same_brand",  # share of the session's items with the item's brand
    "price_gap",  # log of the price less the session's mean of it
    "session_length",  # log(1 + items of the session)
)
"""Names of the features, each a float; 0 where it is unknown."""


def item_features(
    index: ItemIndex, session: Items, now: float, items: Items, counts: Floats, last: Floats
) -> NDArray[np.float64]:
    """Features of items for a session.

    Parameters
    ----------
    index
        The items, with their catalog facts.
    session : ndarray of int32, shape (m,)
        Items of the session, oldest first; may hold `NO_ITEM`.
    now
        Event time, seconds since the epoch.
    items : ndarray of int32, shape (n,)
        Known items.
    counts, last : ndarray of float64, shape (n,)
        Decayed choices of each, and the event time of the last.

    Returns
    -------
    ndarray of float64, shape (n, len(FEATURES))

    Examples
    --------
    >>> index = ItemIndex(10)
    >>> shoe = index.index("shoe", 0.0)
    >>> one = np.ones(1)
    >>> row = item_features(index, np.array([shoe], np.int32), 1.0, np.array([shoe], np.int32), one, one)[0]
    >>> dict(zip(FEATURES, row.round(2).tolist()))["seen_last"]
    1.0
    """
    session = session[session >= 0]
    out = np.zeros((len(items), len(FEATURES)))
    first_seen = index.first_seen[items]
    started = np.isfinite(first_seen)
    out[:, 0] = np.log1p(np.maximum(counts, 0.0))
    out[started, 1] = np.log1p(np.maximum(now - first_seen[started], 0.0) / DAY)
    chosen = np.isfinite(last)
    out[chosen, 2] = np.log1p(np.maximum(now - last[chosen], 0.0) / HOUR)
    if not len(session):
        return out
    out[:, 3] = np.log1p((items[:, None] == session).sum(axis=1))
    out[:, 4] = items == session[-1]
    out[:, 5] = _share_of_equal(
        _narrowest(index.category_codes[items]), _narrowest(index.category_codes[session])
    )
    out[:, 6] = _share_of_equal(index.brand_codes[items], index.brand_codes[session])
    prices, session_prices = _log_prices(index, items), _log_prices(index, session)
    is_priced = np.isfinite(session_prices)
    if is_priced.any():
        gaps = prices - session_prices[is_priced].mean()
        out[:, 7] = np.where(np.isfinite(gaps), gaps, 0.0)
    out[:, 8] = math.log1p(len(session))
    return out


def _share_of_equal(codes: Items, session_codes: Items) -> Floats:
    shares: Floats = ((codes[:, None] == session_codes) & (codes[:, None] != NO_ITEM)).mean(axis=1)
    return shares


def _narrowest(category_codes: NDArray[Any]) -> Items:
    """The last known of each row of categories, `NO_ITEM` for none."""
    n_known = (category_codes != NO_ITEM).sum(axis=1)
    codes: Items = category_codes[np.arange(len(category_codes)), np.maximum(n_known - 1, 0)]
    return codes


def _log_prices(index: ItemIndex, items: Items) -> Floats:
    prices = index.prices[items].astype(np.float64)
    logs: Floats = np.full(len(items), np.nan)
    known = prices > 0
    logs[known] = np.log(prices[known])
    return logs

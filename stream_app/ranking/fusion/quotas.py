"""How many candidates of each source the learned fusion shortlists."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream_app.models.array_types import Items
from stream_app.models.base import Candidates
from stream_app.models.kernels.session_columns import SessionColumn
from stream_app.ranking.kernels import new_items as kernels

QUOTAS: Final = np.array(
    [
        (SessionColumn.COVISIT_SHARE, 40, 0),
        (SessionColumn.STAN, 40, 0),
        (SessionColumn.KNN, 25, 0),
        (SessionColumn.AFTER, 20, 0),
        (SessionColumn.SECOND_HOP, 50, 0),
        (SessionColumn.SECOND_HOP, 20, 1),
        (-1, 30, 0),  # scores by item vectors
    ],
    np.int32,
)
"""Session column, candidates shortlisted by it, and whether it is divided by the root of the item's clicks."""

SOURCE_QUOTA: Final = 20
"""Candidates shortlisted from each model that is not on the session store. Its further candidates only receive its
features where they are shortlisted otherwise."""

NEW_QUOTA: Final = 10
"""Further candidates of such a model that are shortlisted because they have no interactions: no other source can
bring them."""


def best_candidates(found: Candidates, clicks: NDArray[np.int64]) -> Items:
    """The candidates of a source that are shortlisted: the best, and the best without interactions.

    Parameters
    ----------
    clicks : ndarray of int64, shape (items,)
        Interactions of each item.

    Examples
    --------
    >>> items = np.arange(30, dtype=np.int32)
    >>> found = Candidates(items, np.ones(30, np.float32), items)
    >>> best_candidates(found, np.where(items == 25, 0, 7)).tolist()[-2:]
    [19, 25]
    """
    out = np.empty(SOURCE_QUOTA + NEW_QUOTA, np.int32)
    return out[: kernels.best_candidates(found.items, clicks, SOURCE_QUOTA, NEW_QUOTA, out)]

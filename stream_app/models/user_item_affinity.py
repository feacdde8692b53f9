"""Affinity of items to a user's recent categories, brands and prices."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream_app.models import profile
from stream_app.models.base import Context, Items
from stream_app.models.model_set import ModelSet

HALF_LIFE: Final = 3_600.0
"""Seconds in which an item loses half its weight in a user's profile."""


def write_affinity(context: Context, items: Items, models: ModelSet, out: NDArray[np.float32]) -> None:
    """Write the affinity features of items.

    Parameters
    ----------
    context
        User and recent items.
    items : ndarray of int32, shape (n,)
        Candidates.
    models
        Hold the item index and the distribution of prices.
    out : ndarray of float32, shape (n, 3)
        Receives the affinities to the category and to the brand, and the price: 0.5 at the user's mean, one eighth
        more per standard deviation; 0 if unknown.
    """
    out[:] = 0.0
    index = models.index
    if not index.any_described:
        return
    profile_arguments = (context.items, context.times, context.now, index, HALF_LIFE)
    out[:, :2] = profile.label_affinities(items, profile.affinities(*profile_arguments), index)
    level = profile.price_level(*profile_arguments)
    if level.items:
        distance = profile.price_distance(items, level, index, models.outliers.deviation("price"))
        # the range covers four standard deviations to either side
        out[:, 2] = np.where(index.prices[items] > 0, np.clip(0.5 + distance / 8.0, 0.01, 1.0), 0.0)

"""Contexts for the two-tower model."""

import numpy as np

from stream_app.models.base import Context
from stream_app.models.two_tower import TwoTower


def context_of(model: TwoTower, *item_ids: str) -> Context:
    """A user who viewed some items, 40 seconds apart."""
    items = np.array(model.index.find_all(item_ids), np.int32)
    times = 40.0 * np.arange(len(items), dtype=np.float64)
    return Context("ann", items, times, 0, (), float(times[-1]) if len(times) else 0.0)

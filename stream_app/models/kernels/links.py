"""Bounded rows of weighted items."""

from typing import Any

from stream_app.models.kernels.jit import jit
from stream_app.models.kernels.topk import ranks_before


@jit()
def add_weight(row: int, item: int, weight: float, items: Any, weights: Any, sizes: Any, ties: Any) -> None:
    """Add to the weight of a neighbor of `row`; a full row gives up its last in rank for a new one."""
    size = sizes[row]
    for at in range(size):
        if items[row, at] == item:
            weights[row, at] += weight
            return
    if size < items.shape[1]:
        sizes[row] = size + 1
        slot = size
    else:
        slot = 0
        for at in range(1, size):
            if ranks_before(weights[row, slot], items[row, slot], weights[row, at], items[row, at], ties):
                slot = at
    items[row, slot] = item
    weights[row, slot] = weight

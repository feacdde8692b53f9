"""Rows of weighted or dated items, each row of bounded length."""

from typing import Any, NamedTuple

from numpy.typing import NDArray

from stream_app.models.array_types import Floats, Hashes, Items, Mask, Sizes
from stream_app.models.kernels.jit import jit
from stream_app.models.kernels.topk import ranks_before


class LinkRows(NamedTuple):
    """Items that each row links to."""

    items: Items  # shape (n, width): in order of insertion; undefined beyond the size of the row
    weights: Floats  # shape (n, width): weight of each
    sizes: Sizes  # shape (n,): items of each row


@jit()
def add_weight(
    row: int, item: int, weight: float, items: Items, weights: Floats, sizes: Sizes, ties: Hashes
) -> None:
    """Add to the weight of an item in `row`; a new item replaces the lowest-ranked one of a full row.

    Parameters
    ----------
    row, item, weight
        The row, the item, and the addition to its weight.
    items : ndarray of int32, shape (rows, capacity)
        Items of each row; changed.
    weights : ndarray of float64, shape (rows, capacity)
        Their weights; changed.
    sizes : ndarray of int32, shape (rows,)
        Number of items of each row; changed.
    """
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


@jit()
def drop_items(items: Items, values: NDArray[Any], sizes: Sizes, removed_mask: Mask) -> None:
    """Remove the items marked in `removed_mask` from every row; the order of the others stays.

    Parameters
    ----------
    items : ndarray of int32, shape (n, width)
    values : ndarray, shape (n, width)
        Weight, time or kind of each item.
    sizes : ndarray of int32, shape (n,)
    removed_mask : ndarray of bool, shape (n_items,)
    """
    for row in range(len(sizes)):
        n_kept = 0
        for at in range(sizes[row]):
            item = items[row, at]
            if item < len(removed_mask) and removed_mask[item]:
                continue
            items[row, n_kept] = item
            values[row, n_kept] = values[row, at]
            n_kept += 1
        sizes[row] = n_kept

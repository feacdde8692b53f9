"""The kernel of `stream_app.ranking.exposure`: add the items of a list."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.models.array_types import Hashes, Items, Mask, Times
from stream_app.models.kernels.jit import jit


class ExposureArrays(NamedTuple):
    """Exposure of each item."""

    exposure: NDArray[np.float64]  # shape (items,): decayed number of ranks on lists
    # shape (items,): hash of the item that it was counted for: a number is reused when its item leaves the
    # index
    owner_hashes: NDArray[np.uint64]


@jit()
def add_list(
    items: Items,
    weight: float,
    arrays: ExposureArrays,
    hashes: Hashes,
    new_after: float,
    first_seen: Times,
    tail: Mask,
) -> tuple[int, int]:
    """Add the weight of a list to each of its items.

    Parameters
    ----------
    items : ndarray of int32, shape (n,)
    hashes : ndarray of uint64, shape (items,)
        Of the item index.
    new_after
        Event time after which the first interaction of a new item lies.
    first_seen : ndarray of float64, shape (items,)
        Of the item index.
    tail : ndarray of bool, shape (m,)
        Whether an item is of the long tail; items beyond the end are.

    Returns
    -------
    new, in_tail : int
        Items of the list that are new, and that are of the long tail.
    """
    new = in_tail = 0
    for at in range(len(items)):
        item = items[at]
        new += not first_seen[item] <= new_after
        in_tail += item >= len(tail) or tail[item]
        if arrays.owner_hashes[item] != hashes[item]:
            arrays.owner_hashes[item] = hashes[item]
            arrays.exposure[item] = 0.0
        arrays.exposure[item] += weight
    return new, in_tail

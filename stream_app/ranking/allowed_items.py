"""The items that may be listed."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from stream_app.models.base import NO_ITEM, Items
from stream_app.models.item_index import ItemIndex


def known_items(index: ItemIndex, item_ids: Iterable[str]) -> Items:
    """Integers of the items that the index has, in the order of their ids; shape (n,)."""
    return np.array([number for number in index.find_all(item_ids) if number != NO_ITEM], np.int32)


@contextmanager
def allowed_items(index: ItemIndex, excluded: Iterable[str]) -> Iterator[NDArray[np.bool_]]:
    """Flag the items that may be listed: available, and not excluded for the user.

    Parameters
    ----------
    index
        Its own flags are changed and restored: a copy would cost more than ranking.
    excluded
        Ids of items that the user bought or hid; unknown ids are ignored.

    Yields
    ------
    ndarray of bool, shape (capacity of the index,)
        Valid inside the context only.
    """
    flags = index.available
    indexes = known_items(index, excluded)
    if not len(indexes):
        yield flags
        return
    # an index can occur twice: its previous flag is the same both times, so the order does not matter
    previous_flags = flags[indexes]
    flags[indexes] = False
    try:
        yield flags
    finally:
        flags[indexes] = previous_flags

"""What may not be shown."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from stream_app.models.base import NO_ITEM
from stream_app.models.item_index import ItemIndex


@contextmanager
def allowed_items(index: ItemIndex, excluded: Iterable[str]) -> Iterator[NDArray[np.bool_]]:
    """The items that may be listed: available, and not excluded for this shopper.

    Parameters
    ----------
    index
        Its own flags are lent and put back: a copy would cost more than ranking does.
    excluded
        Ids, known or not: what the shopper bought or hid.

    Yields
    ------
    ndarray of bool, shape (capacity of the index,)
        Valid inside the context only.
    """
    flags = index.available
    indexes = np.array(
        [index_of_item for index_of_item in index.find_all(excluded) if index_of_item != NO_ITEM], np.int32
    )
    if not len(indexes):
        yield flags
        return
    # A place can stand twice: its flag before is the same both times, so the order does not matter.
    previous_flags = flags[indexes]
    flags[indexes] = False
    try:
        yield flags
    finally:
        flags[indexes] = previous_flags

"""Scans of a context: a user's recent items, oldest first."""

from stream_app.models.array_types import Items
from stream_app.models.kernels.jit import jit


@jit(inline=True)
def is_newest_occurrence(items: Items, position: int) -> bool:
    """Return whether no later position holds the same item.

    Parameters
    ----------
    items : ndarray of int32, shape (n,)
        Oldest first.
    position
        From 0 to n - 1.
    """
    later = position + 1
    while later < len(items) and items[later] != items[position]:
        later += 1
    return later == len(items)

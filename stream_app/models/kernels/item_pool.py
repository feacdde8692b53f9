"""A bounded pool of items with the clock rule."""

from stream_app.models.array_types import Items, Mask, Rows
from stream_app.models.kernels.jit import jit


@jit()
def insert_by_clock(
    item: int, hand: int, size: int, pool: Items, slots: Rows, referenced: Mask
) -> tuple[int, int]:
    """Insert an item into the pool by the clock rule (second chance); return the hand and the size after the call.

    Parameters
    ----------
    hand, size
        Position of the clock's hand, and items in the pool.
    pool : ndarray of int32, shape (capacity,)
        Items of the pool.
    slots : ndarray of int32, shape (n_items,)
        Position + 1 of each item in the pool, 0 outside.
    referenced : ndarray of bool, shape (capacity,)
        Whether the item was inserted again since the hand passed it.
    """
    if slots[item] != 0:
        referenced[slots[item] - 1] = True
        return hand, size
    if size < len(pool):
        slot = size
        size += 1
    else:
        while referenced[hand]:
            referenced[hand] = False
            hand = (hand + 1) % size
        slot = hand
        hand = (hand + 1) % size
        slots[pool[slot]] = 0
    pool[slot] = item
    referenced[slot] = False
    slots[item] = slot + 1
    return hand, size

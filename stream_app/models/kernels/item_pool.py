"""A bounded pool of items with the clock rule."""

from typing import Any

from stream_app.models.kernels.jit import jit


@jit()
def insert_by_clock(
    item: int, hand: int, size: int, pool: Any, slots: Any, referenced: Any
) -> tuple[int, int]:
    """Keep an item in the pool by the clock rule (second chance); return the hand and the pool's size.

    `slots` holds slot + 1 of each item, 0 outside the pool.
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

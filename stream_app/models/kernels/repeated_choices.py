"""Decayed counts of the items that each user chose, in rows of bounded length."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.models.array_types import Floats, Hashes, Items, Times
from stream_app.models.kernels.jit import jit
from stream_app.models.kernels.random import mix64

SEEN_BITS = 1024
"""Bits of the Bloom filter of a user."""


class ChosenItems(NamedTuple):
    """Items of each user, and the items whose counts were given up."""

    items: Items  # shape (users, width): item + 1 in each entry, 0 in a free one
    # shape (users, width, groups): decayed number of choices of each item, by group of kinds, at the time of the row
    choices: NDArray[np.float32]
    counted: Floats  # shape (users, width): the largest decayed weight of a choice of each item
    times: Times  # shape (users,): newest event time of the user, seconds since the epoch
    # shape (users, SEEN_BITS / 64): Bloom filter of the items that lost their entry within the half-life, counted
    # from the epoch
    evicted: NDArray[np.uint64]


@jit()
def count_choice(
    row: int,
    item: int,
    ts: float,
    weight: float,
    group: int,
    half_life: float,
    chosen: ChosenItems,
    ties: Hashes,
) -> tuple[float, float]:
    """Count a choice of a user.

    Returns the share of the weight by which it exceeds the earlier choices of the item, and the number of those of
    the group; both decayed to `ts`.

    Parameters
    ----------
    row, item
        Row of the user, and the item.
    ts, weight
        Event time, and weight; 0 or below is always new.
    group
        Group of the kind: choices are numbered by group.
    half_life
        Seconds in which a choice loses half its weight.
    chosen
        Changed. In a full row a new item takes the entry with the smallest weight. It starts from 0 if it never had
        an entry, else from the counts of that entry (as in the space-saving algorithm), so that no sequence of items
        hides how often one of them was chosen.
    ties
        Hashes of the items, which decide between equal entries.
    """
    items, choices, counted, times, evicted = chosen
    width, groups = items.shape[1], choices.shape[2]
    one = 1.0  # a choice, decayed to the time of the row
    if ts > times[row]:
        decay = 2.0 ** ((times[row] - ts) / half_life)
        for at in range(width):
            counted[row, at] *= decay
            for each in range(groups):
                choices[row, at, each] *= decay
        if math.floor(ts / half_life) > math.floor(times[row] / half_life):
            evicted[row, :] = 0
        times[row] = ts
    else:
        one = 2.0 ** ((ts - times[row]) / half_life)
    slot = _find_entry(item, items[row], counted[row], choices[row], ties)
    if items[row, slot] != item + 1:
        was_evicted = False
        if items[row, slot] != 0:
            was_evicted = _is_marked(ties[item], evicted[row])
            _mark(ties[items[row, slot] - 1], evicted[row])
        if not was_evicted:
            counted[row, slot] = 0.0
            choices[row, slot, :] = 0.0
        items[row, slot] = item + 1
    n_before = choices[row, slot, group] / one if one > 0.0 else 0.0
    choices[row, slot, group] += one
    size = weight * one
    if weight <= 0.0:
        return 1.0, n_before
    counted_before = counted[row, slot]
    counted[row, slot] = max(counted_before, size)
    # of the decayed weights, so that their sum over the choices is the largest one, in whatever order they come
    return max(0.0, size - counted_before) / size if size > 0.0 else 0.0, n_before


@jit()
def _find_entry(item: int, items: Items, counted: Floats, choices: NDArray[np.float32], ties: Hashes) -> int:
    """Find the entry of an item, else a free one, else the one to give up."""
    lowest = -1
    for at in range(len(items)):
        if items[at] == item + 1:
            return at
        if lowest >= 0 and items[lowest] == 0:
            continue
        if lowest < 0 or items[at] == 0 or counted[at] < counted[lowest]:
            lowest = at
        elif counted[at] == counted[lowest]:
            difference = choices[at].sum() - choices[lowest].sum()
            if difference < 0.0 or (difference == 0.0 and ties[items[at] - 1] < ties[items[lowest] - 1]):
                lowest = at
    return lowest


@jit()
def _is_marked(item_hash: np.uint64, bits: Hashes) -> bool:
    mixed = mix64(item_hash)
    for shift in (0, 32):
        bit = (mixed >> np.uint64(shift)) & np.uint64(SEEN_BITS - 1)
        if not (bits[bit >> np.uint64(6)] >> (bit & np.uint64(63))) & np.uint64(1):
            return False
    return True


@jit()
def _mark(item_hash: np.uint64, bits: Hashes) -> None:
    mixed = mix64(item_hash)
    for shift in (0, 32):
        bit = (mixed >> np.uint64(shift)) & np.uint64(SEEN_BITS - 1)
        bits[bit >> np.uint64(6)] |= np.uint64(1) << (bit & np.uint64(63))

"""The ring of a user's last impressions and choices."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.models.array_types import Floats, Integers, Items
from stream_app.models.kernels.jit import jit

CHOICE: int = -1
"""Rank of an entry that is a choice instead of an impression."""

_MAX_RANK: int = 32_767


Ring = tuple[NDArray[np.int32], NDArray[np.int16], NDArray[np.int32]]
"""Entries of a user, the oldest overwritten first: items (-1 for an empty entry), ranks on their lists (or `CHOICE`)
and list numbers, counted by user; each of shape (entries,). A plain tuple: numba takes a named one 0.8 µs later."""


class ImpressionHistory(NamedTuple):
    """Impressions and choices of some items by a user."""

    # shape (n,): expected examinations of each item on the recent lists, without a choice since
    ignored_impressions: NDArray[np.float64]
    # shape (n,): the same over all lists remembered, each with a weight that decays with the displayed lists since
    decayed: NDArray[np.float64]
    chosen: NDArray[np.float64]  # shape (n,): 1 for an item chosen from a recent list, else 0


@jit()
def record_impressions(seen: Items, positions: Integers, list_number: int, written: int, ring: Ring) -> int:
    """Append impressions of a list; return the entries ever written.

    Parameters
    ----------
    seen : ndarray of int32, shape (m,)
        Items; negative ones are unknown and skipped.
    positions : ndarray of int64, shape (m,)
        Their ranks on the list.
    written
        Entries ever written.
    ring
        Output.
    """
    items, ranks, lists = ring
    for index in range(len(seen)):
        if seen[index] >= 0:
            slot = written % len(items)
            items[slot] = seen[index]
            ranks[slot] = min(max(positions[index], 0), _MAX_RANK)
            lists[slot] = list_number
            written += 1
    return written


@jit()
def record_choice(item: int, list_number: int, written: int, ring: Ring) -> int:
    """Append a choice and remove the impressions of its item; return the entries ever written.

    Parameters
    ----------
    item, list_number
        The item chosen, and the number of its list.
    written
        Entries ever written before.
    """
    items, ranks, lists = ring
    for slot in range(len(items)):
        if items[slot] == item:
            items[slot] = -1
    slot = written % len(items)
    items[slot] = item
    ranks[slot] = CHOICE
    lists[slot] = list_number
    return written + 1


@jit()
def accumulate_history(
    candidates: Items,
    ring: Ring,
    list_number: int,
    n_recent: int,
    decay: float,
    examination_probabilities: Floats,
    history: ImpressionHistory,
) -> None:
    """Add the entries of the ring to the history of some items.

    Parameters
    ----------
    candidates : ndarray of int32, shape (n,)
        Distinct items.
    list_number
        Number of the latest list.
    n_recent
        Lists that count as recent.
    decay
        Factor of the weight from a list to the one before.
    examination_probabilities : ndarray of float64, shape (positions,)
        Lower ranks have the probability of the last position.
    history
        Output; zeros on input.
    """
    items, ranks, lists = ring
    for slot in range(len(items)):
        item = items[slot]
        if item < 0:
            continue
        age = list_number - lists[slot]
        for row in range(len(candidates)):
            if candidates[row] == item:
                rank = ranks[slot]
                if rank < 0:
                    if age < n_recent:
                        history.chosen[row] = 1.0
                else:
                    probability = examination_probabilities[min(rank, len(examination_probabilities) - 1)]
                    history.decayed[row] += probability * decay**age
                    if age < n_recent:
                        history.ignored_impressions[row] += probability
                break

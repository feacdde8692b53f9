"""Neighboring users of a context, and the scores of their items."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.models.array_types import Floats, Items, Rows, Sizes, Times
from stream_app.models.kernels.context import is_newest_occurrence
from stream_app.models.kernels.jit import jit
from stream_app.models.kernels.sparse_scoring import ScoreScratch, add_score

NO_ROW = -1
"""Row of a user who was erased."""


class UserItems(NamedTuple):
    """Newest distinct items of each user."""

    items: Items  # shape (users, user_items)
    times: Times  # shape (users, user_items): newest event time of each
    sizes: Sizes  # shape (users,): items held
    row_slots: Rows  # shape (users,): scratch: index + 1 of a user among the neighbors, 0 between calls


class ItemUsers(NamedTuple):
    """Last users of each item."""

    # shape (n_items, postings): rows of the users, `NO_ROW` for an erased one; the newest overwrites the oldest
    rings: Rows
    posted: NDArray[np.int64]  # shape (n_items,): users written so far


class Neighbors(NamedTuple):
    """Users who share items with a context."""

    rows: Rows  # shape (capacity,): row of each user
    overlaps: Floats  # shape (capacity,): number of items in common
    newest: Times  # shape (capacity,): newest event time of these items
    # shape (capacity,): position in the context of the newest item in common
    matched_positions: NDArray[np.int32]


@jit()
def add_interaction(row: int, item: int, ts: float, users: UserItems, postings: ItemUsers) -> None:
    """Add an item to the newest items of a user, and the user to the ring of the item.

    Except for items of equal time, the result for a user does not depend on the order of events.
    """
    users = UserItems(*users)
    postings = ItemUsers(*postings)
    items, times, sizes = users.items, users.times, users.sizes
    size = sizes[row]
    position = _position(item, items[row], size)
    if position >= 0:
        times[row, position] = max(times[row, position], ts)
    else:
        if size < items.shape[1]:
            sizes[row] = size + 1
            position = size
        else:
            position = 0
            for at in range(1, size):
                if times[row, at] < times[row, position]:
                    position = at
            if times[row, position] > ts:
                return
        items[row, position] = item
        times[row, position] = ts
    ring = postings.rings.shape[1]
    if _position(row, postings.rings[item], min(ring, postings.posted[item])) < 0:
        postings.rings[item, postings.posted[item] % ring] = row
        postings.posted[item] += 1


@jit(inline=True)
def _position(value: int, values: Items, size: int) -> int:
    """Position of a value among the first `size` values; -1 if it is not there."""
    for at in range(size):
        if values[at] == value:
            return at
    return -1


@jit()
def find_neighbors(
    context: Items, depth: int, own_row: int, users: UserItems, postings: ItemUsers, neighbors: Neighbors
) -> tuple[int, int]:
    """Find the users who share an item with a context.

    Returns the number of neighbors, and the number of context items used.

    Parameters
    ----------
    context : ndarray of int32, shape (n,)
        Oldest first; unknown items are skipped.
    depth
        Largest number of distinct context items used, newest first.
    own_row
        Row of the context's user, which is not a neighbor; -1 for none.
    users, postings
        Items of each user and users of each item. `users.row_slots` is left set for `score_neighbor_items`.
    neighbors
        Receives the users.
    """
    neighbors = Neighbors(*neighbors)
    items, times, sizes, row_slots = users
    rings, posted = postings
    n = 0
    n_context = 0
    ring = rings.shape[1]
    for at in range(len(context) - 1, -1, -1):
        item = context[at]
        if not 0 <= item < len(posted) or not is_newest_occurrence(context, at):
            continue
        n_context += 1
        for back in range(min(ring, posted[item])):
            row = rings[item, (posted[item] - 1 - back) % ring]
            if row < 0 or row == own_row:
                continue
            # the row may have dropped the item since, or belong to another user now
            match = _position(item, items[row], sizes[row])
            if match < 0:
                continue
            slot = row_slots[row] - 1
            if slot < 0:
                slot = n
                n += 1
                row_slots[row] = n
                neighbors.rows[slot] = row
                neighbors.overlaps[slot] = 0.0
                neighbors.newest[slot] = -math.inf
                neighbors.matched_positions[slot] = at
            neighbors.overlaps[slot] += 1.0
            neighbors.newest[slot] = max(neighbors.newest[slot], times[row, match])
        if n_context == depth:
            break
    return n, n_context


@jit()
def score_neighbor_items(
    context: Items,
    now: float,
    half_life: float,
    nearest: Rows,
    similarities: Floats,
    neighbors: Neighbors,
    users: UserItems,
    scratch: ScoreScratch,
) -> int:
    """Score the items of the nearest users, except those of the context, and reset `users.row_slots`.

    Returns the number of touched items.

    Parameters
    ----------
    context : ndarray of int32, shape (m,)
    now, half_life
        Time to decay to, and seconds in which an interaction loses half its weight.
    nearest : ndarray of int32, shape (k,)
        Rows of the nearest users.
    similarities : ndarray of float64, shape (n,)
        Similarity of each neighbor with the context.
    neighbors, users
        As `find_neighbors` left them.
    scratch
        Receives the scores. The evidence is the newest item that the user shares with the context.
    """
    neighbors = Neighbors(*neighbors)
    items, times, sizes, row_slots = users
    scores, best, evidence, touched_items = scratch
    n = 0
    for rank in range(len(nearest)):
        row = nearest[rank]
        slot = row_slots[row] - 1
        similarity = similarities[slot]
        source = context[neighbors.matched_positions[slot]]
        for position in range(sizes[row]):
            item = items[row, position]
            if _position(item, context, len(context)) >= 0:
                continue
            value = similarity * 2.0 ** (-max(0.0, now - times[row, position]) / half_life)
            if value > 0:
                n = add_score(item, value, source, n, scores, best, evidence, touched_items)
    for slot in range(len(similarities)):
        row_slots[neighbors.rows[slot]] = 0
    return n

"""Scores of factor models."""

from typing import NamedTuple

import numpy as np

from stream_app.models.array_types import Floats, Hashes, Items, Mask, Scores
from stream_app.models.kernels.jit import SUMS, jit
from stream_app.models.kernels.topk import top_k


class Factors(NamedTuple):
    """Vectors and biases of users and items."""

    user_latents: Scores  # shape (users, n_factors)
    item_latents: Scores  # shape (n_items, n_factors)
    item_biases: Floats  # shape (n_items,)
    has_vector: Mask  # shape (n_items,): whether an item has a vector


@jit(inline=True)
def add_context(
    items: Items, first: int, context_decay: float, factors: Factors, out: Scores | Floats
) -> bool:
    """Add the decayed vectors of context items to `out`, newest item first; return whether an item was added.

    Parameters
    ----------
    items : ndarray of int32, shape (n,)
        Oldest first; items without a vector are skipped.
    first
        Position of the oldest item used.
    context_decay
        Factor from an item with a vector to the next older one.
    out : ndarray of float, shape (n_factors,)
        Receives the sum.
    """
    found = False
    factor = 1.0
    for at in range(len(items) - 1, first - 1, -1):
        item = items[at]
        if 0 <= item < len(factors.has_vector) and factors.has_vector[item]:
            for slot in range(len(out)):
                out[slot] += factor * factors.item_latents[item, slot]
            found = True
            factor *= context_decay
    return found


@jit()
def user_vector(row: int, items: Items, context_decay: float, factors: Factors, out: Scores) -> bool:
    """Add the vectors of a user and of context items to `out`; return whether any of them has a vector.

    Parameters
    ----------
    row
        Row of the user; below 0 for a user without a vector.
    items, context_decay
        As for `add_context`.
    out : ndarray of float32, shape (n_factors,)
        Receives the sum.
    """
    factors = Factors(*factors)
    if row >= 0:
        out += factors.user_latents[row]
    return add_context(items, 0, context_decay, factors, out) or row >= 0


@jit(fastmath=SUMS)
def dot(left: Scores, right: Scores) -> np.float32:
    """Dot product of two vectors, as float32.

    Parameters
    ----------
    left, right : ndarray of float32, shape (n_factors,)
        The vectors.
    """
    total = np.float32(0.0)
    for at in range(len(left)):
        total += left[at] * right[at]
    return total


@jit(inline=True)
def affinity(vector: Scores, item: int, factors: Factors) -> float:
    """Bias plus dot product x of an item, mapped to (0, 1) by ``(1 + x / (1 + |x|)) / 2``.

    Parameters
    ----------
    vector : ndarray of float32, shape (n_factors,)
        Vector of a context.
    item
        An item with a vector.
    """
    total = factors.item_biases[item] + dot(vector, factors.item_latents[item])
    return float(0.5 + 0.5 * total / (1.0 + abs(total)))


@jit()
def top_k_by_affinity(
    vector: Scores,
    pool: Items,
    factors: Factors,
    ties: Hashes,
    scores: Scores,
    out_items: Items,
    out_scores: Scores,
) -> int:
    """Rank the items of a pool by their affinity with a vector; return the number of items written.

    Parameters
    ----------
    vector : ndarray of float32, shape (n_factors,)
        Vector of a context.
    pool : ndarray of int32, shape (n,)
        Items to rank.
    scores : ndarray of float32, shape (capacity,)
        Scratch.
    """
    factors = Factors(*factors)
    for at in range(len(pool)):
        scores[at] = affinity(vector, pool[at], factors)
    return top_k(pool, scores, len(pool), ties, len(out_items), out_items, out_scores)


@jit()
def affinities(vector: Scores, items: Items, factors: Factors, out: Scores) -> None:
    """Write the affinity of each of `items` to `out`, 0 for an item without a vector.

    Parameters
    ----------
    vector : ndarray of float32, shape (n_factors,)
        Vector of the user or the context.
    items : ndarray of int32, shape (n,)
        Items; those below 0 or beyond the arrays are unknown.
    out : ndarray of float32, shape (n,)
    """
    factors = Factors(*factors)
    for at in range(len(items)):
        item = items[at]
        out[at] = 0.0
        if 0 <= item < len(factors.has_vector) and factors.has_vector[item]:
            out[at] = affinity(vector, item, factors)

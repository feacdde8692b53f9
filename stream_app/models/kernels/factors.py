"""Scores of factor models."""

from typing import Any

import numpy as np

from stream_app.models.kernels.jit import SUMS, jit
from stream_app.models.kernels.topk import top_k


@jit()
def user_vector(
    row: int,
    items: Any,
    context_decay: float,
    has_vector: Any,
    user_latents: Any,
    item_latents: Any,
    out: Any,
) -> bool:
    """Sum the vector of a shopper (none for a row below 0) and those of items, the newest item first."""
    found = row >= 0
    if found:
        out += user_latents[row]
    factor = 1.0
    for at in range(len(items) - 1, -1, -1):
        item = items[at]
        if 0 <= item < len(has_vector) and has_vector[item]:
            for slot in range(len(out)):
                out[slot] += factor * item_latents[item, slot]
            found = True
            factor *= context_decay
    return found


@jit(fastmath=SUMS)
def dot(left: Any, right: Any) -> Any:
    """Multiply two vectors; the terms may be summed in any order, several at a time."""
    total = np.float32(0.0)
    for at in range(len(left)):
        total += left[at] * right[at]
    return total


@jit()
def affinity(vector: Any, item: int, latents: Any, biases: Any) -> float:
    """Press bias plus dot product into (0, 1), rising."""
    total = biases[item] + dot(vector, latents[item])
    return float(0.5 + 0.5 * total / (1.0 + abs(total)))


@jit()
def top_k_by_factors(
    vector: Any,
    pool: Any,
    size: int,
    latents: Any,
    biases: Any,
    ties: Any,
    k: int,
    scores: Any,
    out_items: Any,
    out_scores: Any,
) -> int:
    """Rank the pool by affinity with `vector`; return how many were written."""
    for at in range(size):
        scores[at] = affinity(vector, pool[at], latents, biases)
    return top_k(pool, scores, size, ties, k, out_items, out_scores)


@jit()
def affinities(vector: Any, items: Any, has_vector: Any, latents: Any, biases: Any, out: Any) -> None:
    """Write the affinity of each item; 0 for an unknown one."""
    for at in range(len(items)):
        item = items[at]
        out[at] = 0.0
        if 0 <= item < len(has_vector) and has_vector[item]:
            out[at] = affinity(vector, item, latents, biases)

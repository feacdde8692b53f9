"""Selection of the best k entries."""

import numpy as np

from stream_app.models.array_types import Floats, Hashes, Items, Scores
from stream_app.models.kernels.jit import jit


@jit(inline=True)
def ranks_before(score: float, item: int, other_score: float, other: int, ties: Hashes) -> bool:
    """Return whether an item ranks before another: by score, in a tie by the smaller hash."""
    if score != other_score:
        return bool(score > other_score)
    return bool(ties[item] < ties[other])


@jit(inline=True)
def _sift_down(
    scores: Scores | Floats, items: Items, ties: Hashes, score: float, item: int, size: int
) -> None:
    """Put an entry at the root of a heap, which has the last in rank on top, and restore the heap."""
    at = 0
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        right = child + 1
        if right < size and ranks_before(scores[child], items[child], scores[right], items[right], ties):
            child = right
        if ranks_before(score, item, scores[child], items[child], ties):
            scores[at] = scores[child]
            items[at] = items[child]
            at = child
        else:
            break
    scores[at] = score
    items[at] = item


@jit()
def top_k(
    items: Items,
    scores: Scores | Floats,
    n: int,
    ties: Hashes,
    k: int,
    out_items: Items,
    out_scores: Scores | Floats,
) -> int:
    """Write the best `k` of the first `n` entries, best first; return the number of entries written.

    Parameters
    ----------
    items : ndarray of int32, shape (m,)
    scores : ndarray of float32, shape (m,)
        Entries of score 0 or less are skipped.
    n
        Number of entries used, at most m.
    ties : ndarray of uint64, shape (n_items,)
        Hash of each item; of two items of equal score the one with the smaller hash ranks first.
    k
        Largest number of entries written.
    out_items, out_scores : ndarray, shape (k,)
        Receive the best entries.
    """
    size = 0
    for entry in range(n):
        score = scores[entry]
        if not score > 0:
            continue
        item = items[entry]
        if size < k:
            at = size
            size += 1
            while at > 0:
                parent = (at - 1) // 2
                if not ranks_before(out_scores[parent], out_items[parent], score, item, ties):
                    break
                out_scores[at] = out_scores[parent]
                out_items[at] = out_items[parent]
                at = parent
            out_scores[at] = score
            out_items[at] = item
        elif ranks_before(score, item, out_scores[0], out_items[0], ties):
            _sift_down(out_scores, out_items, ties, score, item, size)
    for end in range(size - 1, 0, -1):
        score = out_scores[end]
        item = out_items[end]
        out_scores[end] = out_scores[0]
        out_items[end] = out_items[0]
        _sift_down(out_scores, out_items, ties, score, item, end)
    return size


@jit()
def kth_largest(values: Scores, n: int, k: int) -> np.float32:
    """Return the k-th largest of the first `n` values, which are reordered.

    Parameters
    ----------
    values : ndarray of float, shape (at least n,)
        Changed: the first `n` values are reordered.
    n, k
        Number of values, and the rank, from 1.

    References
    ----------
    Hoare: Algorithm 65: Find, CACM 4 (7), 1961 (quickselect).
    """
    low, high = 0, n - 1
    k -= 1
    while low < high:
        pivot = values[(low + high) >> 1]
        i, j = low, high
        while i <= j:
            while values[i] > pivot:
                i += 1
            while values[j] < pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if k <= j:
            high = j
        elif k >= i:
            low = i
        else:
            break
    kth: np.float32 = values[k]
    return kth

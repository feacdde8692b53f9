"""Selection of the best k entries; ties go to the smaller tie value."""

from typing import Any

from stream_app.models.kernels.jit import jit


@jit()
def ranks_before(score: Any, item: Any, other_score: Any, other: Any, ties: Any) -> bool:
    """Whether an item ranks before another: by score, then by the smaller tie value."""
    if score != other_score:
        return bool(score > other_score)
    return bool(ties[item] < ties[other])


@jit()
def sift_down(scores: Any, items: Any, ties: Any, score: Any, item: Any, size: int) -> None:
    """Put an entry at the root of a heap (the last in rank on top) of `size` and let it sink."""
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
def top_k(items: Any, scores: Any, n: int, ties: Any, k: int, out_items: Any, out_scores: Any) -> int:
    """Write the best `k` of the first `n` entries with a score above 0, best first; return how many."""
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
            sift_down(out_scores, out_items, ties, score, item, size)
    for end in range(size - 1, 0, -1):
        score = out_scores[end]
        item = out_items[end]
        out_scores[end] = out_scores[0]
        out_items[end] = out_items[0]
        sift_down(out_scores, out_items, ties, score, item, end)
    return size

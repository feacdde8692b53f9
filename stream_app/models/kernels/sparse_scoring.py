"""Ranking of scores that were accumulated in arrays over all items."""

from typing import Any

from stream_app.models.kernels.jit import jit
from stream_app.models.kernels.topk import top_k


@jit()
def rank_and_reset(
    n: int,
    k: int,
    scores: Any,
    best: Any,
    evidence: Any,
    touched_items: Any,
    ties: Any,
    pool: Any,
    out_items: Any,
    out_scores: Any,
    out_evidence: Any,
) -> int:
    """Rank the touched items and clear the scratch arrays; return how many were written."""
    for at in range(n):
        pool[at] = scores[touched_items[at]]
    size = top_k(touched_items, pool, n, ties, k, out_items, out_scores)
    for at in range(size):
        out_evidence[at] = evidence[out_items[at]]
    for at in range(n):
        scores[touched_items[at]] = 0.0
        best[touched_items[at]] = 0.0
    return size


@jit()
def read_and_reset(n: int, items: Any, scores: Any, best: Any, touched_items: Any, out: Any) -> None:
    """Write the scores of given items and clear the scratch arrays."""
    for at in range(len(items)):
        item = items[at]
        out[at] = scores[item] if 0 <= item < len(scores) else 0.0
    for at in range(n):
        scores[touched_items[at]] = 0.0
        best[touched_items[at]] = 0.0

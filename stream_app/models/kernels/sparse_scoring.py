"""Ranking of scores that are accumulated in arrays over all items."""

from typing import NamedTuple

from stream_app.models.array_types import Floats, Hashes, Items, Scores
from stream_app.models.kernels.jit import jit
from stream_app.models.kernels.topk import top_k


class ScoreScratch(NamedTuple):
    """Working memory to accumulate scores; `scores` and `best` are zero between calls."""

    scores: Floats  # shape (n_items,): sum of the parts of each item's score
    best: Floats  # shape (n_items,): largest part of each
    evidence: Items  # shape (n_items,): source of the largest part, as returned in `Candidates.evidence`
    touched_items: Items  # shape (capacity,): items with a score, in the order in which they got one


@jit(inline=True)
def add_score(
    item: int,
    part: float,
    source: int,
    n: int,
    scores: Floats,
    best: Floats,
    evidence: Items,
    touched_items: Items,
) -> int:
    """Add a part above 0 to the score of an item; return the number of touched items.

    Inner loops call it, so it takes the arrays of `ScoreScratch` one by one: a named tuple would be counted as a
    reference to each of its arrays at every call.

    Parameters
    ----------
    item, part, source
        The item, the part of its score, and the evidence for it.
    n
        Number of touched items before the call.
    scores, best, evidence, touched_items
        See `ScoreScratch`.
    """
    if scores[item] == 0.0:
        touched_items[n] = item
        n += 1
    scores[item] += part
    if part > best[item]:
        best[item] = part
        evidence[item] = source
    return n


@jit()
def rank_and_reset(
    n: int,
    scratch: ScoreScratch,
    ties: Hashes,
    pool: Scores,
    out_items: Items,
    out_scores: Scores,
    out_evidence: Items,
) -> int:
    """Rank the touched items and reset the scratch memory; return the number of items written.

    Parameters
    ----------
    n
        Number of touched items.
    pool : ndarray of float32, shape (capacity,)
        Scratch.
    """
    scratch = ScoreScratch(*scratch)
    for at in range(n):
        pool[at] = scratch.scores[scratch.touched_items[at]]
    size = top_k(scratch.touched_items, pool, n, ties, len(out_items), out_items, out_scores)
    for at in range(size):
        out_evidence[at] = scratch.evidence[out_items[at]]
    _reset(n, scratch)
    return size


@jit()
def read_and_reset(n: int, items: Items, scratch: ScoreScratch, out: Scores) -> None:
    """Write the score of each of `items` to `out`, 0 for unknown ones, and reset the scratch memory.

    Parameters
    ----------
    n
        Number of items with a score.
    items : ndarray of int32, shape (m,)
        Items; those below 0 or beyond the scratch memory are unknown.
    scratch
        Scores accumulated; 0 after the call.
    out : ndarray of float32, shape (m,)
    """
    scratch = ScoreScratch(*scratch)
    for at in range(len(items)):
        item = items[at]
        out[at] = scratch.scores[item] if 0 <= item < len(scratch.scores) else 0.0
    _reset(n, scratch)


@jit(inline=True)
def _reset(n: int, scratch: ScoreScratch) -> None:
    for at in range(n):
        scratch.scores[scratch.touched_items[at]] = 0.0
        scratch.best[scratch.touched_items[at]] = 0.0

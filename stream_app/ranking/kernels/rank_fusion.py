"""Kernels over the ranked candidates of several sources: fusion by rank, and the top source of an item."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.models.array_types import Floats, Hashes, Integers, Items, Mask
from stream_app.models.kernels.jit import jit
from stream_app.models.kernels.topk import top_k


class RankedSources(NamedTuple):
    """The candidates of all sources, one after the other, each best first."""

    # items, evidence: shape (candidates,)
    items: NDArray[np.int32]
    evidence: NDArray[np.int32]
    ends: NDArray[np.int64]  # shape (sources,): where the candidates of each source end


class FusionScratch(NamedTuple):
    """Scratch memory, one entry per item; scores and best gains are 0 between calls."""

    # scores, best_gains: shape (items,)
    scores: NDArray[np.float64]
    best_gains: NDArray[np.float64]
    # shape (items,): position among the candidates that the best gain comes from
    best_positions: NDArray[np.int32]


@jit()
def _add_gains(
    ranked: RankedSources, allowed: Mask, scratch: FusionScratch, k: float, borda: float, seen_items: Items
) -> int:
    """Add up the gains of each allowed item; write the distinct items and return their number."""
    n = 0
    start = 0
    for source in range(len(ranked.ends)):
        for position in range(start, ranked.ends[source]):
            item = ranked.items[position]
            if not allowed[item]:
                continue
            rank = position - start
            gain = 1.0 / (k + rank + 1.0) if borda == 0.0 else max(borda - rank, 1.0) / borda
            if scratch.scores[item] == 0.0:
                seen_items[n] = item
                n += 1
            scratch.scores[item] += gain
            if gain > scratch.best_gains[item]:
                scratch.best_gains[item] = gain
                scratch.best_positions[item] = position
        start = ranked.ends[source]
    return n


@jit()
def fuse(
    ranked: RankedSources,
    allowed: Mask,
    hashes: Hashes,
    scratch: FusionScratch,
    length: int,
    k: float,
    borda: float,
) -> tuple[Items, Floats, Integers, Items]:
    """Fuse ranked candidates into one list.

    Parameters
    ----------
    allowed : ndarray of bool, shape (items,)
        Whether an item may be listed.
    hashes : ndarray of uint64, shape (items,)
        Decide ties.
    scratch
        As it was found afterwards.
    length
        Most items of the list.
    k
        Constant of the reciprocal ranks.
    borda
        Points of the first item of a source; 0 for reciprocal ranks.

    Returns
    -------
    items : ndarray of int32, shape (n,)
        Best first.
    scores : ndarray of float64, shape (n,)
        Rounded to six digits after the point.
    sources : ndarray of int64, shape (n,)
        Source of the best gain of each item.
    evidence : ndarray of int32, shape (n,)
        Its evidence for the item.
    """
    ranked, scratch = RankedSources(*ranked), FusionScratch(*scratch)
    seen_items = np.empty(len(ranked.items), np.int32)
    n = _add_gains(ranked, allowed, scratch, k, borda, seen_items)
    n_kept = min(length, n)
    items = np.empty(n_kept, np.int32)
    scores = np.empty(n_kept, np.float64)
    sources = np.empty(n_kept, np.int64)
    evidence = np.empty(n_kept, np.int32)
    if n_kept:
        seen_scores = np.empty(n, np.float64)
        for at in range(n):
            seen_scores[at] = scratch.scores[seen_items[at]]
        top_k(seen_items, seen_scores, n, hashes, n_kept, items, scores)
    for rank in range(n_kept):
        position = scratch.best_positions[items[rank]]
        source = 0
        while ranked.ends[source] <= position:
            source += 1
        sources[rank] = source
        evidence[rank] = ranked.evidence[position]
        scores[rank] = np.floor(scores[rank] * 1e6 + 0.5) / 1e6
    for at in range(n):
        scratch.scores[seen_items[at]] = 0.0
        scratch.best_gains[seen_items[at]] = 0.0
    return items, scores, sources, evidence


@jit()
def top_sources(
    listed_items: Items, ranked: RankedSources, prefer_evidence: bool, sources: Integers, evidence: Items
) -> None:
    """Find the source that ranks each item highest; among equals the first source.

    Parameters
    ----------
    listed_items : ndarray of int32, shape (n,)
    prefer_evidence
        Whether a source with evidence precedes one without, regardless of their ranks.
    sources : ndarray of int64, shape (n,)
        Receives the sources, -1 for none.
    evidence : ndarray of int32, shape (n,)
        Receives their evidence, -1 for none.
    """
    ranked = RankedSources(*ranked)
    for at in range(len(listed_items)):
        sources[at] = -1
        evidence[at] = -1
        best_rank = len(ranked.items)
        start = 0
        for source in range(len(ranked.ends)):
            for position in range(start, ranked.ends[source]):
                if ranked.items[position] != listed_items[at]:
                    continue
                rank = position - start
                better = sources[at] < 0 or rank < best_rank
                if prefer_evidence and sources[at] >= 0:
                    has_evidence = ranked.evidence[position] >= 0
                    had_evidence = evidence[at] >= 0
                    if has_evidence != had_evidence:
                        better = has_evidence
                if better:
                    sources[at], evidence[at], best_rank = source, ranked.evidence[position], rank
                break
            start = ranked.ends[source]

"""Fusion by ranks alone: reciprocal ranks (Cormack, Clarke and Büttcher 2009), or votes (Borda)."""

from collections.abc import Sequence
from itertools import accumulate
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.models.base import EMPTY_ITEMS, Candidates
from stream_app.models.kernels.jit import jit

RRF_K: Final = 60.0
"""The constant of the paper: how little the first places differ."""


@jit()
def _fuse(  # noqa: C901, PLR0912  # one kernel: calls between kernels would cost more than they tell
    items: NDArray[np.int32],
    evidence: NDArray[np.int32],
    ends: NDArray[np.int64],
    allowed: NDArray[np.bool_],
    hashes: NDArray[np.uint64],
    scores: NDArray[np.float64],
    best: NDArray[np.float64],
    best_position: NDArray[np.int32],
    length: int,
    k: float,
    borda: float,
) -> tuple[NDArray[np.int32], NDArray[np.float64], NDArray[np.int64], NDArray[np.int32]]:
    candidates_seen = np.empty(len(items), np.int32)
    n = 0
    start = 0
    for source in range(len(ends)):
        for at in range(start, ends[source]):
            item = items[at]
            if not allowed[item]:
                continue
            gain = 1.0 / (k + at - start + 1.0) if borda == 0.0 else max(borda + start - at, 1.0) / borda
            if scores[item] == 0.0:
                candidates_seen[n] = item
                n += 1
            scores[item] += gain
            if gain > best[item]:
                best[item] = gain
                best_position[item] = at
        start = ends[source]
    n_kept = min(length, n)
    top_items = np.empty(n_kept, np.int32)
    top_scores = np.empty(n_kept, np.float64)
    top_sources = np.empty(n_kept, np.int64)
    top_evidence = np.empty(n_kept, np.int32)
    # Selection by insertion: the list is short, and most candidates fall below its end at once.
    filled = 0
    for t in range(n):
        item = candidates_seen[t]
        score = scores[item]
        at = filled
        while at > 0 and (
            top_scores[at - 1] < score
            or (top_scores[at - 1] == score and hashes[top_items[at - 1]] > hashes[item])
        ):
            at -= 1
        if at >= n_kept:
            continue
        last = min(filled, n_kept - 1)
        for shift in range(last, at, -1):
            top_items[shift] = top_items[shift - 1]
            top_scores[shift] = top_scores[shift - 1]
        top_items[at] = item
        top_scores[at] = score
        if filled < n_kept:
            filled += 1
    for t in range(n_kept):
        at = best_position[top_items[t]]
        source = 0
        while ends[source] <= at:
            source += 1
        top_sources[t] = source
        top_evidence[t] = evidence[at]
        top_scores[t] = np.floor(top_scores[t] * 1e6 + 0.5) / 1e6
    for t in range(n):
        scores[candidates_seen[t]] = 0.0
        best[candidates_seen[t]] = 0.0
    return top_items, top_scores, top_sources, top_evidence


_BORDA_POINTS: Final = 100.0
"""Votes for the first item of a source; each further one has one less, and at least one."""


class FusedList(NamedTuple):
    """A fused list.

    Attributes
    ----------
    items : ndarray of int32, shape (n,)
        Best first; ties in the order of the items' hashes.
    scores : ndarray of float64, shape (n,)
        Sums of 1 / (60 + place), to six digits after the point: more would only make documents longer.
    sources : ndarray of int64, shape (n,)
        The source that ranked each item highest.
    evidence : ndarray of int32, shape (n,)
        That source's evidence for it.
    """

    items: NDArray[np.int32]
    scores: NDArray[np.float64]
    sources: NDArray[np.int64]
    evidence: NDArray[np.int32]

    def at(self, ranks: NDArray[np.intp]) -> "FusedList":
        """The list made of the items at some places of this one."""
        return FusedList(self.items[ranks], self.scores[ranks], self.sources[ranks], self.evidence[ranks])


class ReciprocalRankFusion:
    """Fuses lists by the places of their items alone; holds scratch memory, grown with the index.

    Parameters
    ----------
    borda
        Whether each source has 100 votes for its first item, 99 for its second and so on, and not 1 / (60 + place).

    Examples
    --------
    >>> def proposal(*items):
    ...     array = np.array(items, np.int32)
    ...     return Candidates(array, np.ones(len(array), np.float32), array)
    >>> fusion = ReciprocalRankFusion()
    >>> fused = fusion.fuse([proposal(0, 1), proposal(1, 2)], 2,
    ...                     allowed=np.ones(3, np.bool_), hashes=np.arange(3, dtype=np.uint64))
    >>> fused.items.tolist(), fused.sources.tolist()
    ([1, 0], [1, 0])
    """

    def __init__(self, *, borda: bool = False) -> None:
        self._borda = borda
        self._grow(1024)

    @property
    def policy(self) -> str:
        """Names the order in published lists."""
        return "borda" if self._borda else "fixed_rrf"

    def _grow(self, size: int) -> None:
        self._scores = np.zeros(size, np.float64)
        self._best = np.zeros(size, np.float64)
        self._best_position = np.zeros(size, np.int32)

    def fuse(
        self,
        proposals: Sequence[Candidates],
        length: int,
        *,
        allowed: NDArray[np.bool_],
        hashes: NDArray[np.uint64],
    ) -> FusedList:
        """Fuse.

        Parameters
        ----------
        proposals
            One a source, best first.
        length
            Most items of the result.
        allowed : ndarray of bool
            Whether an item may be listed.
        hashes : ndarray of uint64
            Stable hash of each item, which decides ties.

        Returns
        -------
        Fused
        """
        if len(allowed) > len(self._scores):
            self._grow(2 * len(allowed))
        if not proposals:
            return FusedList(EMPTY_ITEMS, np.zeros(0), np.zeros(0, np.int64), EMPTY_ITEMS)
        items = np.concatenate([p.items for p in proposals])
        evidence = np.concatenate([p.evidence for p in proposals])
        ends = np.array([*accumulate([len(p.items) for p in proposals])], np.int64)
        return FusedList(
            *_fuse(
                items,
                evidence,
                ends,
                allowed,
                hashes,
                self._scores,
                self._best,
                self._best_position,
                length,
                RRF_K,
                _BORDA_POINTS if self._borda else 0.0,
            )
        )

"""Fusion by ranks alone: reciprocal ranks (Cormack, Clarke and Büttcher 2009), or the Borda count."""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.models.base import EMPTY_ITEMS, Candidates, Items
from stream_app.models.kernels.jit import plain
from stream_app.ranking.kernels import rank_fusion as kernels
from stream_app.ranking.kernels.rank_fusion import FusionScratch, RankedSources

RRF_K: Final = 60.0
"""Constant of the paper: the larger it is, the less the first ranks differ."""


_BORDA_POINTS: Final = 100.0
"""Points of the first item of a source; each further item has one less, and at least one."""


class FusedList(NamedTuple):
    """A fused list."""

    items: NDArray[np.int32]  # shape (n,): best first; ties in the order of the items' hashes
    # shape (n,): sums of 1 / (60 + rank), to six digits after the point: more would only make documents
    # longer
    scores: NDArray[np.float64]
    sources: NDArray[np.int64]  # shape (n,): the source that ranked each item highest
    evidence: NDArray[np.int32]  # shape (n,): that source's evidence for it

    def at(self, ranks: NDArray[np.integer[Any]]) -> "FusedList":
        """Select ranks, in a new order."""
        return FusedList(self.items[ranks], self.scores[ranks], self.sources[ranks], self.evidence[ranks])


class ReciprocalRankFusion:
    """Fuses lists by the ranks of their items alone; holds scratch memory that grows with the index.

    Parameters
    ----------
    borda
        Whether the items of a source score 100 points, 99, 98 and so on instead of 1 / (60 + rank).

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
        """Name of the order in published lists."""
        return "borda" if self._borda else "fixed_rrf"

    def _grow(self, size: int) -> None:
        self._scratch = FusionScratch(
            np.zeros(size, np.float64), np.zeros(size, np.float64), np.zeros(size, np.int32)
        )

    def fuse(
        self,
        proposals: Sequence[Candidates],
        length: int,
        *,
        allowed: NDArray[np.bool_],
        hashes: NDArray[np.uint64],
    ) -> FusedList:
        """Fuse ranked candidates into one list.

        Parameters
        ----------
        proposals
            One a source, best first.
        length
            Maximum number of items of the list.
        allowed : ndarray of bool
            Whether an item may be listed.
        hashes : ndarray of uint64
            Stable hash of each item, which decides ties.
        """
        if len(allowed) > len(self._scratch.scores):
            self._grow(2 * len(allowed))
        if not proposals:
            return FusedList(EMPTY_ITEMS, np.zeros(0), np.zeros(0, np.int64), EMPTY_ITEMS)
        borda = _BORDA_POINTS if self._borda else 0.0
        ranked = plain(_join(proposals))
        return FusedList(*kernels.fuse(ranked, allowed, hashes, plain(self._scratch), length, RRF_K, borda))


def _join(proposals: Sequence[Candidates]) -> RankedSources:
    items, _, evidence = zip(*proposals, strict=True)
    ends = np.array([*accumulate(map(len, items))], np.int64)
    return RankedSources(np.concatenate(items), np.concatenate(evidence), ends)


def top_sources(
    listed_items: Items, proposals: Sequence[Candidates], *, prefer_evidence: bool = False
) -> tuple[NDArray[np.int64], Items]:
    """Find the source that ranks each item highest.

    Parameters
    ----------
    listed_items : ndarray of int32, shape (n,)
    proposals
        One a source, best first.
    prefer_evidence
        Whether a source with evidence for an item precedes one without, regardless of their ranks.

    Returns
    -------
    sources : ndarray of int64, shape (n,)
        Index of the source, -1 for none.
    evidence : ndarray of int32, shape (n,)
        Its evidence, -1 for none.
    """
    sources, evidence = np.full(len(listed_items), -1, np.int64), np.full(len(listed_items), -1, np.int32)
    if proposals:
        kernels.top_sources(listed_items, plain(_join(proposals)), prefer_evidence, sources, evidence)
    return sources, evidence

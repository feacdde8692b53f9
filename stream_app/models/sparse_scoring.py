"""Base of the models that accumulate scores over linked items."""

import numpy as np

from stream_app.models.base import EMPTY_CANDIDATES, Candidates, Context, Items, Model, Scores
from stream_app.models.columns import grow
from stream_app.models.item_index import ItemIndex
from stream_app.models.kernels.jit import plain
from stream_app.models.kernels.sparse_scoring import ScoreScratch, rank_and_reset, read_and_reset
from stream_app.models.resident import resident_bytes


class SparseScoringModel(Model):
    """A model whose `_accumulate_scores` adds up scores in arrays over all items, and lists the touched items.

    The arrays have the size of the index and are zero between calls: resetting the touched items costs less than
    allocating new arrays.

    Parameters
    ----------
    index
        The items.
    capacity
        Largest number of touched items.
    """

    def __init__(self, index: ItemIndex | None, capacity: int) -> None:
        self._index = self._shared_or_own(index)
        self._scratch = ScoreScratch(
            np.zeros(0), np.zeros(0), np.zeros(0, np.int32), np.zeros(capacity, np.int32)
        )
        self._pool: Scores = np.zeros(capacity, np.float32)

    def _accumulate_scores(self, context: Context) -> int:
        """Score items in the scratch arrays; return how many are in `_touched_items`."""
        raise NotImplementedError

    def _reserve_scratch(self) -> None:
        size, scratch = self._index.size, self._scratch
        if size > len(scratch.scores):
            self._scratch = scratch._replace(
                scores=grow(scratch.scores, size),
                best=grow(scratch.best, size),
                evidence=grow(scratch.evidence, size),
            )

    def memory(self) -> int:
        """Bytes held, to within a few percent."""
        return super().memory() + resident_bytes(self._scratch)

    def candidates(self, context: Context, k: int) -> Candidates:
        """Propose the touched items with the highest scores."""
        self._reserve_scratch()
        n = self._accumulate_scores(context)
        items, scores, evidence = np.empty(k, np.int32), np.empty(k, np.float32), np.empty(k, np.int32)
        n = rank_and_reset(n, plain(self._scratch), self._index.hashes, self._pool, items, scores, evidence)
        if n == 0:
            return EMPTY_CANDIDATES
        return Candidates(items[:n], scores[:n], evidence[:n])

    def score(self, context: Context, items: Items) -> Scores:
        """Accumulated score of each item."""
        self._reserve_scratch()
        n = self._accumulate_scores(context)
        out = np.empty(len(items), np.float32)
        read_and_reset(n, items, plain(self._scratch), out)
        return out

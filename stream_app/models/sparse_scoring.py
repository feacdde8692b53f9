"""What models have in common that score by spreading from the context's items to the items linked with them."""

import numpy as np
from numpy.typing import NDArray

from stream_app.models.base import EMPTY_CANDIDATES, Candidates, Context, Items, Model, Scores
from stream_app.models.item_index import ItemIndex
from stream_app.models.kernels import shared as kernels
from stream_app.models.model_state import grown


class SpreadingModel(Model):
    """A model whose `_spread` adds up scores in arrays over all items and lists which it touched.

    Scratch memory is of the size of the index and found zeroed: clearing what was touched costs less than
    clearing all.

    Parameters
    ----------
    index
        The items.
    room
        Most items that one spread can touch.
    """

    def __init__(self, index: ItemIndex, room: int) -> None:
        self._index = index
        self._scores: NDArray[np.float64] = np.zeros(0)
        self._best: NDArray[np.float64] = np.zeros(0)
        self._evidence: Items = np.zeros(0, np.int32)
        self._touched: Items = np.zeros(room, np.int32)
        self._pool: Scores = np.zeros(room, np.float32)

    def _spread(self, context: Context) -> int:
        """Score items in the scratch arrays; return how many are in `_touched`."""
        raise NotImplementedError

    def _fit_scratch(self) -> None:
        size = self._index.size
        if size > len(self._scores):
            self._scores = grown(self._scores, size)
            self._best = grown(self._best, size)
            self._evidence = grown(self._evidence, size)

    def candidates(self, context: Context, k: int) -> Candidates:
        """Propose the items that the context's items lead to."""
        self._fit_scratch()
        n = self._spread(context)
        items, scores, evidence = np.empty(k, np.int32), np.empty(k, np.float32), np.empty(k, np.int32)
        n = kernels.finish(
            n,
            k,
            self._scores,
            self._best,
            self._evidence,
            self._touched,
            self._index.hashes,
            self._pool,
            items,
            scores,
            evidence,
        )
        if n == 0:
            return EMPTY_CANDIDATES
        return Candidates(items[:n], scores[:n], evidence[:n])

    def score(self, context: Context, items: Items) -> Scores:
        """Sum up what leads from the context's items to each item."""
        self._fit_scratch()
        n = self._spread(context)
        out = np.empty(len(items), np.float32)
        kernels.look_up(n, items, self._scores, self._best, self._touched, out)
        return out

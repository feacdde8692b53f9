"""Items that the same people look at, or buy, around the same time."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from stream_app.models.base import NO_ITEM, Context, Items, Observation
from stream_app.models.decay import ForwardDecay
from stream_app.models.item_index import ItemIndex
from stream_app.models.kernels import shared as kernels
from stream_app.models.links import Links
from stream_app.models.model_state import State, grown
from stream_app.models.similarity import measure
from stream_app.models.sparse_scoring import SpreadingModel
from topics.records import Kind, Reason

ALSO_VIEWED, ALSO_BOUGHT = "also_viewed", "also_bought"

_VIEWS = frozenset({Kind.VIEW, Kind.DETAIL, Kind.CART, Kind.WISHLIST, Kind.SHARE})


class _Table(Links):
    """Decayed counts of items and of pairs, and of the baskets (visits or orders) that they came in."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.counts: NDArray[np.float64] = np.zeros(0)
        self.norms: NDArray[np.float64] = np.zeros(0)
        self.baskets = 0.0

    def fit(self, rows: int) -> None:
        super().fit(rows)
        self.counts = grown(self.counts, len(self.sizes))
        self.norms = grown(self.norms, len(self.sizes))

    def normalise(self, exponent: float) -> None:
        self.norms[:] = 0.0
        held = self.counts > 0
        self.norms[held] = self.counts[held] ** -exponent

    def rescale(self, factor: float, exponent: float) -> None:
        self.scale(factor)
        self.counts *= factor
        self.baskets *= factor
        self.normalise(exponent)

    def forget(self, gone: NDArray[np.bool_]) -> None:
        self.forget_items(gone)
        lost = np.flatnonzero(gone[: len(self.sizes)])
        self.sizes[lost] = 0
        self.counts[lost] = self.norms[lost] = 0.0

    def state(self) -> State:
        return {**super().state(), "counts": self.counts.copy(), "baskets": self.baskets}

    def restore_table(self, state: Mapping[str, Any], exponent: float) -> None:
        self.restore(state)
        self.counts[: len(state["counts"])] = state["counts"]
        self.baskets = float(state["baskets"])
        self.normalise(exponent)

    def memory(self) -> int:
        return super().memory() + self.counts.nbytes + self.norms.nbytes


class ItemToItem(SpreadingModel):
    """Co-visits and co-buys: an item is proposed for what it shares with the context's items.

    Each observation that is no repeat is linked both ways with the distinct items the same shopper had in
    the same stream within the session gap: the nearer in time, the stronger. Views and purchases have a
    table each. Scores of both tables are summed over the context's newest distinct items, each counting
    `fade` times the next newer one.

    With the decayed weight w of a pair, the counts n of its items and the number N of baskets (visits or
    orders) the score of z for a context item y is, by `similarity`,

    - ``cosine``: ``w / (n_y ** (1 - penalty) * n_z ** penalty)``, the cosine at a penalty of 1/2;
    - ``jaccard``: ``w / (n_y + n_z - w)``;
    - ``pearson``: the correlation of the two items over the baskets (the phi coefficient), where above 0;
    - ``lift``: ``N w / (n_y n_z)``, how many times as often as by chance; it favours rare items.

    Parameters
    ----------
    index
        The items.
    half_life
        Seconds in which a pair loses half its weight.
    reach
        A pair this many seconds apart is linked by half the weight of a simultaneous one.
    neighbours
        Neighbours remembered of an item; a new one takes the place of the weakest.
    depth
        Distinct context items used.
    fade
        What an item of the context counts relative to the next newer one.
    penalty
        How much the popularity of the proposed item counts against it, from 0 to 1; for the cosine.
    similarity
        ``cosine``, ``jaccard``, ``pearson`` or ``lift``.

    References
    ----------
    Sarwar, Karypis, Konstan, Riedl: Item-based collaborative filtering recommendation algorithms, WWW 2001.

    Examples
    --------
    >>> index = ItemIndex(100)
    >>> shoe, sock = index.index("shoe", 0.0), index.index("sock", 0.0)
    >>> model = ItemToItem(index)
    >>> none, before = np.zeros(0, np.int32), np.array([shoe], np.int32)
    >>> model.learn_one(Observation("ann", shoe, 0.0, Kind.VIEW, 1.0, (), 1, False, none, np.zeros(0)))
    >>> model.learn_one(Observation("ann", sock, 0.0, Kind.VIEW, 1.0, (), 1, False, before, np.zeros(1)))
    >>> item_page = Context("", before, np.zeros(1), 0, (), 0.0)
    >>> found = model.candidates(item_page, 10)
    >>> index.id_of(found.items[0]), float(found.scores[0]), index.id_of(found.evidence[0])
    ('sock', 1.0, 'shoe')
    >>> model.explain(item_page, sock, shoe)
    Reason(source='also_viewed', item_id='shoe', segment=None, query=None)
    """

    name: ClassVar[str] = "item_to_item"
    additive: ClassVar[bool] = True

    def __init__(
        self,
        index: ItemIndex,
        *,
        half_life: float = 86_400.0,
        reach: float = 100.0,
        neighbours: int = 100,
        depth: int = 10,
        fade: float = 0.8,
        penalty: float = 0.2,
        similarity: str = "cosine",
    ) -> None:
        super().__init__(index, 2 * depth * neighbours)
        self.half_life = half_life
        self.reach = reach
        self.neighbours = neighbours
        self.depth = depth
        self.fade = fade
        self.penalty = penalty
        self.similarity = similarity
        self._measure = measure(similarity)
        self._clear()

    def _clear(self) -> None:
        self._decay = ForwardDecay(self.half_life)
        self._views = _Table(self.neighbours)
        self._buys = _Table(self.neighbours)

    def learn_one(self, observation: Observation) -> None:
        """Count one item and its pairs; repeats, and kinds that belong to no stream, are skipped."""
        kind = observation.kind
        if observation.repeat:
            return
        if kind in _VIEWS:
            table = self._views
        elif kind is Kind.PURCHASE:
            table = self._buys
        else:
            return
        item, ts = observation.item, observation.ts
        factor = self._decay.advance(ts)
        if factor != 1.0:
            self._views.rescale(factor, self.penalty)
            self._buys.rescale(factor, self.penalty)
        if item >= len(table.sizes):
            table.fit(item + 1)
        previous = observation.previous_items
        if not len(previous):
            table.baskets += self._decay.weight(ts)
        kernels.covisit(
            item,
            ts,
            previous,
            observation.previous_times,
            self.reach,
            self.half_life,
            self._decay.landmark,
            self.penalty,
            table.items,
            table.weights,
            table.sizes,
            table.counts,
            table.norms,
            self._index.hashes,
        )

    def explain(self, context: Context, item: int, evidence: int) -> Reason:  # noqa: ARG002
        """Say whether `item` was viewed or bought with the context item, whichever link is the stronger."""
        if evidence < NO_ITEM:
            return Reason(ALSO_BOUGHT, item_id=self._index.id_of(-2 - evidence))
        return Reason(ALSO_VIEWED, item_id=self._index.id_of(evidence))

    def forget_items(self, items: Items) -> None:
        """Drop the items' rows, and the items from the rows of others."""
        gone = np.zeros(self._index.size, np.bool_)
        gone[items] = True
        self._views.forget(gone)
        self._buys.forget(gone)

    def statistics(self, ts: float) -> list[tuple[str, Items, Items, NDArray[np.float64]]]:
        """Weights decayed to `ts`: a label, two item columns and the values, of each table."""
        factor = self._decay.at(ts)
        tables = []
        for name, table in ((ALSO_VIEWED, self._views), (ALSO_BOUGHT, self._buys)):
            owners, items, weights = table.pairs()
            tables.append((name, owners, items, weights * factor))
            every = np.flatnonzero(table.counts).astype(np.int32)
            tables.append((name, every, every, table.counts[every] * factor))
        return tables

    def memory(self) -> int:
        """Bytes held, to within a few percent."""
        return super().memory() + self._views.memory() + self._buys.memory()

    def _parts(self) -> State:
        return {
            "landmark": self._decay.landmark,
            "views": self._views.state(),
            "buys": self._buys.state(),
        }

    def _fill(self, state: Mapping[str, Any]) -> None:
        self._decay.landmark = float(state["landmark"])
        self._views.restore_table(state["views"], self.penalty)
        self._buys.restore_table(state["buys"], self.penalty)

    def _spread(self, context: Context) -> int:
        n = 0
        for table, bought in ((self._views, False), (self._buys, True)):
            if len(table.sizes):
                n = kernels.spread(
                    context.items,
                    self.depth,
                    self.fade,
                    1.0,
                    self.penalty,
                    self._measure,
                    table.baskets,
                    table.items,
                    table.weights,
                    table.sizes,
                    table.counts,
                    table.norms,
                    self._scores,
                    self._best,
                    self._evidence,
                    self._touched,
                    n,
                    bought,
                )
        return n

"""Items that the same users view or buy at about the same time."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from stream_app.models.array_types import Floats, Mask
from stream_app.models.base import NO_ITEM, Context, Items, Observation
from stream_app.models.columns import grow_columns, item_mask, pack_rows, unpack_rows
from stream_app.models.decay import ForwardDecay
from stream_app.models.interaction_kinds import KIND_STREAMS
from stream_app.models.item_index import ItemIndex
from stream_app.models.kernels.bounded_rows import drop_items
from stream_app.models.kernels.item_to_item import (
    CovisitScoring,
    CovisitTable,
    CovisitWeights,
    accumulate_neighbors,
    learn_covisits,
)
from stream_app.models.kernels.jit import plain
from stream_app.models.model_state import State
from stream_app.models.resident import resident_bytes
from stream_app.models.session_tracker import EventStream
from stream_app.models.similarity import similarity_named
from stream_app.models.sparse_scoring import SparseScoringModel
from topics.records import Reason

ALSO_VIEWED, ALSO_BOUGHT = "also_viewed", "also_bought"


class _Covisits:
    """Decayed counts of items, of pairs, and of baskets (sessions or orders)."""

    def __init__(self, width: int) -> None:
        self.table = CovisitTable(
            np.zeros((0, width), np.int32),
            np.zeros((0, width)),
            np.zeros(0, np.int32),
            np.zeros(0),
            np.zeros(0),
        )
        self.baskets = 0.0

    def reserve(self, items: int) -> None:
        if items > len(self.table.sizes):
            self.table = grow_columns(self.table, items)

    def update_norms(self, exponent: float) -> None:
        counts, norms = self.table.counts, self.table.norms
        norms[:] = 0.0
        positive = counts > 0
        norms[positive] = counts[positive] ** -exponent

    def rescale(self, factor: float, exponent: float) -> None:
        self.table.weights[:] *= factor
        self.table.counts[:] *= factor
        self.baskets *= factor
        self.update_norms(exponent)

    def forget(self, removed_mask: Mask) -> None:
        table = self.table
        drop_items(table.items, table.weights, table.sizes, removed_mask)
        removed = np.flatnonzero(removed_mask[: len(table.sizes)])
        table.sizes[removed] = 0
        table.counts[removed] = table.norms[removed] = 0.0

    def pairs(self) -> tuple[Items, Items, Floats]:
        """Item, neighbor and weight of every pair, as three columns."""
        table = self.table
        owners = np.repeat(np.arange(len(table.sizes), dtype=np.int32), table.sizes)
        return owners, pack_rows(table.items, table.sizes), pack_rows(table.weights, table.sizes)

    def state(self) -> State:
        _, items, weights = self.pairs()
        return {
            "sizes": self.table.sizes.copy(),
            "items": items,
            "weights": weights,
            "counts": self.table.counts.copy(),
            "baskets": self.baskets,
        }

    def restore(self, state: Mapping[str, Any], exponent: float) -> None:
        sizes = state["sizes"]
        self.reserve(len(sizes))
        table = self.table
        table.sizes[: len(sizes)] = sizes
        unpack_rows(state["items"], sizes, table.items)
        unpack_rows(state["weights"], sizes, table.weights)
        table.counts[: len(sizes)] = state["counts"]
        self.baskets = float(state["baskets"])
        self.update_norms(exponent)

    def memory(self) -> int:
        return resident_bytes(self.table)


class ItemToItem(SparseScoringModel):
    """Co-visits and co-purchases: items are scored by their similarity with the items of the context.

    An observation that is not a repeat is linked both ways with the distinct items of the same user and stream
    within the session gap; a shorter distance in time weighs more. Views and purchases have a table each. Scores of
    both tables are summed over the newest distinct items of the context, each weighted `context_decay` times the
    next newer one.

    With the decayed weight w of a pair, the counts n of its items and the number N of baskets (sessions or orders),
    the score of z for a context item y is, by `similarity`,

    - ``cosine``: ``w / (n_y ** (1 - penalty) * n_z ** penalty)``, the cosine at a penalty of 1/2;
    - ``jaccard``: ``w / (n_y + n_z - w)``;
    - ``pearson``: the correlation of the two items over the baskets (the phi coefficient), where above 0;
    - ``lift``: ``N w / (n_y n_z)``, the ratio to chance; it favors rare items.

    Parameters
    ----------
    half_life
        Seconds in which a pair loses half its weight.
    time_scale
        Distance in seconds at which a pair has half the weight of a simultaneous one.
    neighbors
        Neighbors stored per item; a new one replaces the one with the smallest weight.
    depth
        Distinct context items used.
    context_decay
        Factor from a context item to the next older one.
    penalty
        Penalty on the popularity of the proposed item, from 0 to 1; for the cosine.
    similarity
        ``cosine``, ``jaccard``, ``pearson`` or ``lift``.

    References
    ----------
    Sarwar, Karypis, Konstan, Riedl: Item-based collaborative filtering recommendation algorithms, WWW 2001.

    Examples
    --------
    >>> from topics.records import Kind
    >>> index = ItemIndex(100)
    >>> shoe, sock = index.index("shoe", 0.0), index.index("sock", 0.0)
    >>> model = ItemToItem(index)
    >>> before = np.array([shoe], np.int32)
    >>> model.learn(Observation("ann", shoe, 0.0, Kind.VIEW))
    >>> model.learn(Observation("ann", sock, 0.0, Kind.VIEW, 1.0, (), 1, False, before, np.zeros(1)))
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
        index: ItemIndex | None = None,
        *,
        half_life: float = 86_400.0,
        time_scale: float = 100.0,
        neighbors: int = 100,
        depth: int = 10,
        context_decay: float = 0.8,
        penalty: float = 0.2,
        similarity: str = "cosine",
    ) -> None:
        super().__init__(index, 2 * depth * neighbors)
        self.half_life = half_life
        self.time_scale = time_scale
        self.neighbors = neighbors
        self.depth = depth
        self.context_decay = context_decay
        self.penalty = penalty
        self.similarity = similarity
        self._scoring = CovisitScoring(depth, context_decay, penalty, int(similarity_named(similarity)))
        self._reset()

    def _reset(self) -> None:
        self._decay = ForwardDecay(self.half_life, self._index.decay_clock)
        self._weights = CovisitWeights(self.time_scale, self.half_life, math.nan, self.penalty)
        self._views = _Covisits(self.neighbors)
        self._purchases = _Covisits(self.neighbors)

    def learn(self, observation: Observation) -> None:
        """Count an item and its pairs; repeats, and kinds without a stream, are skipped."""
        stream = KIND_STREAMS.get(observation.kind)
        if stream is None or observation.repeat:
            return
        table = self._purchases if stream is EventStream.PURCHASES else self._views
        item, ts = observation.item, observation.ts
        factor = self._decay.advance(ts)
        if factor != 1.0:
            self._views.rescale(factor, self.penalty)
            self._purchases.rescale(factor, self.penalty)
        if self._weights.landmark != self._decay.landmark:
            self._weights = self._weights._replace(landmark=self._decay.landmark)
        table.reserve(item + 1)
        previous = observation.previous_items
        if not len(previous):
            table.baskets += self._decay.weight(ts)
        learn_covisits(
            item,
            ts,
            previous,
            observation.previous_times,
            self._decay.clock.time(ts),
            self._decay.clock.times(observation.previous_times),
            plain(self._weights),
            plain(table.table),
            self._index.hashes,
        )

    def explain(self, context: Context, item: int, evidence: int) -> Reason:
        """Name the context item with the largest part of the score, and whether by views or purchases."""
        if evidence < NO_ITEM:
            return Reason(ALSO_BOUGHT, item_id=self._index.id_of(-2 - evidence))
        return Reason(ALSO_VIEWED, item_id=self._index.id_of(evidence))

    def forget_items(self, items: Items) -> None:
        """Drop the items' rows, and remove the items from the rows of others."""
        removed_mask = item_mask(items, self._index.size)
        self._views.forget(removed_mask)
        self._purchases.forget(removed_mask)

    def statistics(self, ts: float) -> list[tuple[str, Items, Items, Floats]]:
        """Weights decayed to `ts`: a label, two columns of items, and the values, per table."""
        factor = self._decay.at(ts)
        tables = []
        for name, covisits in ((ALSO_VIEWED, self._views), (ALSO_BOUGHT, self._purchases)):
            owners, items, weights = covisits.pairs()
            tables.append((name, owners, items, weights * factor))
            counts = covisits.table.counts
            nonzero = np.flatnonzero(counts).astype(np.int32)
            tables.append((name, nonzero, nonzero, counts[nonzero] * factor))
        return tables

    def memory(self) -> int:
        """Bytes held, to within a few percent."""
        return super().memory() + self._views.memory() + self._purchases.memory()

    def _get_state(self) -> State:
        return {
            "landmark": self._decay.landmark,
            "views": self._views.state(),
            "purchases": self._purchases.state(),
        }

    def _set_state(self, state: Mapping[str, Any]) -> None:
        self._decay.landmark = float(state["landmark"])
        self._views.restore(state["views"], self.penalty)
        self._purchases.restore(state["purchases"], self.penalty)

    def _accumulate_scores(self, context: Context) -> int:
        n = 0
        for covisits, is_purchase in ((self._views, False), (self._purchases, True)):
            if len(covisits.table.sizes):
                n = accumulate_neighbors(
                    context.items,
                    plain(self._scoring),
                    covisits.baskets,
                    plain(covisits.table),
                    is_purchase,
                    n,
                    plain(self._scratch),
                )
        return n

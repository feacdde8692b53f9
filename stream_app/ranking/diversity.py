"""Selection of a list from ordered candidates: diverse, capped, with ranks for chosen groups.

Ranks are filled one after the other, each by the candidate with the greatest maximal marginal relevance (Carbonell
and Goldstein 1998). Candidates above a cap are excluded. Where the floor of a group is due, its members come first.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stream_app.models.base import NO_ITEM, Items
from stream_app.models.item_index import MAX_LABELS, ItemIndex
from stream_app.models.model_set import ModelSet
from stream_app.ranking.kernels.facets import PRICE_BANDS, ItemColumns
from stream_app.ranking.kernels.list_selection import FloorKind, SelectionRules, SelectionScratch, select_list
from stream_app.ranking.list_rules import NEW_ITEM_SECONDS, ListRules
from stream_app.ranking.long_tail import LongTail

_NO_FLAGS: Final = np.zeros(0, np.bool_)

Permutation = NDArray[np.int64]
"""Indices of candidates, in the order of the list."""


class Diversifier:
    """Selects a list from ordered candidates by the rules of the shop.

    The relevance of a candidate is its score, scaled from 0 for the least to 1 for the greatest of the candidates.
    The similarity of two items is the Jaccard similarity of their facets: categories, brand and price band, as the
    catalog has them. The marginal relevance of a candidate is
    ``(1 - diversity) * relevance - diversity * greatest similarity to the items selected before``.

    A cap is never exceeded: a list is shorter than its length only when every candidate left would exceed one. An
    item without the label is not capped by it. A floor is filled while candidates of its group are left that no cap
    excludes; its ranks are spread evenly over the list.

    Parameters
    ----------
    models
        Their item index has the facets and the new items; popularity decides the long tail.
    rules
        Of the shop.

    References
    ----------
    Carbonell, Goldstein: The Use of MMR, Diversity-Based Reranking for Reordering Documents and Producing
    Summaries, SIGIR 1998.

    Examples
    --------
    >>> models = ModelSet(["popularity"])
    >>> for name, brand in [("shoe", "acme"), ("boot", "acme"), ("sock", "knit"), ("hat", "knit")]:
    ...     item = models.index.index(name, 0.0)
    ...     _ = models.index.describe(item, 0.0, brand=brand)
    >>> items, scores = np.arange(4, dtype=np.int32), np.array([0.9, 0.8, 0.7, 0.6])
    >>> Diversifier(models, ListRules(max_per_brand=1)).rerank(items, scores, 3, now=0.0).tolist()
    [0, 2]
    >>> Diversifier(models, ListRules(diversity=0.5)).rerank(items, scores, 3, now=0.0).tolist()
    [0, 2, 1]
    """

    def __init__(self, models: ModelSet, rules: ListRules) -> None:
        self.rules: Final = rules
        self.tail: Final = LongTail(models)
        self._index: Final = models.index
        self._caps = np.array(rules.caps, np.int64)
        self._floor_kinds = np.array([FloorKind[floor.kind.upper()] for floor in rules.floors], np.int64)
        self._floor_sizes = np.array([floor.min_items for floor in rules.floors], np.int64)
        self._uses_long_tail = any(floor.kind == "long_tail" for floor in rules.floors)
        self._scratch = SelectionScratch(
            np.zeros(MAX_LABELS + PRICE_BANDS, np.bool_), np.zeros(MAX_LABELS, np.int64)
        )

    def rerank(self, items: Items, scores: NDArray[np.floating[Any]], length: int, now: float) -> Permutation:
        """Select and order.

        Parameters
        ----------
        items : ndarray of int32, shape (n,)
            Distinct candidates, best first.
        scores : ndarray of float, shape (n,)
            Their scores, descending.
        length
            Most items of the list.
        now
            Event time, seconds since the epoch: decides which items are new.

        Returns
        -------
        ndarray of int64, shape (m,)
            Indices of `items`, in the order of the list.
        """
        index = self._index
        # looked up for each list: a code is reused for another label when the index of labels is full
        codes = [index.code(floor.kind, floor.name) if floor.name else NO_ITEM for floor in self.rules.floors]
        rules = SelectionRules(
            self.rules.diversity,
            self._caps,
            self._floor_kinds,
            np.array(codes, np.int64),
            self._floor_sizes,
            now - NEW_ITEM_SECONDS,
        )
        order: Permutation = select_list(
            items,
            scores.astype(np.float64, copy=False),
            length,
            item_columns(index),
            self.tail.flags() if self._uses_long_tail else _NO_FLAGS,
            rules,
            MAX_LABELS,
            self._scratch,
        )
        return order


def item_columns(index: ItemIndex) -> ItemColumns:
    """The columns of an item index that kernels read; valid until the index grows."""
    return ItemColumns(
        index.category_codes, index.brand_codes, index.seller_codes, index.prices, index.first_seen
    )

"""Dissimilarity of the items within published lists."""

import math
from collections.abc import Iterable
from typing import Final, NamedTuple

from stream_app.models.base import Items
from stream_app.models.decay import ForwardDecay
from stream_app.models.item_index import MAX_LABELS
from stream_app.models.model_set import ModelSet
from stream_app.ranking.allowed_items import known_items
from stream_app.ranking.diversity import item_columns
from stream_app.ranking.exposure import HALF_LIFE
from stream_app.ranking.kernels.facets import pairwise_dissimilarity

TOP_K: Final = 20
"""Ranks of a list that count, so that lists of any length can be compared."""


class DiversityReport(NamedTuple):
    """Diversity of recent lists; NaN where the catalog has no facts about their items."""

    # mean over the lists of the mean dissimilarity of two items on a list: 0 if all items have the same
    # facets, 1 if no two items share one. Known as intra-list diversity
    dissimilarity: float
    categories: float  # mean number of distinct narrowest categories on a list


class IntraListDiversity:
    """Mean dissimilarity of the items on published lists, with forward decay.

    Similarity is that of `stream_app.ranking.diversity.Diversifier`: the Jaccard similarity of the facets of two
    items, which are categories, brand and price band. Items without facets are ignored, and so are lists with fewer
    than two items that have facets.

    Parameters
    ----------
    models
        Their item index has the facets.
    half_life
        Seconds in which a list loses half its weight; ``math.inf`` to weigh all lists equally.

    References
    ----------
    Ziegler, McNee, Konstan, Lausen: Improving Recommendation Lists Through Topic Diversification, WWW 2005
    (intra-list similarity).

    Examples
    --------
    >>> models = ModelSet(["popularity"])
    >>> for name, category, brand in [("shoe", "feet", "acme"), ("sock", "feet", "knit"), ("hat", "head", "knit")]:
    ...     item = models.index.index(name, 0.0)
    ...     _ = models.index.describe(item, 0.0, brand=brand, categories=(category,))
    >>> lists = IntraListDiversity(models)
    >>> lists.add(["shoe", "sock", "hat"], ts=0.0)
    >>> report = lists.report()  # similarities of 1/3, 0 and 1/3
    >>> round(report.dissimilarity, 3), report.categories
    (0.778, 2.0)
    """

    def __init__(self, models: ModelSet, *, half_life: float = HALF_LIFE) -> None:
        self._index = models.index
        self._decay = ForwardDecay(half_life)
        self._lists = self._dissimilarity = self._categories = 0.0

    def add(self, item_ids: Iterable[str], ts: float) -> None:
        """Add a published list by the ids of its items, best first; unknown ids are ignored."""
        self.add_items(known_items(self._index, item_ids), ts)

    def add_items(self, items: Items, ts: float) -> None:
        """Add a list by the integers of its items, shape (n,)."""
        total, pairs, categories = pairwise_dissimilarity(
            items[:TOP_K], item_columns(self._index), MAX_LABELS
        )
        factor = self._decay.advance(ts)
        self._lists, self._dissimilarity, self._categories = (
            self._lists * factor,
            self._dissimilarity * factor,
            self._categories * factor,
        )
        if pairs:
            weight = self._decay.weight(ts)
            self._lists += weight
            self._dissimilarity += weight * total / pairs
            self._categories += weight * categories

    def report(self) -> DiversityReport:
        """Compute the metrics."""
        if not self._lists:
            return DiversityReport(math.nan, math.nan)
        return DiversityReport(self._dissimilarity / self._lists, self._categories / self._lists)

"""How unlike one another the items of published lists are."""

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
"""Places of a list that are looked at, so that lists of any length can be compared."""


class DiversityReport(NamedTuple):
    """How diverse recent lists were; NaN where the catalog tells nothing of what was on them.

    Attributes
    ----------
    dissimilarity
        Mean over the lists of the mean dissimilarity of two items on a list: 0 where all are filed alike, 1 where
        no two share anything. Known as intra-list diversity.
    categories
        Mean number of distinct narrowest categories on a list.
    """

    dissimilarity: float
    categories: float


class IntraListDiversity:
    """Mean dissimilarity of the items on published lists, with old lists fading (forward decay).

    Likeness is that of the rule of diversity (`stream_app.ranking.diversity.Diversifier`): the Jaccard similarity of
    what two items are filed under, categories, brand and price band. Items that the catalog tells nothing of are
    left out, and so are lists on which it tells of fewer than two.

    Parameters
    ----------
    models
        Tell what items are filed under.
    half_life
        Seconds in which a list loses half its weight; ``math.inf`` for figures of everything ever added.

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
    >>> report = lists.report()  # likenesses of 1/3, 0 and 1/3
    >>> round(report.dissimilarity, 3), report.categories
    (0.778, 2.0)
    """

    def __init__(self, models: ModelSet, *, half_life: float = HALF_LIFE) -> None:
        self._index = models.index
        self._decay = ForwardDecay(half_life)
        self._lists = self._dissimilarity = self._categories = 0.0

    def add(self, item_ids: Iterable[str], ts: float) -> None:
        """Take a published list.

        Parameters
        ----------
        item_ids
            The ids of its items, best first; those that the index does not know are passed over.
        ts
            Event time it is of, seconds since the epoch.
        """
        self.add_items(known_items(self._index, item_ids), ts)

    def add_items(self, items: Items, ts: float) -> None:
        """As `add`, by the integers of the items, shape (n,)."""
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
        """The figures of what was added."""
        if not self._lists:
            return DiversityReport(math.nan, math.nan)
        return DiversityReport(self._dissimilarity / self._lists, self._categories / self._lists)

"""The long tail: all items but those with the most interactions."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream_app.models.base import Context
from stream_app.models.model_set import ModelSet
from stream_app.ranking.list_rules import HEAD_SHARE

_MIN_REFRESH_INTERVAL: Final = 1_000
"""Fewest interactions between two computations of the flags."""


class LongTail:
    """The items outside the head, the most popular items that have `HEAD_SHARE` of all interactions.

    Popularity is the decayed count of the popularity model; without that model every item is of the long tail. The
    flags are computed again after as many interactions as there are items, so that the cost per interaction is
    that of a step of sorting.

    Parameters
    ----------
    models
        The models.

    Examples
    --------
    >>> from topics.records import Interaction, Kind, Line, Source
    >>> models = ModelSet(["popularity"])
    >>> for offset, item in enumerate(["shoe"] * 9 + ["sock"]):
    ...     _ = models.learn(Interaction(Source.CLICK, 0, offset, 0.0, f"u{offset}", Kind.VIEW, (Line(item),)))
    >>> LongTail(models).flags().tolist()
    [False, True]
    """

    def __init__(self, models: ModelSet) -> None:
        self._models = models
        self._popularity = next((model for model in models.models if model.name == "popularity"), None)
        self._flags: NDArray[np.bool_] = np.zeros(0, np.bool_)
        self._refresh_version = 0

    def flags(self) -> NDArray[np.bool_]:
        """Whether each item is of the long tail, shape (n,); so is every item beyond the end."""
        models = self._models
        if self._popularity is not None and models.version >= self._refresh_version:
            self._refresh_version = models.version + max(_MIN_REFRESH_INTERVAL, len(models.index))
            global_context = Context("", np.zeros(0, np.int32), np.zeros(0), 0, (), models.newest)
            all_items = np.arange(models.index.size, dtype=np.int32)
            self._flags = _long_tail_flags(
                self._popularity.score(global_context, all_items).astype(np.float64)
            )
        return self._flags


def _long_tail_flags(counts: NDArray[np.float64]) -> NDArray[np.bool_]:
    descending = np.sort(counts)[::-1]
    cumulative = np.cumsum(descending)
    if not len(cumulative) or cumulative[-1] <= 0.0:
        return np.ones(len(counts), np.bool_)
    # equal counts are of the head together, so that the order of the integers decides nothing
    threshold = descending[int(np.searchsorted(cumulative, HEAD_SHARE * cumulative[-1] * (1.0 - 1e-9)))]
    return np.asarray(counts < threshold)

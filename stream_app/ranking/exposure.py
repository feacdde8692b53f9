"""Distribution of the ranks of published lists over the items."""

from collections.abc import Iterable
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.models.base import Items
from stream_app.models.columns import grow
from stream_app.models.decay import ForwardDecay
from stream_app.models.model_set import ModelSet
from stream_app.models.resident import resident_bytes
from stream_app.ranking.allowed_items import known_items
from stream_app.ranking.kernels.exposure import ExposureArrays, add_list
from stream_app.ranking.list_rules import NEW_ITEM_SECONDS
from stream_app.ranking.long_tail import LongTail

HALF_LIFE: Final = 3_600.0
"""Seconds in which a published list loses half its weight in the metrics."""

_MIN_EXPOSURE: Final = 1e-3
"""Less exposure than this, one rank ten half-lives ago, does not count."""


class ExposureReport(NamedTuple):
    """Distribution of the ranks of recent lists."""

    coverage: float  # share of the known items that were on a recent list
    # Gini coefficient of the ranks over all known items: 0 if all have equally many, near 1 if few items have
    # all
    gini: float
    # share of the ranks with items that were new then: their first interaction was less than
    # `stream_app.ranking.list_rules.NEW_ITEM_SECONDS` before, or later
    new_share: float
    # share of the ranks with items of the long tail, see `stream_app.ranking.long_tail.LongTail`
    long_tail_share: float


NO_EXPOSURE: Final = ExposureReport(0.0, 0.0, 0.0, 0.0)


class Exposure:
    """Number of ranks on published lists for each item, with forward decay.

    Holds 16 bytes per item of the index. The exposure of an item that leaves the index is dropped.

    Parameters
    ----------
    models
        Their item index has the items and the new ones; popularity decides the long tail.
    half_life
        Seconds in which a rank loses half its weight; ``math.inf`` to weigh all lists equally, as an evaluation does.

    Examples
    --------
    >>> from topics.records import Interaction, Kind, Line, Source
    >>> models = ModelSet(["popularity"])
    >>> for offset, item in enumerate(["shoe"] * 9 + ["sock"]):
    ...     _ = models.learn(Interaction(Source.CLICK, 0, offset, 0.0, f"u{offset}", Kind.VIEW, (Line(item),)))
    >>> exposure = Exposure(models)
    >>> exposure.add(["shoe"], ts=0.0)
    >>> exposure.add(["shoe", "sock"], ts=0.0)
    >>> report = exposure.report(ts=0.0)
    >>> report.coverage, round(report.gini, 3), round(report.long_tail_share, 3)
    (1.0, 0.167, 0.333)
    """

    def __init__(self, models: ModelSet, *, half_life: float = HALF_LIFE) -> None:
        self._models = models
        self._tail = LongTail(models)
        self._decay = ForwardDecay(half_life)
        self._arrays = ExposureArrays(np.zeros(64), np.zeros(64, np.uint64))
        self._total = self._new_total = self._tail_total = 0.0

    def add(self, item_ids: Iterable[str], ts: float) -> None:
        """Add a published list by the ids of its items; unknown ids are ignored."""
        self.add_items(known_items(self._models.index, item_ids), ts)

    def add_items(self, items: Items, ts: float) -> None:
        """Add a published list by its items, shape (n,), and its event time, seconds since the epoch."""
        index = self._models.index
        factor = self._decay.advance(ts)
        if factor != 1.0:
            self._arrays.exposure[:] *= factor
            self._total, self._new_total, self._tail_total = (
                self._total * factor,
                self._new_total * factor,
                self._tail_total * factor,
            )
        size = index.size
        if size > len(self._arrays.exposure):
            exposure, owner_hashes = self._arrays
            self._arrays = ExposureArrays(grow(exposure, size), grow(owner_hashes, size))
        weight = self._decay.weight(ts)
        new, in_tail = add_list(
            items,
            weight,
            self._arrays,
            index.hashes,
            ts - NEW_ITEM_SECONDS,
            index.first_seen,
            self._tail.flags(),
        )
        self._total += weight * len(items)
        self._new_total += weight * new
        self._tail_total += weight * in_tail

    def report(self, ts: float) -> ExposureReport:
        """Compute the metrics at an event time, seconds since the epoch; sorts the listed items."""
        index = self._models.index
        size = min(index.size, len(self._arrays.exposure))
        exposure = self._arrays.exposure[:size] * self._decay.at(ts)
        exposure[self._arrays.owner_hashes[:size] != index.hashes[:size]] = 0.0
        exposure = np.sort(exposure[exposure >= _MIN_EXPOSURE])
        if not len(exposure):
            return NO_EXPOSURE
        n_items = len(index)
        return ExposureReport(
            coverage=len(exposure) / n_items,
            gini=gini(exposure, n_items),
            new_share=self._new_total / self._total,
            long_tail_share=self._tail_total / self._total,
        )

    def memory(self) -> int:
        """Bytes held."""
        return resident_bytes(self._arrays)


def gini(ascending: NDArray[np.float64], population: int) -> float:
    """Gini coefficient of a population's shares.

    Parameters
    ----------
    ascending : ndarray of float64, shape (n,)
        Positive shares, ascending.
    population
        Size of the population; members not in `ascending` have 0.

    Examples
    --------
    >>> gini(np.array([1.0, 1.0]), 2), gini(np.array([5.0]), 4), gini(np.array([1.0, 3.0]), 2)
    (0.0, 0.75, 0.25)
    """
    total = float(ascending.sum())
    if total <= 0.0:
        return 0.0
    ranks = np.arange(population - len(ascending) + 1, population + 1)
    return float(2.0 * (ranks @ ascending) / (population * total) - (population + 1) / population)

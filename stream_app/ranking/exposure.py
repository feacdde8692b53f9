"""How published lists share attention out among the items."""

from collections.abc import Iterable
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.models.base import NO_ITEM, Items
from stream_app.models.decay import ForwardDecay
from stream_app.models.kernels.jit import jit
from stream_app.models.model_set import ModelSet
from stream_app.models.model_state import grown
from stream_app.ranking.diversity import LongTail
from stream_app.ranking.list_rules import NEW_SECONDS

HALF_LIFE: Final = 3_600.0
"""Seconds in which a published list loses half its weight in the figures."""

_FADED: Final = 1e-3
"""A place shown ten half-lives ago no longer counts."""


class ExposureReport(NamedTuple):
    """How the places of recent lists were shared out.

    Attributes
    ----------
    coverage
        Share of the known items that were on a list lately.
    gini
        Gini coefficient of the places over all known items: 0 where each had the same, near 1 where few had all.
    new_share
        Share of the places that went to items that were new then: their first interaction less than
        `stream_app.ranking.list_rules.NEW_SECONDS` old, or still to come.
    long_tail_share
        Share that went to the long tail, see `stream_app.ranking.diversity.LongTail`.
    """

    coverage: float
    gini: float
    new_share: float
    long_tail_share: float


NO_EXPOSURE: Final = ExposureReport(0.0, 0.0, 0.0, 0.0)


@jit()
def _add(
    items: NDArray[np.int32],
    weight: float,
    hashes: NDArray[np.uint64],
    owners: NDArray[np.uint64],
    places: NDArray[np.float64],
    new_after: float,
    first_seen: NDArray[np.float64],
    tail: NDArray[np.bool_],
) -> tuple[int, int]:
    new = of_tail = 0
    for at in range(len(items)):
        item = items[at]
        new += not first_seen[item] <= new_after
        of_tail += item >= len(tail) or tail[item]
        if owners[item] != hashes[item]:
            # The integer has gone to another item since.
            owners[item] = hashes[item]
            places[item] = 0.0
        places[item] += weight
    return new, of_tail


class Exposure:
    """Places of published lists an item, with old ones fading (forward decay).

    Holds 16 bytes an item of the index. An item that has left the index takes its places along.

    Parameters
    ----------
    models
        Tell which items there are, which are new and which are the long tail.
    half_life
        Seconds in which a place loses half its weight; ``math.inf`` for figures of everything ever added, as an
        evaluation wants them.

    Examples
    --------
    >>> from topics.records import Interaction, Kind, Line, Source
    >>> models = ModelSet(["popularity"])
    >>> for offset, item in enumerate(["shoe"] * 9 + ["sock"]):
    ...     _ = models.learn(Interaction(Source.CLICK, 0, offset, 0.0, "ann", Kind.VIEW, (Line(item),)))
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
        self._places: NDArray[np.float64] = np.zeros(64)
        self._owners: NDArray[np.uint64] = np.zeros(64, np.uint64)
        self._all = self._new = self._of_tail = 0.0

    def add(self, listed: Iterable[str], ts: float) -> None:
        """Take a published list, by the ids of its items; ids that the index does not know are passed over."""
        find = self._models.index.find
        self.add_items(np.array([at for at in map(find, listed) if at != NO_ITEM], np.int32), ts)

    def add_items(self, items: Items, ts: float) -> None:
        """Take a published list.

        Parameters
        ----------
        items : ndarray of int32, shape (n,)
            The items on it.
        ts
            Event time it is of, seconds since the epoch.
        """
        index = self._models.index
        factor = self._decay.advance(ts)
        if factor != 1.0:
            self._places *= factor
            self._all, self._new, self._of_tail = (
                self._all * factor,
                self._new * factor,
                self._of_tail * factor,
            )
        size = index.size
        if size > len(self._places):
            self._places = grown(self._places, size)
            self._owners = grown(self._owners, size)
        weight = self._decay.weight(ts)
        new, of_tail = _add(
            items,
            weight,
            index.hashes,
            self._owners,
            self._places,
            ts - NEW_SECONDS,
            index.first_seen,
            self._tail.flags(),
        )
        self._all += weight * len(items)
        self._new += weight * new
        self._of_tail += weight * of_tail

    def report(self, ts: float) -> ExposureReport:
        """The figures at a time; sorts the items that were shown.

        Parameters
        ----------
        ts
            Event time, seconds since the epoch.
        """
        index = self._models.index
        size = min(index.size, len(self._places))
        places = self._places[:size] * self._decay.at(ts)
        places[self._owners[:size] != index.hashes[:size]] = 0.0
        places = np.sort(places[places >= _FADED])
        if not len(places):
            return NO_EXPOSURE
        known = len(index)
        return ExposureReport(
            coverage=len(places) / known,
            gini=gini(places, known),
            new_share=self._new / self._all,
            long_tail_share=self._of_tail / self._all,
        )

    def memory(self) -> int:
        """Bytes held."""
        return int(self._places.nbytes + self._owners.nbytes)


def gini(rising: NDArray[np.float64], population: int) -> float:
    """Gini coefficient of what a population holds.

    Parameters
    ----------
    rising : ndarray of float64, shape (n,)
        What those hold who hold anything, the least first.
    population
        How many there are in all; those beyond `rising` hold nothing.

    Examples
    --------
    >>> gini(np.array([1.0, 1.0]), 2), gini(np.array([5.0]), 4), gini(np.array([1.0, 3.0]), 2)
    (0.0, 0.75, 0.25)
    """
    total = float(rising.sum())
    if total <= 0.0:
        return 0.0
    ranks = np.arange(population - len(rising) + 1, population + 1)
    return float(2.0 * (ranks @ rising) / (population * total) - (population + 1) / population)

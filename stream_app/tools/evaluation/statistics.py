"""Ranking metrics, over many lists at once, and bootstrap intervals.

Where one item was chosen, a list is summed up by the item's **rank**: its place from 1, or `UNLISTED`. Where
several were chosen at once (an order), by its **hits**: for each place whether the item there was chosen. Every
metric gives one value a list; the figure of a system is their mean.
"""

import math
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

UNLISTED: Final = 0
"""The rank of an item that the list does not hold."""

Ranks = NDArray[np.int32]
Hits = NDArray[np.bool_]
Values = NDArray[np.float64]

_BATCH: Final = 64  # resamples drawn at a time: bounds the memory of a bootstrap


def ranks_of_targets(lists: NDArray[np.int32], chosen: NDArray[np.int32]) -> Ranks:
    """Rank of the chosen item on each list.

    Parameters
    ----------
    lists : ndarray of int32, shape (n, k)
        Items, best first; short lists are filled up with a number that no item has.
    chosen : ndarray of int32, shape (n,)
        The item chosen.

    Returns
    -------
    ndarray of int32, shape (n,)

    Examples
    --------
    >>> ranks_of_targets(np.array([[7, 8, 9], [7, 8, 9]], np.int32), np.array([8, 5], np.int32)).tolist()
    [2, 0]
    """
    found = lists == chosen[:, None]
    return np.where(found.any(axis=1), found.argmax(axis=1) + 1, UNLISTED).astype(np.int32)


def hit_rate(ranks: Ranks, k: int) -> Values:
    """1 where the chosen item is among the first `k`, else 0 (HR@k; with one item chosen also recall@k).

    Examples
    --------
    >>> hit_rate(np.array([1, 4, UNLISTED], np.int32), 3).tolist()
    [1.0, 0.0, 0.0]
    """
    hits: Hits = (ranks != UNLISTED) & (ranks <= k)
    return hits.astype(np.float64)


def reciprocal_rank(ranks: Ranks, k: int) -> Values:
    """1 / rank where the chosen item is among the first `k`, else 0 (MRR@k).

    Examples
    --------
    >>> reciprocal_rank(np.array([1, 4, UNLISTED], np.int32), 20).tolist()
    [1.0, 0.25, 0.0]
    >>> reciprocal_rank(np.array([4], np.int32), 3).tolist()
    [0.0]
    """
    return np.where(hit_rate(ranks, k) > 0, 1.0 / np.maximum(ranks, 1), 0.0)


class ListMetrics(NamedTuple):
    """Metrics of lists from which several items may have been chosen at once; shape (n,) each.

    Attributes
    ----------
    hit_rate
        1 where any chosen item is on the list.
    mrr
        1 / place of the first chosen item, 0 without one.
    accuracy
        1 where the item in the first place was chosen.
    precision
        Chosen items on the list over the length asked for, k (also where the list is shorter).
    recall
        Chosen items on the list over the items chosen.
    f1
        Harmonic mean of precision and recall; 0 where both are.
    ndcg
        Sum of 1 / log2(place + 1) over the chosen items on the list, over what the best order would have.
    """

    hit_rate: Values
    mrr: Values
    accuracy: Values
    precision: Values
    recall: Values
    f1: Values
    ndcg: Values


def list_metrics(hits: Hits, chosen: NDArray[np.int64]) -> ListMetrics:
    """Every metric of each list.

    Parameters
    ----------
    hits : ndarray of bool, shape (n, k)
        Whether the item in each place was chosen.
    chosen : ndarray of int64, shape (n,)
        Distinct items chosen, at least 1, on the list or not.

    Returns
    -------
    ListMetrics

    Examples
    --------
    Two items were chosen, of which the list of four has one, in its third place:

    >>> one = list_metrics(np.array([[False, False, True, False]]), np.array([2]))
    >>> [float(x[0]) for x in (one.hit_rate, one.mrr, one.accuracy, one.precision, one.recall)]
    [1.0, 0.3333333333333333, 0.0, 0.25, 0.5]
    >>> float(one.f1[0].round(4))  # 2 x .25 x .5 / .75
    0.3333
    >>> float(one.ndcg[0].round(4))  # 1/log2(4) over 1/log2(2) + 1/log2(3)
    0.3066
    """
    k = hits.shape[1]
    positions = np.arange(1, k + 1)
    n_hits = hits.sum(axis=1)
    any_hit = n_hits > 0
    precision = n_hits / k
    recall = n_hits / chosen
    precision_plus_recall = precision + recall
    discounts = 1.0 / np.log2(positions + 1.0)
    ideal_dcg = np.concatenate(([0.0], np.cumsum(discounts)))[np.minimum(chosen, k)]
    return ListMetrics(
        hit_rate=any_hit.astype(np.float64),
        mrr=np.where(any_hit, 1.0 / (hits.argmax(axis=1) + 1), 0.0),
        accuracy=hits[:, 0].astype(np.float64),
        precision=precision,
        recall=recall,
        f1=np.divide(
            2 * precision * recall,
            precision_plus_recall,
            out=np.zeros(len(hits)),
            where=precision_plus_recall > 0,
        ),
        ndcg=(hits * discounts).sum(axis=1) / ideal_dcg,
    )


class ConfidenceInterval(msgspec.Struct, frozen=True):
    """A figure and its 95 % interval."""

    mean: float
    low: float
    high: float

    def rounded(self) -> "ConfidenceInterval":
        """The same to six digits after the point, as reports have it.

        Examples
        --------
        >>> ConfidenceInterval(1 / 3, 0.25, 0.4999999).rounded()
        ConfidenceInterval(mean=0.333333, low=0.25, high=0.5)
        """
        return ConfidenceInterval(round(self.mean, 6), round(self.low, 6), round(self.high, 6))


class ClusterBootstrap:
    """Intervals by resampling whole shoppers (the cluster bootstrap), the same resamples for every figure.

    The lists of one shopper resemble each other, so shoppers are drawn and not lists. The resamples are shared,
    so the interval of a difference of two systems is that of the paired differences.

    Parameters
    ----------
    groups : ndarray of int, shape (n,)
        The shopper of each list.
    resamples
        Times that shoppers are drawn, with replacement, as many as there are.
    seed
        Of the draws.

    References
    ----------
    Efron, Tibshirani: An introduction to the bootstrap, 1993, §13.3 (percentile intervals); Field, Welsh:
    Bootstrapping clustered data, JRSS-B 2007.

    Examples
    --------
    Four shoppers with one list each, one hit in two:

    >>> bootstrap = ClusterBootstrap(np.array([0, 1, 2, 3]), resamples=1000, seed=7)
    >>> [interval] = bootstrap.intervals(np.array([[1.0], [0.0], [1.0], [0.0]]))
    >>> interval
    ConfidenceInterval(mean=0.5, low=0.0, high=1.0)
    """

    def __init__(self, groups: NDArray[np.int64], *, resamples: int = 1000, seed: int = 7) -> None:
        _, self._groups = np.unique(groups, return_inverse=True)
        self._count = int(self._groups.max()) + 1 if len(groups) else 0
        self._resamples = resamples
        self._seed = seed

    def intervals(self, values: Values, mask: Hits | None = None) -> list[ConfidenceInterval]:
        """Means of columns and their percentile intervals.

        Parameters
        ----------
        values : ndarray of float64, shape (n, m)
            One row a list, one column a figure.
        mask : ndarray of bool, shape (n,)
            The lists whose mean is taken; all of them by default.

        Returns
        -------
        list of Interval
            One a column; all NaN where there is no list.
        """
        columns = values.shape[1]
        selected = np.ones(len(values), np.bool_) if mask is None else mask
        groups = self._groups[selected]
        sums = np.empty((self._count, columns + 1))
        for column, each in enumerate((*values[selected].T, np.ones(len(groups)))):
            sums[:, column] = np.bincount(groups, weights=each, minlength=self._count)
        means = _means(sums.sum(axis=0)[None])[0]
        draws = _means(cluster_resample(sums, self._resamples, self._seed))
        # a resample may hold no list of a small split
        draws = draws[~np.isnan(draws).any(axis=1)]
        if not len(draws):
            return [ConfidenceInterval(float(mean), math.nan, math.nan) for mean in means]
        low, high = np.quantile(draws, (0.025, 0.975), axis=0)
        return [ConfidenceInterval(*map(float, each)) for each in zip(means, low, high, strict=True)]


def cluster_resample(sums: Values, resamples: int, seed: int) -> Values:
    """Totals of columns over shoppers drawn with replacement, as many as there are: the cluster bootstrap.

    Parameters
    ----------
    sums : ndarray of float64, shape (shoppers, m)
        The sums of each shopper.
    resamples
        Times that shoppers are drawn.
    seed
        Of the draws.

    Returns
    -------
    ndarray of float64, shape (resamples, m)

    Examples
    --------
    >>> cluster_resample(np.array([[1.0, 2.0], [1.0, 2.0]]), 3, seed=7).tolist()
    [[2.0, 4.0], [2.0, 4.0], [2.0, 4.0]]
    """
    count = len(sums)
    rng = np.random.default_rng(seed)
    draws = np.zeros((resamples, sums.shape[1]))
    for start in range(0, resamples if count else 0, _BATCH):
        weights = np.empty((min(_BATCH, resamples - start), count))
        for row in weights:
            row[:] = np.bincount(rng.integers(count, size=count), minlength=count)
        draws[start : start + len(weights)] = weights @ sums
    return draws


def _means(sums: Values) -> Values:
    """Sums of columns over the count in the last column, by row; NaN where that is 0."""
    counts = sums[:, -1:]
    means: Values = np.divide(
        sums[:, :-1], counts, out=np.full((len(sums), sums.shape[1] - 1), np.nan), where=counts > 0
    )
    return means


class LatencyStats(msgspec.Struct, frozen=True):
    """Wall time of one prediction; NaN without any."""

    mean: float
    p50: float
    p99: float


def latency_stats(nanoseconds: NDArray[np.int64]) -> LatencyStats:
    """Sum up measured times.

    Examples
    --------
    >>> latency_stats(np.array([1_000_000, 2_000_000, 6_000_000]))
    LatencyStats(mean=3.0, p50=2.0, p99=5.92)
    """
    if not len(nanoseconds):
        return LatencyStats(math.nan, math.nan, math.nan)
    quantiles = np.quantile(nanoseconds, (0.5, 0.99))
    return LatencyStats(*(round(float(each) / 1e6, 6) for each in (nanoseconds.mean(), *quantiles)))

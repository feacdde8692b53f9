"""Confidence intervals by the cluster bootstrap."""

import math
from collections.abc import Iterator
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

_BATCH: Final = 64  # resamples drawn at a time


class ConfidenceInterval(msgspec.Struct, frozen=True):
    """A mean and its 95 % interval."""

    mean: float
    low: float
    high: float

    def rounded(self) -> "ConfidenceInterval":
        """The interval rounded to six decimals, for reports.

        Examples
        --------
        >>> ConfidenceInterval(1 / 3, 0.25, 0.4999999).rounded()
        ConfidenceInterval(mean=0.333333, low=0.25, high=0.5)
        """
        return ConfidenceInterval(round(self.mean, 6), round(self.low, 6), round(self.high, 6))


class ClusterBootstrap:
    """Percentile intervals by resampling whole users, with the same resamples for every column.

    Lists of one user are correlated, so users are resampled and not lists. The resamples are shared, so the interval
    of a difference of two systems is that of the paired differences.

    Parameters
    ----------
    groups : ndarray of int, shape (n,)
        The user of each list.
    resamples
        Number of resamples; each draws all users with replacement.

    References
    ----------
    Efron, Tibshirani: An introduction to the bootstrap, 1993, §13.3 (percentile intervals); Field, Welsh:
    Bootstrapping clustered data, JRSS-B 2007.

    Examples
    --------
    Four users with one list each, two hits:

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

    def intervals(self, values: Values, mask: NDArray[np.bool_] | None = None) -> list[ConfidenceInterval]:
        """Means of columns and their percentile intervals.

        Parameters
        ----------
        values : ndarray of float64, shape (n, m)
            One row per list, one column per metric.
        mask : ndarray of bool, shape (n,)
            The lists of the mean; all by default. Resamples draw from all users, also from those without such a
            list.

        Returns
        -------
        list of ConfidenceInterval
            One per column; NaN if there is no list.
        """
        selected = np.ones(len(values), np.bool_) if mask is None else mask
        groups = self._groups[selected]
        counted = np.hstack((values[selected], np.ones((len(groups), 1))))
        sums = sums_by_group(counted, groups, self._count)
        means = _means(sums.sum(axis=0)[None])[0]
        draws = _means(cluster_resample(sums, self._resamples, self._seed))
        # a resample may contain no list of a small split
        draws = draws[~np.isnan(draws).any(axis=1)]
        if not len(draws):
            return [ConfidenceInterval(float(mean), math.nan, math.nan) for mean in means]
        low, high = np.quantile(draws, (0.025, 0.975), axis=0)
        return [ConfidenceInterval(*map(float, bounds)) for bounds in zip(means, low, high, strict=True)]


def cluster_resample(sums: Values, resamples: int, seed: int) -> Values:
    """Column sums over users drawn with replacement, as many as there are: the cluster bootstrap.

    Parameters
    ----------
    sums : ndarray of float64, shape (users, m)
        The sums of each user.

    Returns
    -------
    ndarray of float64, shape (resamples, m)

    Examples
    --------
    >>> cluster_resample(np.array([[1.0, 2.0], [1.0, 2.0]]), 3, seed=7).tolist()
    [[2.0, 4.0], [2.0, 4.0], [2.0, 4.0]]
    """
    draws = np.zeros((resamples, sums.shape[1]))
    for rows, counts in resampled_counts(len(sums), resamples, seed):
        draws[rows] = counts @ sums
    return draws


def resampled_counts(n_groups: int, resamples: int, seed: int) -> Iterator[tuple[slice, Values]]:
    """How often each group is drawn in each resample, in batches, which bound the memory.

    Yields
    ------
    slice
        The resamples of the batch; no batch without groups.
    ndarray of float64, shape (resamples of the batch, n_groups)
    """
    rng = np.random.default_rng(seed)
    for start in range(0, resamples if n_groups else 0, _BATCH):
        counts = np.empty((min(_BATCH, resamples - start), n_groups))
        for row in counts:
            row[:] = np.bincount(rng.integers(n_groups, size=n_groups), minlength=n_groups)
        yield slice(start, start + len(counts)), counts


def sums_by_group(values: Values, groups: NDArray[np.int64], n_groups: int) -> Values:
    """Sum the rows of each group; `values` has shape (n, m), `groups` (n,), the result (n_groups, m)."""
    sums = np.empty((n_groups, values.shape[1]))
    for column, each in enumerate(values.T):
        sums[:, column] = np.bincount(groups, weights=each, minlength=n_groups)
    return sums


def _means(sums: Values) -> Values:
    """Column sums divided by the count in the last column, by row; NaN where the count is 0."""
    counts = sums[:, -1:]
    means: Values = np.divide(
        sums[:, :-1], counts, out=np.full((len(sums), sums.shape[1] - 1), np.nan), where=counts > 0
    )
    return means

"""Confidence intervals of estimates and of their differences, by resampling shoppers."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream_app.tools.evaluation.policies.rounds import Floats
from stream_app.tools.evaluation.statistics import Interval

LEVEL: Final = 0.95
_BATCH: Final = 64  # resamples drawn at a time: bounds the memory


class Studentised:
    """Symmetric bootstrap-t intervals from influences, resampling whole shoppers.

    An estimate's error over its standard error is taken to be distributed as the resampled mean of influences over
    *its* standard error. With rare rewards and uneven weights a resample with few large terms has a small standard
    error, too: that widens the interval where percentiles, which `Bootstrap` takes, are too short.

    Parameters
    ----------
    groups : ndarray of int64, shape (n,)
        The shopper of each round.
    resamples
        Times that shoppers are drawn, with replacement, as many as there are.
    seed
        Of the draws.

    References
    ----------
    Hall: On symmetric bootstrap confidence intervals, JRSS-B 1988; Efron, Tibshirani: An introduction to the
    bootstrap, 1993, §12.5; Field, Welsh: Bootstrapping clustered data, JRSS-B 2007.

    Examples
    --------
    A hundred shoppers with one round each, 30 clicks; the textbook's interval is .30 ± .09:

    >>> clicks = (np.arange(100) < 30).astype(float)
    >>> [found] = Studentised(np.arange(100)).intervals([0.3], (clicks - 0.3)[:, None])
    >>> found.mean, round(found.low, 2), round(found.high, 2)
    (0.3, 0.21, 0.39)
    """

    def __init__(self, groups: NDArray[np.int64], *, resamples: int = 1000, seed: int = 7) -> None:
        _, self._groups = np.unique(groups, return_inverse=True)
        self._count = int(self._groups.max()) + 1 if len(groups) else 0
        self._resamples = resamples
        self._seed = seed

    def errors(self, influences: Floats) -> Floats:
        """Standard errors, shape (m,), of estimates whose influences are the columns; NaN with a single shopper.

        Parameters
        ----------
        influences : ndarray of float64, shape (n, m)
            One row a round, one column an estimate.
        """
        return self._errors(self._sums(influences)) / len(influences)

    def intervals(
        self, values: Sequence[float], influences: Floats, biases: Sequence[float] | None = None
    ) -> list[Interval]:
        """Intervals of estimates.

        Parameters
        ----------
        values
            The m estimates.
        influences : ndarray of float64, shape (n, m)
            One row a round, one column an estimate.
        biases
            What each may be off to one side; the interval is widened so that it still covers then, as Armstrong and
            Kolesár (Optimal inference in a class of regression models, Econometrica 2018) do. None: nothing.
        """
        sums = self._sums(influences)
        errors = self._errors(sums)
        rng = np.random.default_rng(self._seed)
        drawn = np.empty((self._resamples, sums.shape[1]))
        for start in range(0, self._resamples, _BATCH):
            times = np.zeros((min(_BATCH, self._resamples - start), self._count))
            for row in times if self._count else ():
                row[:] = np.bincount(rng.integers(self._count, size=self._count), minlength=self._count)
            total = times @ sums
            spread = times @ sums**2 - total**2 / max(self._count, 1)
            error = np.sqrt(np.maximum(spread, 0.0) * self._count / max(self._count - 1, 1))
            # a resample without spread says nothing of a spread
            drawn[start : start + len(times)] = np.divide(
                total, error, out=np.full_like(total, np.nan), where=error > 1e-12 * errors
            )
        shifts = np.zeros(len(values)) if biases is None else np.asarray(biases) * len(influences)
        found = []
        for value, ratios, error, shift in zip(values, drawn.T, errors, shifts, strict=True):
            usable = ratios[~np.isnan(ratios)]
            if not error > 0.0 or not len(usable):
                half = float(shift) if error == 0.0 else np.nan
            else:
                half = float(error * np.quantile(np.abs(usable - shift / error), LEVEL))
            half /= len(influences)
            found.append(Interval(float(value), float(value - half), float(value + half)))
        return found

    def _sums(self, influences: Floats) -> Floats:
        """Influences by shopper, shape (shoppers, m)."""
        sums = np.empty((self._count, influences.shape[1]))
        for column, each in enumerate(influences.T):
            sums[:, column] = np.bincount(self._groups, weights=each, minlength=self._count)
        return sums

    def _errors(self, sums: Floats) -> Floats:
        """Standard error of each column's sum."""
        if self._count < 2:
            return np.full(sums.shape[1], np.nan)
        errors: Floats = np.sqrt(self._count) * sums.std(axis=0, ddof=1)
        return errors

"""Quantiles of histogram buckets, computed as Prometheus does."""

import math
from itertools import pairwise

import msgspec


class HistogramBuckets(msgspec.Struct, frozen=True):
    """A cumulative histogram.

    Attributes
    ----------
    bounds
        Upper bounds, ascending, the last one infinite.
    counts
        Observations at or below each bound.

    Examples
    --------
    >>> one = HistogramBuckets((1.0, math.inf), (2.0, 3.0))
    >>> one + one
    HistogramBuckets(bounds=(1.0, inf), counts=(4.0, 6.0))
    >>> (one + one) - one == one
    True
    """

    bounds: tuple[float, ...] = ()
    counts: tuple[float, ...] = ()

    def __add__(self, other: "HistogramBuckets") -> "HistogramBuckets":
        return self._combine(other, 1.0)

    def __sub__(self, other: "HistogramBuckets") -> "HistogramBuckets":
        return self._combine(other, -1.0)

    def _combine(self, other: "HistogramBuckets", sign: float) -> "HistogramBuckets":
        if not other.bounds:
            return self
        if not self.bounds:
            return HistogramBuckets(other.bounds, tuple(sign * count for count in other.counts))
        if self.bounds != other.bounds:
            raise ValueError("histograms with different bounds cannot be combined")
        return HistogramBuckets(
            self.bounds,
            tuple(
                own_count + sign * other_count
                for own_count, other_count in zip(self.counts, other.counts, strict=True)
            ),
        )

    @property
    def total(self) -> float:
        """Number of observations."""
        return self.counts[-1] if self.counts else 0.0

    def quantile(self, q: float) -> float | None:
        """The `q`-quantile, interpolated linearly within its bucket.

        Parameters
        ----------
        q
            Between 0 and 1.

        Returns
        -------
        float or None
            In the unit of the bounds; the largest finite bound if the quantile is above it; None without
            observations.

        Examples
        --------
        >>> HistogramBuckets((1.0, 2.0, 4.0, math.inf), (0.0, 10.0, 20.0, 20.0)).quantile(0.75)
        3.0
        """
        if not self.total > 0:
            return None
        rank = q * self.total
        steps = pairwise([(0.0, 0.0), *zip(self.bounds, self.counts, strict=True)])
        for (lower, lower_count), (upper, upper_count) in steps:
            if upper_count >= rank and upper_count > lower_count:
                return (
                    lower
                    if math.isinf(upper)
                    else lower + (upper - lower) * (rank - lower_count) / (upper_count - lower_count)
                )
        return None

"""Quantiles out of a histogram's buckets, as Prometheus computes them."""

import math
from itertools import pairwise

import msgspec


class Buckets(msgspec.Struct, frozen=True):
    """A histogram: how many observations were at or below each bound.

    Attributes
    ----------
    bounds
        Upper bounds, ascending, the last one infinite.
    counts
        Observations at or below each bound, ascending.

    Examples
    --------
    >>> one = Buckets((1.0, math.inf), (2.0, 3.0))
    >>> one + one
    Buckets(bounds=(1.0, inf), counts=(4.0, 6.0))
    >>> (one + one) - one == one
    True
    """

    bounds: tuple[float, ...] = ()
    counts: tuple[float, ...] = ()

    def __add__(self, other: "Buckets") -> "Buckets":
        return self._with(other, 1.0)

    def __sub__(self, other: "Buckets") -> "Buckets":
        return self._with(other, -1.0)

    def _with(self, other: "Buckets", sign: float) -> "Buckets":
        if not other.bounds:
            return self
        if not self.bounds:
            return Buckets(other.bounds, tuple(sign * count for count in other.counts))
        if self.bounds != other.bounds:
            raise ValueError("histograms with different bounds cannot be put together")
        return Buckets(
            self.bounds,
            tuple(mine + sign * theirs for mine, theirs in zip(self.counts, other.counts, strict=True)),
        )

    @property
    def total(self) -> float:
        """Observations."""
        return self.counts[-1] if self.counts else 0.0

    def quantile(self, q: float) -> float | None:
        """The value below which a share `q` of the observations lies, interpolated within its bucket.

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
        >>> Buckets((1.0, 2.0, 4.0, math.inf), (0.0, 10.0, 20.0, 20.0)).quantile(0.75)
        3.0
        """
        if not self.total > 0:
            return None
        rank = q * self.total
        steps = pairwise([(0.0, 0.0), *zip(self.bounds, self.counts, strict=True)])
        for (lower, below), (upper, reached) in steps:
            if reached >= rank and reached > below:
                return (
                    lower
                    if math.isinf(upper)
                    else lower + (upper - lower) * (rank - below) / (reached - below)
                )
        return None

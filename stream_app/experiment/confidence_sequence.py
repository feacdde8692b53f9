"""Intervals that hold at any time one looks, for means of shoppers."""

import math
from typing import Final, NamedTuple

CONFIDENCE_LEVEL: Final = 0.95
"""Chance that a sequence of intervals holds the truth at all times."""

OPTIMAL_AT_USERS: Final = 1_000
"""Shoppers at which the intervals are narrowest for their number."""

MIN_USERS: Final = 30
"""Shoppers below which nothing is said: the normal approximation needs some."""


class AnytimeInterval(NamedTuple):
    """A mean and its interval."""

    mean: float
    low: float
    high: float


def half_width(n: float, level: float = CONFIDENCE_LEVEL) -> float:
    """Half the width of the interval of a mean of `n` values of variance 1.

    The asymptotic confidence sequence: with m the mean of n values and s their deviation, m ± s half_width(n) holds
    the truth for all n at once, with a chance of at least `level`, as fixed-sample intervals by the central limit
    theorem do for one n. So one may look, and stop, whenever one likes.

    References
    ----------
    Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas: Time-uniform central limit theory and asymptotic confidence
    sequences, Annals of Statistics 2024 (theorem 2.2).

    Examples
    --------
    Wider than 1.96 / sqrt(n), the price of looking at any time:

    >>> round(half_width(1_000) / (1.96 / 1_000 ** 0.5), 2)
    1.55
    """
    if n < MIN_USERS:
        return math.inf
    alpha = 1.0 - level
    rho2 = (-2.0 * math.log(alpha) + math.log(1.0 - 2.0 * math.log(alpha))) / OPTIMAL_AT_USERS
    spread = n * rho2 + 1.0
    return math.sqrt(2.0 * spread / (n * n * rho2) * math.log(math.sqrt(spread) / alpha))

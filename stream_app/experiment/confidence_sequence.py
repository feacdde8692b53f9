"""Confidence sequences: intervals of means over users that hold at all times."""

import math
from typing import Final, NamedTuple

CONFIDENCE_LEVEL: Final = 0.95
"""Probability that a sequence of intervals covers the true mean at all times."""

OPTIMAL_AT_USERS: Final = 1_000
"""Number of users at which the intervals are tightest."""

MIN_USERS: Final = 30
"""Number of users below which intervals are infinite: the normal approximation needs some."""


class AnytimeInterval(NamedTuple):
    """A mean and its interval."""

    mean: float
    low: float
    high: float


def half_width(n: float, level: float = CONFIDENCE_LEVEL) -> float:
    """Half the width of the interval of a mean of `n` values of variance 1.

    The asymptotic confidence sequence: with m the mean of n values and s their standard deviation,
    m ± s half_width(n) covers the true mean for all n at once with a probability of at least `level`, as intervals by
    the central limit theorem do for one n. So results may be read, and an experiment stopped, at any time.

    References
    ----------
    Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas: Time-uniform central limit theory and asymptotic confidence
    sequences, Annals of Statistics 2024 (theorem 2.2).

    Examples
    --------
    Wider than 1.96 / sqrt(n), the cost of validity at all times:

    >>> round(half_width(1_000) / (1.96 / 1_000 ** 0.5), 2)
    1.55
    """
    if n < MIN_USERS:
        return math.inf
    alpha = 1.0 - level
    rho2 = (-2.0 * math.log(alpha) + math.log(1.0 - 2.0 * math.log(alpha))) / OPTIMAL_AT_USERS
    spread = n * rho2 + 1.0
    return math.sqrt(2.0 * spread / (n * n * rho2) * math.log(math.sqrt(spread) / alpha))

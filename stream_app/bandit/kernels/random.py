"""Distributions sampled from SplitMix64; equal seeds give equal numbers on every machine."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.models.kernels.jit import SUMS, jit
from stream_app.models.kernels.random import GOLDEN_GAMMA, mix64


class RandomState(NamedTuple):
    """State of a generator."""

    counter: NDArray[np.uint64]  # shape (1,): the counter that SplitMix64 mixes
    # shape (2,): second number of a pair of `normal`: whether there is one (1 or 0), and its value
    spare: NDArray[np.float64]


@jit(fastmath=SUMS, numpy_errors=True)
def seeded(seed: np.uint64) -> RandomState:
    """Start a generator from an unsigned 64-bit seed."""
    counter = np.empty(1, np.uint64)
    counter[0] = seed
    return RandomState(counter, np.zeros(2))


@jit(fastmath=SUMS, numpy_errors=True)
def next_u64(random: RandomState) -> np.uint64:
    """Draw 64 random bits."""
    random.counter[0] += GOLDEN_GAMMA
    return np.uint64(mix64(random.counter[0]))


@jit(fastmath=SUMS, numpy_errors=True)
def uniform(random: RandomState) -> float:
    """Draw from the uniform distribution on the open interval (0, 1)."""
    return (float(next_u64(random) >> np.uint64(12)) + 0.5) / 4503599627370496.0


@jit(fastmath=SUMS, numpy_errors=True)
def randint(random: RandomState, n: int) -> int:
    """Draw an integer from 0 to n - 1."""
    return min(int(uniform(random) * n), n - 1)


@jit(fastmath=SUMS, numpy_errors=True)
def normal(random: RandomState) -> float:
    """Draw from the standard normal distribution by Marsaglia's polar method."""
    spare = random.spare
    if spare[0] > 0.0:
        spare[0] = 0.0
        return float(spare[1])
    while True:
        x = 2.0 * uniform(random) - 1.0
        y = 2.0 * uniform(random) - 1.0
        square = x * x + y * y
        if 0.0 < square < 1.0:
            scale = math.sqrt(-2.0 * math.log(square) / square)
            spare[0] = 1.0
            spare[1] = scale * y
            return float(scale * x)


@jit(fastmath=SUMS, numpy_errors=True)
def gamma(random: RandomState, shape: float) -> float:
    """Draw from the gamma distribution of scale 1.

    References
    ----------
    Marsaglia, Tsang: A simple method for generating gamma variables, ACM TOMS 2000.
    """
    boost = 1.0
    if shape < 1.0:
        boost = uniform(random) ** (1.0 / shape)
        shape += 1.0
    d = shape - 1.0 / 3.0
    c = 1.0 / math.sqrt(9.0 * d)
    while True:
        x = normal(random)
        v = 1.0 + c * x
        if v <= 0.0:
            continue
        v = v * v * v
        u = uniform(random)
        if u < 1.0 - 0.0331 * x * x * x * x:
            return boost * d * v
        if math.log(u) < 0.5 * x * x + d * (1.0 - v + math.log(v)):
            return boost * d * v


@jit(fastmath=SUMS, numpy_errors=True)
def beta_constants(a: float, b: float) -> tuple[float, float]:
    """Compute the constants of `beta` that depend on its shapes alone; both are 0 where a shape is 1 or less."""
    low = min(a, b)
    if low <= 1.0:
        return 0.0, 0.0
    slope = math.sqrt((a + b - 2.0) / (2.0 * a * b - a - b))
    return slope, low + 1.0 / slope


@jit(fastmath=SUMS, numpy_errors=True)
def beta(random: RandomState, a: float, b: float, slope: float, middle: float) -> float:
    """Draw from the Beta distribution; `slope` and `middle` are its `beta_constants`.

    References
    ----------
    Cheng: Generating beta variates with nonintegral shape parameters, CACM 1978 (algorithm BB). Where a shape is
    below 1: the ratio of two gamma variables.
    """
    low = min(a, b)
    high = max(a, b)
    if low < 1.0:
        hit = gamma(random, a)
        return hit / (hit + gamma(random, b) + 1e-300)
    if low == 1.0:
        # the inverse of the distribution function
        power = uniform(random) ** (1.0 / high)
        return float(power if b == 1.0 else 1.0 - power)
    total_shape = low + high
    while True:
        u = uniform(random)
        v = slope * math.log(u / (1.0 - u))
        w = low * math.exp(v)
        z = u * u * uniform(random)
        r = middle * v - 1.3862943611198906
        s = low + r - w
        if s + 2.6094379124341003 < 5.0 * z:
            t = math.log(z)
            if s <= t and r + total_shape * math.log(total_shape / (high + w)) < t:
                continue
        return w / (high + w) if low == a else high / (high + w)

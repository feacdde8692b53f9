"""Random numbers by SplitMix64 from a counter in an array of one uint64: equal seeds draw the same everywhere."""

import math
from typing import Any

import numpy as np

from stream_app.models.kernels.jit import SUMS, jit


@jit(fastmath=SUMS, numpy_errors=True)
def next_u64(state: Any) -> Any:
    """The next 64 random bits.

    References
    ----------
    Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA 2014.
    """
    state[0] += np.uint64(0x9E3779B97F4A7C15)
    mixed = state[0]
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


@jit(fastmath=SUMS, numpy_errors=True)
def uniform(state: Any) -> float:
    """Above 0 and below 1."""
    return (float(next_u64(state) >> np.uint64(12)) + 0.5) / 4503599627370496.0


@jit(fastmath=SUMS, numpy_errors=True)
def randint(state: Any, n: int) -> int:
    """A whole number from 0 to n - 1."""
    return min(int(uniform(state) * n), n - 1)


@jit(fastmath=SUMS, numpy_errors=True)
def normal(state: Any, spare: Any) -> float:
    """One of the standard normal distribution, by Marsaglia's polar method; the second of a pair is kept in `spare`.

    `spare` is an array of float64 of two, zeroed at first: whether there is one, and what.
    """
    if spare[0] > 0.0:
        spare[0] = 0.0
        return float(spare[1])
    while True:
        x = 2.0 * uniform(state) - 1.0
        y = 2.0 * uniform(state) - 1.0
        square = x * x + y * y
        if 0.0 < square < 1.0:
            scale = math.sqrt(-2.0 * math.log(square) / square)
            spare[0] = 1.0
            spare[1] = scale * y
            return float(scale * x)


@jit(fastmath=SUMS, numpy_errors=True)
def gamma(state: Any, spare: Any, shape: float) -> float:
    """One of the gamma distribution of scale 1.

    References
    ----------
    Marsaglia, Tsang: A simple method for generating gamma variables, ACM TOMS 2000.
    """
    boost = 1.0
    if shape < 1.0:
        boost = uniform(state) ** (1.0 / shape)
        shape += 1.0
    d = shape - 1.0 / 3.0
    c = 1.0 / math.sqrt(9.0 * d)
    while True:
        x = normal(state, spare)
        v = 1.0 + c * x
        if v <= 0.0:
            continue
        v = v * v * v
        u = uniform(state)
        if u < 1.0 - 0.0331 * x * x * x * x:
            return boost * d * v
        if math.log(u) < 0.5 * x * x + d * (1.0 - v + math.log(v)):
            return boost * d * v


@jit(fastmath=SUMS, numpy_errors=True)
def beta_constants(a: float, b: float) -> tuple[float, float]:
    """What `beta` needs of its shapes; 0 and 0 where one is 1 or less."""
    low = min(a, b)
    if low <= 1.0:
        return 0.0, 0.0
    slope = math.sqrt((a + b - 2.0) / (2.0 * a * b - a - b))
    return slope, low + 1.0 / slope


@jit(fastmath=SUMS, numpy_errors=True)
def beta(state: Any, spare: Any, a: float, b: float, slope: float, middle: float) -> float:
    """One of the Beta distribution; `slope` and `middle` are its `beta_constants`.

    References
    ----------
    Cheng: Generating beta variates with nonintegral shape parameters, CACM 1978 (algorithm BB); where a shape is
    below 1, of two gamma variables.
    """
    low = min(a, b)
    high = max(a, b)
    if low < 1.0:
        hit = gamma(state, spare, a)
        return hit / (hit + gamma(state, spare, b) + 1e-300)
    if low == 1.0:
        # the other power of a uniform
        power = uniform(state) ** (1.0 / high)
        return float(power if b == 1.0 else 1.0 - power)
    total_shape = low + high
    while True:
        u = uniform(state)
        v = slope * math.log(u / (1.0 - u))
        w = low * math.exp(v)
        z = u * u * uniform(state)
        r = middle * v - 1.3862943611198906
        s = low + r - w
        if s + 2.6094379124341003 < 5.0 * z:
            t = math.log(z)
            if s <= t and r + total_shape * math.log(total_shape / (high + w)) < t:
                continue
        return w / (high + w) if low == a else high / (high + w)

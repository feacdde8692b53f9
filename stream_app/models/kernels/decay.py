"""Forward decay of weights."""

import math

from stream_app.models.kernels.jit import jit


@jit()
def forward_weight(ts: float, half_life: float, landmark: float) -> float:
    """Weight of an event at `ts`, relative to one at the landmark; `landmark` is a whole number of half-lives.

    The whole part of the age is added to the exponent and only the fraction goes through the power, so that the
    weights relative to two landmarks differ by an exact power of two.
    """
    age = ts / half_life
    whole = math.floor(age)
    return math.ldexp(2.0 ** (age - whole), int(min(max(whole - landmark, -2000.0), 2000.0)))

"""Forward decay of weights."""

import math

from stream_app.models.kernels.jit import jit


@jit()
def forward_weight(ts: float, half_life: float, landmark: float) -> float:
    """Weigh an event by its time; `landmark` is a whole number of half-lives.

    The whole part goes into the exponent and only the fraction through the power, so that weights by two
    landmarks differ by an exact power of two.
    """
    age = ts / half_life
    whole = math.floor(age)
    return math.ldexp(2.0 ** (age - whole), int(min(max(whole - landmark, -2000.0), 2000.0)))

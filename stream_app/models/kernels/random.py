"""Pseudo-random numbers.

Three generators are kept, since the learned vectors, and with them all reported metrics, depend on their sequences:
SplitMix64 draws by counter (BPR, BiasedMF), xorshift64 fills initial vectors, and a linear congruential generator
draws the negative samples of item vectors. Use SplitMix64 in new code.
"""

import numpy as np
from numpy.typing import NDArray

from stream_app.models.array_types import Scores
from stream_app.models.kernels.jit import jit

GOLDEN_GAMMA = np.uint64(0x9E3779B97F4A7C15)
"""Increment of SplitMix64: state number n of a stream is n * GOLDEN_GAMMA."""


@jit()
def mix64(state: np.uint64) -> np.uint64:
    """Mix the bits of a state of type uint64 (output function of SplitMix64).

    References
    ----------
    Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA 2014.
    """
    mixed = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


@jit()
def splitmix64(counter: np.uint64) -> np.uint64:
    """Random number of a counter; both are of type uint64.

    Examples
    --------
    >>> hex(splitmix64(np.uint64(1))), hex(splitmix64(np.uint64(2)))
    ('0xe220a8397b1dcdaf', '0x6e789e6aa1b965f4')
    """
    return mix64(counter * GOLDEN_GAMMA)


@jit()
def fill_uniform(state: np.uint64, width: float, out: Scores) -> None:
    """Fill `out` with uniform noise of the given width around 0 (xorshift64).

    Parameters
    ----------
    state : uint64
        Initial state, not 0.
    width
        Difference of the largest and the smallest value.
    out : ndarray of float32, shape (n,)

    References
    ----------
    Marsaglia: Xorshift RNGs, Journal of Statistical Software 8 (14), 2003.
    """
    for at in range(len(out)):
        state ^= state << np.uint64(13)
        state ^= state >> np.uint64(7)
        state ^= state << np.uint64(17)
        out[at] = width * (float(state >> np.uint64(11)) / 9007199254740992.0 - 0.5)


@jit()
def randint(state: NDArray[np.int64], n: int) -> int:
    """Draw a number from 0 to n - 1 (linear congruential generator); `state`, shape (1,), is updated.

    References
    ----------
    Knuth: The art of computer programming, volume 2 (constants of MMIX).
    """
    state[0] = (state[0] * 6364136223846793005 + 1442695040888963407) & 0x7FFFFFFFFFFFFFFF
    return int((state[0] >> 20) % n)

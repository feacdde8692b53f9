"""Pseudo-random numbers."""

from typing import Any

from stream_app.models.kernels.jit import jit


@jit()
def uniform(state: Any, width: float, out: Any) -> None:
    """Fill `out` with noise around 0 of the given width from a 64-bit state that is not 0 (xorshift64)."""
    for at in range(len(out)):
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        out[at] = width * (float(state >> 11) / 9007199254740992.0 - 0.5)

"""The time scale of sums with forward decay."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_app.models.decay import ForwardDecay
from stream_app.models.decay_clock import DecayClock


class DecayScale:
    """Weights of events by their time, and the factor to sums decayed until the newest event.

    Parameters
    ----------
    half_life
        Seconds in which an event loses half its weight; ``math.inf`` for no decay.
    clock
        The time by which events lose weight; event time by default.

    Attributes
    ----------
    n_updates
        Number of events weighted.

    Examples
    --------
    >>> scale, sums = DecayScale(half_life=60.0), np.zeros(1)
    >>> for ts in (0.0, 60.0):
    ...     sums += scale.weight(ts, [sums])
    >>> (scale.factor * sums).tolist()
    [1.5]
    """

    def __init__(self, half_life: float, clock: DecayClock | None = None) -> None:
        self._decay = ForwardDecay(half_life, clock)
        self._newest = -math.inf
        self.n_updates = 0

    def use_clock(self, clock: DecayClock) -> None:
        """Measure decay by another clock; before any event."""
        self._decay.clock = clock

    def weight(self, ts: float, arrays: Iterable[NDArray[np.float64]]) -> float:
        """Weight of an event at `ts`; all sums on this scale are multiplied in place where the landmark moves."""
        rescaled = self._decay.advance(ts)
        if rescaled != 1.0:
            for array in arrays:
                np.multiply(array, rescaled, out=array)
        self._newest = max(self._newest, ts)
        self.n_updates += 1
        return self._decay.weight(ts)

    @property
    def factor(self) -> float:
        """Factor from sums to sums decayed until the newest event."""
        return 1.0 / self._decay.weight(self._newest) if self.n_updates else 1.0

    def state(self) -> dict[str, Any]:
        """The scale as plain data."""
        return {"landmark": self._decay.landmark, "newest": self._newest, "n_updates": self.n_updates}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over the scale of a `state`; other keys are ignored."""
        self._decay.landmark = float(state["landmark"])
        self._newest = float(state["newest"])
        self.n_updates = int(state["n_updates"])

"""Forward decay: sums that lose half their weight per half-life, in any order of events."""

import math

from stream_app.models.decay_clock import DecayClock
from stream_app.models.kernels.decay import forward_weight

HEADROOM = 256
"""Half-lives from the landmark to the newest event, above which the landmark moves."""


class ForwardDecay:
    """Weights that grow with event time, so that sums need no aging.

    An event at time t weighs ``2 ** ((t - landmark) / half_life)``; a sum of such weights, divided by another one,
    is a ratio of exponentially decayed sums at any later time. A weight depends on its event alone, so events may
    come in any order. The landmark is a whole number of half-lives, so that scaling the sums is exact (a power of
    two) and the sums of replicas with different landmarks differ in the exponent only.

    Parameters
    ----------
    half_life
        Seconds in which a weight halves; ``math.inf`` never decays.
    clock
        The time by which weights halve; event time by default.

    Attributes
    ----------
    landmark
        Time of weight 1 by the clock, in half-lives since the epoch.

    References
    ----------
    Cormode, Shkapenyuk, Srivastava, Xu: Forward Decay, ICDE 2009.

    Examples
    --------
    >>> decay = ForwardDecay(half_life=60.0)
    >>> decay.advance(0.0)
    1.0
    >>> [decay.weight(ts) for ts in (0.0, 60.0, 120.0, -60.0)]
    [1.0, 2.0, 4.0, 0.5]

    If the newest event is far past the landmark, sums must be multiplied by a small power of two:

    >>> decay.advance(60.0 * 300) == 2.0 ** -300, decay.landmark
    (True, 300.0)
    """

    def __init__(self, half_life: float, clock: DecayClock | None = None) -> None:
        if not half_life > 0:
            raise ValueError(f"half_life must be above 0, not {half_life!r}")
        self.half_life = half_life
        self.clock = clock or DecayClock()
        self.landmark = math.nan

    def weight(self, ts: float) -> float:
        """Weight of an event at `ts` (seconds since the epoch); call `advance` first."""
        return forward_weight(self.clock.time(ts), self.half_life, self.landmark)

    def advance(self, ts: float) -> float:
        """Move the landmark if the weight of an event at `ts` is too large.

        Returns
        -------
        float
            Factor for every sum: 1, or an exact power of two.
        """
        age = self.clock.time(ts) / self.half_life
        if age - self.landmark <= HEADROOM:
            return 1.0
        previous_landmark, self.landmark = self.landmark, float(math.floor(age))
        if math.isnan(previous_landmark):
            return 1.0
        return math.ldexp(1.0, int(previous_landmark - self.landmark))

    def at(self, ts: float) -> float:
        """Factor from a sum to the decayed sum at `ts`, rounded down to a whole half-life.

        Examples
        --------
        >>> decay = ForwardDecay(half_life=60.0)
        >>> _ = decay.advance(0.0)
        >>> decay.weight(60.0) * decay.at(150.0)
        0.5
        """
        if math.isnan(self.landmark):
            return 0.0
        # bounded: a clock that was set back leaves the landmark far ahead
        ahead = min(self.landmark - math.floor(self.clock.time(ts) / self.half_life), 1000.0)
        return math.ldexp(1.0, int(ahead))

    def at_most_one(self, ts: float) -> float:
        """The same factor, and 1 where `ts` is before the landmark.

        Examples
        --------
        >>> decay = ForwardDecay(half_life=60.0)
        >>> _ = decay.advance(600.0)
        >>> decay.at_most_one(0.0), decay.at_most_one(660.0)
        (1.0, 0.5)
        """
        return self.at(ts) if self.clock.time(ts) / self.half_life > self.landmark else 1.0

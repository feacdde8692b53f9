"""Candidate sources that bring nothing are paused: a running measure of the gain of each."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from stream_app.models.model_state import State

LIST_LENGTH: Final = 20
"""Ranks from here on are worth nothing."""

MIN_GAIN: Final = 0.002
"""Gain that a source must bring to be used: normalized discounted gain at `LIST_LENGTH`, per choice."""

PAUSE_ERRORS: Final = 2.0
"""Standard errors from the mean to its upper bound."""

RESUME_ERRORS: Final = 1.0
"""Standard errors from the mean to its lower bound: in doubt, a source is used."""

MIN_MEASURES: Final = 1_000
"""Choices without which nothing is paused: some gain comes rarely, and then much of it."""

MIN_PROBES: Final = 100
"""Choices without which nothing is resumed."""

HALF_LIFE: Final = 6_000.0
"""Measures in which one loses half its weight: tastes change, and so do the models."""

SETTLING_CHOICES: Final = 500
"""Choices that the fusion learns before it is measured."""

EARLY_CHOICES: Final = 3_000
"""Choices that are all measured; later one in `MEASURE_INTERVAL`."""

MEASURE_INTERVAL: Final = 8
"""One choice in this many is measured: it costs about as much as ranking half a list."""

PROBE_INTERVAL: Final = 2
"""One measured choice in this many is learned with the candidates of one paused source too."""


class SourceGain(NamedTuple):
    """Gain of a source so far."""

    active: bool  # whether its candidates are used
    mean: float  # decayed mean of the gain
    low: float  # lower and upper bound of the mean
    high: float
    measures: int  # choices measured since it was paused or resumed


class _Moments:
    """Number of values, and their decayed count, sum and sum of squares."""

    def __init__(self, n: int = 0, count: float = 0.0, total: float = 0.0, squares: float = 0.0) -> None:
        self.n, self.count, self.total, self.squares = n, count, total, squares

    def add(self, value: float) -> None:
        self.n += 1
        decay = 2.0 ** (-1.0 / HALF_LIFE)
        self.count = decay * self.count + 1.0
        self.total = decay * self.total + value
        self.squares = decay * self.squares + value * value

    def bounds(self) -> tuple[float, float, float]:
        """Mean, lower and upper bound; without limit where nothing was measured."""
        if not self.count:
            return 0.0, -math.inf, math.inf
        mean = self.total / self.count
        variance = max(0.0, self.squares / self.count - mean * mean)
        error = math.sqrt(variance / self.count)
        return mean, mean - RESUME_ERRORS * error, mean + PAUSE_ERRORS * error


def rank_value(better: int) -> float:
    """Value of a choice with so many better candidates: 1 at the first rank, 0 beyond the list.

    Examples
    --------
    >>> rank_value(0), rank_value(2), rank_value(20)
    (1.0, 0.5, 0.0)
    """
    return 1.0 / math.log2(better + 2.0) if better < LIST_LENGTH else 0.0


class SourceSwitch:
    """Which sources are used, by the gain that each was measured to bring.

    The gain of a source in a choice is the value of the chosen item's rank less that of its rank without the source:
    without the candidates that it alone brought, and with its features at 0. A source is paused when the upper bound
    of its mean gain falls below `MIN_GAIN`. While it is paused, some choices are learned with it; it is resumed when
    the lower bound of its mean gain in these exceeds `MIN_GAIN`.

    Parameters
    ----------
    names
        The sources that may be paused.
    enabled
        Whether anything is measured and paused.

    Examples
    --------
    >>> switch = SourceSwitch(["useful", "useless"])
    >>> for _ in range(MIN_MEASURES + 1):
    ...     switch.record("useful", 0.02)
    ...     switch.record("useless", 0.0)
    >>> switch.is_active("useful"), switch.is_active("useless")
    (True, False)
    >>> for _ in range(MIN_PROBES + 1):
    ...     switch.record("useless", 0.02)
    >>> switch.is_active("useless")
    True
    """

    def __init__(self, names: Iterable[str], *, enabled: bool = True) -> None:
        self.enabled: Final = enabled
        self._moments = {name: _Moments() for name in names}
        self.paused: frozenset[str] = frozenset()
        self._measures = 0

    def is_active(self, name: str) -> bool:
        """Whether the candidates of a source are used."""
        return name not in self.paused

    def is_measured(self, choices: int) -> bool:
        """Whether a choice is measured, after so many learned ones."""
        if not self.enabled or choices < SETTLING_CHOICES or not self._moments:
            return False
        return choices < EARLY_CHOICES or not choices % MEASURE_INTERVAL

    def next_probe(self) -> str:
        """Count a measured choice; return the paused source that takes part in it, or an empty string.

        One at a time: of two sources that bring the same, each brings nothing beside the other.
        """
        self._measures += 1
        number, is_other = divmod(self._measures, PROBE_INTERVAL)
        if not self.paused or is_other:
            return ""
        return sorted(self.paused)[number % len(self.paused)]

    def record(self, name: str, gain: float) -> None:
        """Add the gain of a source in a choice; pause or resume the source."""
        moments = self._moments[name]
        moments.add(gain)
        _, low, high = moments.bounds()
        if name in self.paused:
            if moments.n >= MIN_PROBES and low > MIN_GAIN:
                self.paused -= {name}
                self._moments[name] = _Moments()
        elif moments.n >= MIN_MEASURES and high < MIN_GAIN:
            self.paused |= {name}
            self._moments[name] = _Moments()

    def gains(self) -> dict[str, SourceGain]:
        """The gain of each source."""
        return {
            name: SourceGain(self.is_active(name), *moments.bounds(), moments.n)
            for name, moments in self._moments.items()
        }

    def state(self) -> State:
        """Everything measured, as plain data."""
        return {
            "measures": self._measures,
            "paused": sorted(self.paused),
            "moments": {
                name: [each.n, each.count, each.total, each.squares] for name, each in self._moments.items()
            },
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Load the result of `state`; sources that it lacks begin anew."""
        saved = state.get("moments", {})
        self._moments = {name: _Moments(*saved.get(name, ())) for name in self._moments}
        paused = frozenset(state.get("paused", ())) if self.enabled else frozenset()
        self.paused = paused & self._moments.keys()
        self._measures = int(state.get("measures", 0))

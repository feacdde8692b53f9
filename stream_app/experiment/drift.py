"""Drift of the streams that a worker measures, found by River's detectors."""

import math
from collections import deque
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple

from river import drift, stats

from stream_app.experiment.drift_config import DriftConfig

_RECENT_BLOCKS: Final = 10
"""Blocks whose mean is reported as that after a drift."""


class Detector(StrEnum):
    """The detectors."""

    ADWIN = "adwin"
    PAGE_HINKLEY = "page_hinkley"


class Direction(StrEnum):
    """The change of a mean."""

    UP = "up"
    DOWN = "down"


class Drift(NamedTuple):
    """A change of the mean of a stream."""

    stream: str
    detector: Detector
    direction: Direction
    before: float  # mean since the last drift that this detector found
    after: float  # mean of the last blocks
    is_sure: bool  # whether both detectors found a change in this direction within `agreement_blocks`


class DriftMonitor:
    """Watches streams of numbers for a change of their mean.

    A stream is cut into blocks of equal weight, and the detectors see the mean of each block in units of the standard
    deviation of the first blocks: River's ADWIN, and Page-Hinkley in each direction. Means of blocks have about a
    normal distribution whatever is observed (hits, logarithms of prices); observations that depend on each other, as
    those of one session, mostly fall into one block, so that the deviation covers them; and a detector costs a
    hundredth. A sure drift begins the stream anew, with first blocks of its own.

    Its state is not saved: a detector compares the present with the past, and after a restart the past begins anew.
    Memory is bounded: ADWIN's window grows with the logarithm of its length.

    References
    ----------
    Bifet, Gavalda: Learning from time-changing data with adaptive windowing, SDM 2007. Page: Continuous inspection
    schemes, Biometrika 1954.

    Examples
    --------
    >>> import numpy as np
    >>> monitor, rng = DriftMonitor(), np.random.default_rng(1)
    >>> hits = [*(rng.random(20_000) < 0.4), *(rng.random(4_000) < 0.3)]
    >>> found = [each for hit in hits for each in monitor.observe("hit_rate", hit)]
    >>> [(each.detector.value, each.direction.value, each.is_sure) for each in found]
    [('adwin', 'down', False), ('page_hinkley', 'down', True)]
    >>> round(found[0].before, 1), round(found[0].after, 1)
    (0.4, 0.3)
    """

    def __init__(self, config: DriftConfig | None = None) -> None:
        self.config: Final = config or DriftConfig()
        self._streams: dict[str, _Stream] = {}

    def observe(self, stream: str, value: float, weight: float = 1.0) -> list[Drift]:
        """Add an observation; the drifts that it completes, mostly none.

        Parameters
        ----------
        stream
            Name of the stream.
        value
            The observation, or its part of the numerator of a rate.
        weight
            Its part of the denominator: of clicks per list, a list has the value 0 and the weight 1, a click the
            value 1 and the weight 0.
        """
        watched = self._streams.get(stream)
        if watched is None:
            if not self.config.significance or len(self._streams) >= self.config.max_streams:
                return []
            watched = self._streams[stream] = _Stream(stream, self.config)
        watched.sum += value
        watched.weight += weight
        if watched.weight < self.config.block:
            return []
        return watched.close_block()

    def watches(self, stream: str) -> bool:
        """Whether a stream is watched: it has had an observation, and was not one too many."""
        return stream in self._streams


class _Stream:
    """The open block of a stream, and its detectors."""

    def __init__(self, name: str, config: DriftConfig) -> None:
        self.sum = self.weight = 0.0
        self._name = name
        self._config = config
        self._recent: deque[float] = deque(maxlen=_RECENT_BLOCKS)
        self._restart()

    def _restart(self) -> None:
        """Begin anew, with new first blocks: after a change the deviation is another one, too."""
        config = self._config
        self._n_blocks = 0
        self._first: list[float] = []
        self._unit = 0.0
        self._watches = [
            _Watch(Detector.ADWIN, None, lambda: drift.ADWIN(delta=config.significance, clock=1)),
            *(
                _Watch(Detector.PAGE_HINKLEY, direction, _page_hinkley(config, direction))
                for direction in Direction
            ),
        ]
        self._found_at: dict[tuple[Detector, Direction], int] = {}

    def close_block(self) -> list[Drift]:
        """Pass the mean of the block to the detectors."""
        mean = float(self.sum / self.weight)
        self.sum = self.weight = 0.0
        self._n_blocks += 1
        self._recent.append(mean)
        means = [mean]
        if not self._unit:
            self._first.append(mean)
            if len(self._first) < self._config.reference_blocks:
                return []
            self._unit = _deviation(self._first)
            means, self._first = self._first, []
        found = {
            id(watch): watch for each in means for watch in self._watches if watch.update(each, self._unit)
        }
        return [self._report(watch) for watch in found.values()]

    def _report(self, watch: "_Watch") -> Drift:
        before, after = watch.restart(), sum(self._recent) / len(self._recent)
        direction = watch.direction or (Direction.UP if after > before else Direction.DOWN)
        self._found_at[watch.detector, direction] = self._n_blocks
        times = [self._found_at.get((detector, direction)) for detector in Detector]
        is_sure = all(at is not None and self._n_blocks - at <= self._config.agreement_blocks for at in times)
        if is_sure:
            self._restart()
        return Drift(self._name, watch.detector, direction, before, after, is_sure)


def _page_hinkley(config: DriftConfig, direction: Direction) -> Callable[[], Any]:
    return lambda: drift.PageHinkley(
        min_instances=config.reference_blocks,
        delta=config.tolerance,
        threshold=config.threshold,
        mode=str(direction),
    )


def _deviation(means: Sequence[float]) -> float:
    """The standard deviation of means; a stream without any has a thousandth of its size."""
    moments, size = stats.Var(), stats.Mean()
    for each in means:
        moments.update(each)
        size.update(abs(each))
    return max(math.sqrt(float(moments.get())), 1e-3 * float(size.get()), 1e-9)


class _Watch:
    """A detector of River, and the mean of the blocks since its last drift."""

    def __init__(self, detector: Detector, direction: Direction | None, make: Callable[[], Any]) -> None:
        self.detector = detector
        self.direction = direction
        self._make = make
        self._river = make()
        self._mean = stats.Mean()

    def update(self, mean: float, unit: float) -> bool:
        """Add the mean of a block, which the detector sees in units; whether a drift is found."""
        self._mean.update(mean)
        self._river.update(mean / unit)
        return bool(self._river.drift_detected)

    def restart(self) -> float:
        """Begin anew; the mean until now."""
        before = float(self._mean.get())
        self._river, self._mean = self._make(), stats.Mean()
        return before

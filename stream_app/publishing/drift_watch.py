"""Watches what a worker measures for drift: hits of published lists, clicks per list by policy, and prices.

Each worker watches its own users, in the order of their events: they are a sample by a hash of the user id, and what
a replica reads of other workers has no such order.
"""

import logging
import math
from collections.abc import Callable, Iterable
from typing import Final

from stream_app.drift_metrics import DriftMetrics
from stream_app.experiment.drift import Detector, Direction, Drift, DriftMonitor
from stream_app.experiment.drift_config import DriftConfig
from topics.events import format_time
from topics.records import Line, Reward, RewardKind

_LOG: Final = logging.getLogger(__name__)

HIT_RATE: Final = "hit_rate"
LOG_PRICE: Final = "log_price"
CLICK_RATE: Final = "click_rate:"
"""Prefix of the stream of a policy."""

BOTH: Final = "both"
"""Label of a drift that both detectors found."""

LOG_INTERVAL: Final = 600.0
"""Seconds of the broker's time between two log lines of a stream."""

_CLICK_KINDS: Final = frozenset({RewardKind.CLICK, RewardKind.CART, RewardKind.WISHLIST, RewardKind.SHARE})


class DriftWatch:
    """Feeds the detectors, counts and logs what they find.

    Parameters
    ----------
    is_outlier
        Whether an order line is implausible: such a price says nothing about the others.

    Attributes
    ----------
    on_loss
        Called with a sure fall of the hit rate or of a click rate, and its time by the broker's clock.

    Examples
    --------
    >>> import numpy as np
    >>> from stream_app.metrics import Metrics
    >>> watch, rng = DriftWatch(Metrics()), np.random.default_rng(1)
    >>> watch.on_loss = lambda drift, at: print(drift.stream, drift.direction, at < 14_000)
    >>> for n in range(14_000):
    ...     watch.on_choice(rng.random() < (0.4 if n < 10_000 else 0.3), ts=float(n))
    hit_rate down True
    """

    def __init__(
        self,
        metrics: DriftMetrics,
        config: DriftConfig | None = None,
        is_outlier: Callable[[Line], bool] = lambda _: False,
    ) -> None:
        self._metrics = metrics
        self._monitor = DriftMonitor(config)
        self._is_outlier = is_outlier
        self._logged_at: dict[str, float] = {}
        self._counted: set[str] = set()
        self.on_loss: Callable[[Drift, float], None] = lambda _drift, _at: None

    def on_choice(self, hit: bool, ts: float) -> None:
        """Watch whether a chosen item was on the user's list.

        Parameters
        ----------
        ts
            The broker's time of the event, seconds since the epoch.
        """
        self._observe(HIT_RATE, float(hit), 1.0, ts)

    def on_purchase(self, lines: Iterable[Line], ts: float) -> None:
        """Watch the prices of order lines; unknown and implausible ones are ignored."""
        for line in lines:
            if 0.0 < line.price < math.inf and not self._is_outlier(line):
                self._observe(LOG_PRICE, math.log(line.price), 1.0, ts)

    def on_reward(self, reward: Reward) -> None:
        """Watch the clicks per displayed list of the policy that ordered it."""
        n_clicks = reward.kind in _CLICK_KINDS and reward.first_positive
        if (reward.first_exposure or n_clicks) and not reward.search:
            stream = CLICK_RATE + reward.policy
            self._observe(stream, float(n_clicks), float(reward.first_exposure), reward.ts)

    def _observe(self, stream: str, value: float, weight: float, ts: float) -> None:
        found = self._monitor.observe(stream, value, weight)
        if stream not in self._counted and self._monitor.watches(stream):
            # A counter that begins with 1 has no increase.
            self._counted.add(stream)
            for detector in (*Detector, BOTH):
                for direction in Direction:
                    self._metrics.drifts.labels(stream, str(detector), str(direction))
        for drift in found:
            detectors = [str(drift.detector), *([BOTH] if drift.is_sure else [])]
            for detector in detectors:
                self._metrics.drifts.labels(drift.stream, detector, str(drift.direction)).inc()
            self._metrics.last_drift.labels(drift.stream).set(ts)
            if ts - self._logged_at.get(drift.stream, -math.inf) >= LOG_INTERVAL:
                self._logged_at[drift.stream] = ts
                _LOG.warning(
                    "%s drifted %s at %s, from a mean of %.4g to %.4g (%s)",
                    drift.stream,
                    drift.direction,
                    format_time(ts),
                    drift.before,
                    drift.after,
                    detectors[-1],
                )
            if drift.is_sure and drift.direction is Direction.DOWN and drift.stream != LOG_PRICE:
                self.on_loss(drift, ts)

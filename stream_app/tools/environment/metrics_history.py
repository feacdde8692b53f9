"""Metrics of the last seconds: recent counts and the current event rate."""

from collections import deque
from typing import Final

from stream_app.tools.environment.worker_metrics import ScrapedMetrics

WINDOW_SECONDS: Final = 5.0
"""Length of the window of recent metrics."""


class MetricsHistory:
    """Metrics within the last `WINDOW_SECONDS`.

    Examples
    --------
    >>> metrics_history = MetricsHistory()
    >>> for second in range(9):
    ...     metrics_history.add(float(second), ScrapedMetrics(accepted=100.0 * second))
    >>> metrics_history.rate
    100.0
    """

    def __init__(self) -> None:
        self._entries: deque[tuple[float, ScrapedMetrics]] = deque()

    def add(self, now: float, worker_metrics: ScrapedMetrics) -> None:
        """Add the metrics at a time and drop entries before the window."""
        self._entries.append((now, worker_metrics))
        while len(self._entries) > 2 and self._entries[1][0] <= now - WINDOW_SECONDS:
            self._entries.popleft()

    @property
    def recent_metrics(self) -> ScrapedMetrics:
        """Counts within the window; gauges as of now."""
        return self._entries[-1][1].delta_since(self._entries[0][1]) if self._entries else ScrapedMetrics()

    @property
    def rate(self) -> float:
        """Events with an outcome per second within the window."""
        if len(self._entries) < 2:
            return 0.0
        return self.recent_metrics.n_finished / (self._entries[-1][0] - self._entries[0][0])

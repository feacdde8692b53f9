"""The state that the screen and the status line show."""

from collections.abc import Mapping

import msgspec

from stream_app.tools.environment.list_quality import ListQuality
from stream_app.tools.environment.neural_stats import NeuralStats
from stream_app.tools.environment.policy_stats import PolicyStats
from stream_app.tools.environment.worker_metrics import ScrapedMetrics


class ScreenState(msgspec.Struct, frozen=True, kw_only=True):
    """Metrics and progress of a run at one time.

    Attributes
    ----------
    title
        Name of the event source.
    seconds
        Time since the first event.
    rows, rows_total
        Rows read, and rows of the source; None for an endless source.
    ignored
        Rows of types that Headrace does not use.
    users
        Distinct users so far.
    worker_metrics, recent_metrics
        Metrics since the first event, and within the last seconds.
    rate
        Events with an outcome per second, within the last seconds.
    policies
        Results by policy; empty before the first update.
    neural
        The two-tower model; None without a trainer.
    trainer_failure
        How the trainer ended; empty while it runs.
    """

    title: str
    phase: str
    seconds: float
    rows: int
    rows_total: int | None
    ignored: int
    users: int
    sent: int
    worker_metrics: ScrapedMetrics
    recent_metrics: ScrapedMetrics
    rate: float
    quality: ListQuality = ListQuality()
    policies: Mapping[str, PolicyStats] = {}
    neural: NeuralStats | None = None
    trainer_failure: str = ""

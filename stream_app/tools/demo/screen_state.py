"""The figures of a moment, as the screen and the line show them."""

from collections.abc import Mapping

import msgspec

from stream_app.tools.environment.list_quality import ListQuality
from stream_app.tools.environment.policy_stats import PolicyStats
from stream_app.tools.environment.worker_metrics import WorkerMetrics


class ScreenState(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the screen shows of a moment, but for the shoppers picked out.

    Attributes
    ----------
    title
        What is fed.
    phase
        What is being done.
    seconds
        Since the first event.
    rows, rows_total
        Rows taken; of how many, None if there is no end.
    ignored
        Rows of no use.
    users
        Distinct shoppers so far.
    sent
        Events sent.
    worker_metrics, recent_metrics
        Since the first event, and within the last seconds.
    rate
        Events with an outcome a second, within the last seconds.
    quality
        Diversity of the lists and exposure of the items.
    policies
        How those that order lists do, by name; empty where one alone does.
    """

    title: str
    phase: str
    seconds: float
    rows: int
    rows_total: int | None
    ignored: int
    users: int
    sent: int
    worker_metrics: WorkerMetrics
    recent_metrics: WorkerMetrics
    rate: float
    quality: ListQuality = ListQuality()
    policies: Mapping[str, PolicyStats] = {}

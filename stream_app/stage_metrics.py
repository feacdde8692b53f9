"""How long the stages of processing take, a group of `stream_app.metrics.Metrics`."""

from enum import StrEnum
from typing import Final

from prometheus_client import CollectorRegistry

from stream_app.metric_group import MetricGroup


class WorkStage(StrEnum):
    """A stage of the way from an event to a list; also the `stage` label of the metric."""

    FETCH = "fetch"
    """The thread that reads from Kafka: its CPU time."""
    DECODE = "decode"
    """Decoding and checking an event."""
    FOLD = "fold"
    """Reading the user's row, and folding the event into it."""
    TABLE = "table"
    """Storing the row, and appending it to the changelog."""
    LEARN = "learn"
    """Folding interactions and rewards into the models, and appending them to their logs."""
    RANK = "rank"
    """Ranking lists of users, searches and items."""
    PUBLISH = "publish"
    """Encoding lists, appending them to their log, and measuring them."""


class StageTimes(dict[WorkStage, float]):
    """Seconds of each stage since the start.

    Plain numbers: to increment a counter takes a lock, and each event passes several stages.

    Examples
    --------
    >>> times = StageTimes()
    >>> times[WorkStage.RANK] += 0.25
    >>> times[WorkStage.RANK], times[WorkStage.FOLD]
    (0.25, 0.0)
    """

    def __init__(self) -> None:
        super().__init__(dict.fromkeys(WorkStage, 0.0))


class StageMetrics(MetricGroup):
    """Time by stage.

    The stages run in one thread and do not wait, except for `WorkStage.FETCH`, which has a thread of its own: the
    times are CPU times as long as the worker has a core. What is left of the CPU time of the process is that of
    Faust, asyncio, and the clients of Kafka and Redis.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self.stage_times: Final = StageTimes()
        self._seconds = self._counter(
            "headrace_stage_seconds_total",
            "Seconds that a worker spent in a stage (fetch, decode, fold, table, learn, rank, publish).",
            "stage",
        )
        self._counters = {stage: self._seconds.labels(str(stage)) for stage in WorkStage}
        self._reported = StageTimes()

    def report_stage_times(self) -> None:
        """Add the times since the last report to the counters."""
        for stage, seconds in self.stage_times.items():
            reported = self._reported[stage]
            # The thread that reads from Kafka may have started anew: its CPU time begins at 0.
            self._counters[stage].inc(seconds - reported if seconds >= reported else seconds)
            self._reported[stage] = seconds

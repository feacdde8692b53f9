"""The gauges of a worker, and the guardrail of its policies: what is done once per second."""

import asyncio
from collections.abc import Callable
from typing import Final

from state.user_table import FaustUserRows
from stream_app.metrics import Metrics
from stream_app.models.model_set import ModelSet
from stream_app.ranking.fusion.learned import LearnedFusion
from stream_app.source_metrics import SourceMetrics
from stream_app.worker.bootstrap import Components
from stream_app.worker.memory import memory_by_part

_INTERVAL: Final = 1.0

_MEMORY_REPORTS: Final = 5
"""Reports until memory is measured again: to look at all tables takes milliseconds."""


def report_sources(models: ModelSet, metrics: SourceMetrics) -> None:
    """Set the gauges of the candidate sources."""
    fusion = models.learner(LearnedFusion)
    if fusion is None or not fusion.switch.enabled:
        return
    for name, gain in fusion.switch.gains().items():
        metrics.source_active.labels(name).set(gain.active)
        metrics.source_gain.labels(name).set(gain.mean)
        metrics.source_measures.labels(name).set(gain.measures)


async def report_regularly(
    components: Components, rows: FaustUserRows, metrics: Metrics, copy_consumer_metrics: Callable[[], None]
) -> None:
    """Apply the guardrail and set the gauges for ever.

    Parameters
    ----------
    copy_consumer_metrics
        Sets the metrics that Faust's monitor has collected.
    """
    models, reports = components.models, 0
    while True:
        if reports % _MEMORY_REPORTS == 0:
            for part, size in memory_by_part(components, rows).items():
                metrics.memory_bytes.labels(part).set(size)
        reports += 1
        metrics.model_items.set(len(models.index))
        metrics.model_users.set(len(models.tracker))
        metrics.purchase_outliers.set(models.outliers.flagged)
        metrics.pending.items.set(components.queue.shared_lists.n_items)
        components.flush_loop.report_pending()
        metrics.table_users.set(rows.count)
        copy_consumer_metrics()
        components.prequential.report_catalog_coverage(len(models.index))
        components.prequential.report_retained_lists()
        components.policies.apply_guardrail()
        components.policies.report()
        components.decay.report()
        report_sources(components.models, metrics)
        metrics.report_stage_times()
        if components.checkpoints is not None:
            components.checkpoints.report()
        await asyncio.sleep(_INTERVAL)

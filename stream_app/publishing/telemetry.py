"""The metrics of the flush loop: freshness, counts, exposure, diversity."""

from collections import Counter
from collections.abc import Sequence, Sized
from math import inf
from time import perf_counter
from typing import Final

from state.published_list import PublishedList
from stream_app.metrics import Metrics
from stream_app.models.model_set import ModelSet
from stream_app.publishing.clocks import Clocks
from stream_app.publishing.degraded_ranking import DegradedRanking
from stream_app.publishing.flush_batch import FlushBatch
from stream_app.publishing.pending_queue import PendingQueue
from stream_app.publishing.prequential import PrequentialEvaluator
from stream_app.ranking.exposure import Exposure
from stream_app.ranking.intra_list_diversity import IntraListDiversity
from stream_app.stage_metrics import WorkStage

_EXPOSURE_INTERVAL: Final = 5.0
"""Seconds between two reports of exposure, each of which sorts all items."""

_DIVERSITY_SAMPLE: Final = 4
"""One list in four is enough for the mean diversity."""

_LIST_KINDS: Final = ("user", "search", "item", "query", "segment")


class FlushTelemetry:
    """Updates the metrics of the flush loop."""

    def __init__(
        self,
        metrics: Metrics,
        evaluator: PrequentialEvaluator,
        models: ModelSet,
        clocks: Clocks,
    ) -> None:
        self._metrics = metrics
        self._evaluator = evaluator
        self._models = models
        self._clocks = clocks
        self._exposure = Exposure(models)
        self._diversity = IntraListDiversity(models)
        self._next_exposure = -inf
        self._evicted_reported = 0
        self._published_counters = [metrics.lists_published.labels(kind) for kind in _LIST_KINDS]

    def report_pending(self, queue: PendingQueue, degraded_ranking: DegradedRanking) -> None:
        """Set the gauges of pending work, and count the evictions since the last report."""
        pending = self._metrics.pending
        pending.users.set(queue.n_users)
        pending.erasures.set(queue.n_erasures)
        self._metrics.degraded.users.set(len(degraded_ranking))
        evicted = queue.evicted + degraded_ranking.evicted
        pending.evicted.inc(evicted - self._evicted_reported)
        self._evicted_reported = evicted

    def on_degraded_list(self) -> None:
        """Count a degraded list."""
        self._metrics.degraded.lists.inc()

    def on_failed(self) -> None:
        """Count a flush that Redis did not acknowledge."""
        self._metrics.flush_failures.inc()

    def on_acknowledged(self, batch: FlushBatch, lists: Sequence[PublishedList], seconds: float) -> None:
        """Measure an acknowledged flush.

        Parameters
        ----------
        lists
            The users' lists whose items are measured.
        seconds
            Duration of the pipeline.
        """
        started = perf_counter()
        self._observe_flush(batch, seconds)
        newest = self._models.newest
        # All lists of a flush at once: the measures count items, not lists.
        item_ids = [item for published in lists for item in published.items]
        self._evaluator.on_published(item_ids)
        self._exposure.add(item_ids, newest)
        for published in lists[::_DIVERSITY_SAMPLE]:
            self._diversity.add(published.items, newest)
        for policy, count in Counter([published.policy for published in lists]).items():
            self._metrics.policy_lists.labels(policy).inc(count)
        if lists and self._clocks.timer() >= self._next_exposure:
            self._next_exposure = self._clocks.timer() + _EXPOSURE_INTERVAL
            self._report_exposure(newest)
        self._metrics.stage_times[WorkStage.PUBLISH] += perf_counter() - started

    def _observe_flush(self, batch: FlushBatch, seconds: float) -> None:
        metrics = self._metrics
        now = self._clocks.wall()
        refreshed = batch.cycle.refreshed
        published: tuple[Sized, ...] = (
            batch.lists,
            batch.search_lists,
            refreshed.items,
            refreshed.queries,
            refreshed.segments,
        )
        n_documents = sum(map(len, published))
        if n_documents:
            metrics.flush_seconds.observe(seconds)
            metrics.flush_lists.observe(n_documents)
        observe = metrics.freshness.observe
        for received in batch.users.values():
            for at in received:
                observe(max(0.0, now - at))
        for at in batch.searches.values():
            metrics.search_freshness.observe(max(0.0, now - at))
        for counter, lists in zip(self._published_counters, published, strict=True):
            counter.inc(len(lists))

    def _report_exposure(self, newest: float) -> None:
        report, metrics = self._exposure.report(newest), self._metrics
        metrics.exposure_gini.set(report.gini)
        metrics.exposure_new.set(report.new_share)
        metrics.exposure_long_tail.set(report.long_tail_share)
        diversity = self._diversity.report()
        metrics.diversity.dissimilarity.set(diversity.dissimilarity)
        metrics.diversity.categories.set(diversity.categories)

"""Counters and gauges of workers, parsed from their metrics and summed."""

import math
import operator
from collections.abc import Callable, Iterable
from functools import reduce
from typing import Any, Final

import msgspec
from prometheus_client.samples import Sample

from stream_app.tools.environment.histogram_quantiles import HistogramBuckets
from topics.catalog import SHOP_TOPICS

_OUTCOME_FIELDS: Final = {"accepted": "accepted", "duplicate": "duplicates", "dead_lettered": "dead_lettered"}
_LIST_KIND_FIELDS: Final = {"user": "user_lists", "search": "search_lists"}
_METRIC_FIELDS: Final = {
    "headrace_lists_published_total": "lists_published",
    "headrace_prequential_events_total": "prequential_events",
    "headrace_prequential_hits_total": "hits",
    "headrace_prequential_reciprocal_rank_total": "reciprocal_rank",
    "headrace_pending_users": "pending_users",
    "headrace_degraded_users": "pending_users",
    "headrace_replica_lag_messages": "replica_lag",
    "headrace_ready": "ready",
    "process_cpu_seconds_total": "cpu_seconds",
}
_TOPICS: Final = frozenset(spec.name for spec in SHOP_TOPICS)


class ScrapedMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """Metrics of one worker, or the sum over workers.

    Attributes
    ----------
    accepted, duplicates, dead_lettered
        Events by outcome, catalog events included.
    lists_published, user_lists, search_lists
        Lists acknowledged by Redis: all kinds, user lists, and search lists.
    prequential_events, hits, reciprocal_rank
        Item interactions of users with a list; those whose item was on it; the sum of their reciprocal ranks.
    pending_users
        Users whose list is pending, or was degraded and is to be re-ranked.
    replica_lag
        Interactions that replicas have not folded yet.
    ready
        Number of ready workers.
    cpu_seconds
        CPU time of the processes; 0 where the operating system does not tell it.
    freshness
        Seconds from an event's broker timestamp to its list in Redis.
    """

    accepted: float = 0.0
    duplicates: float = 0.0
    dead_lettered: float = 0.0
    lists_published: float = 0.0
    user_lists: float = 0.0
    search_lists: float = 0.0
    prequential_events: float = 0.0
    hits: float = 0.0
    reciprocal_rank: float = 0.0
    pending_users: float = 0.0
    replica_lag: float = 0.0
    ready: float = 0.0
    cpu_seconds: float = 0.0
    freshness: HistogramBuckets = HistogramBuckets()

    def __add__(self, other: "ScrapedMetrics") -> "ScrapedMetrics":
        return self._combine(other, operator.add)

    def delta_since(self, baseline: "ScrapedMetrics") -> "ScrapedMetrics":
        """Counters minus those of the baseline; gauges as of now."""
        delta = self._combine(baseline, operator.sub)
        return msgspec.structs.replace(
            delta, pending_users=self.pending_users, replica_lag=self.replica_lag, ready=self.ready
        )

    def _combine(self, other: "ScrapedMetrics", combine: Callable[..., object]) -> "ScrapedMetrics":
        names = ScrapedMetrics.__struct_fields__
        combined: dict[str, Any] = {
            name: combine(getattr(self, name), getattr(other, name)) for name in names
        }
        return ScrapedMetrics(**combined)

    @property
    def n_finished(self) -> int:
        """Events with an outcome."""
        return round(self.accepted + self.duplicates + self.dead_lettered)

    @property
    def hit_rate(self) -> float | None:
        """Share of prequential events whose item was on the user's list."""
        return self.hits / self.prequential_events if self.prequential_events else None

    @property
    def mrr(self) -> float | None:
        """Mean reciprocal rank of the item on the user's list; 0 for an item that is not on it."""
        return self.reciprocal_rank / self.prequential_events if self.prequential_events else None


def parse_worker_metrics(samples: Iterable[Sample]) -> ScrapedMetrics:
    """Parse the metrics from a worker's samples.

    Examples
    --------
    >>> from stream_app.tools.environment.metrics_endpoint import parse_samples
    >>> text = 'headrace_events_total{topic="events.click",outcome="accepted"} 3.0'
    >>> parse_worker_metrics(parse_samples(text)).accepted
    3.0
    """
    values: dict[str, Any] = {}
    buckets: dict[float, float] = {}
    for sample in samples:
        if sample.name == "headrace_lists_published_total" and sample.labels.get("kind") in _LIST_KIND_FIELDS:
            values[_LIST_KIND_FIELDS[sample.labels["kind"]]] = sample.value
        if sample.name in _METRIC_FIELDS:
            field = _METRIC_FIELDS[sample.name]
        elif sample.name == "headrace_events_total" and sample.labels.get("topic") in _TOPICS:
            field = _OUTCOME_FIELDS.get(sample.labels.get("outcome", ""), "")
        elif sample.name == "headrace_freshness_seconds_bucket":
            bound = float(sample.labels["le"])
            buckets[bound] = buckets.get(bound, 0.0) + sample.value
            continue
        else:
            continue
        if field and not math.isnan(sample.value):
            values[field] = values.get(field, 0.0) + sample.value
    bounds = tuple(sorted(buckets))
    return ScrapedMetrics(
        **values, freshness=HistogramBuckets(bounds, tuple(buckets[bound] for bound in bounds))
    )


def sum_worker_metrics(workers: Iterable[ScrapedMetrics]) -> ScrapedMetrics:
    """Sum over workers."""
    return reduce(operator.add, workers, ScrapedMetrics())

"""Worker metrics, parsed and summed."""

from stream_app.metrics import Metrics
from stream_app.tools.environment.worker_metrics import (
    ScrapedMetrics,
    parse_worker_metrics,
    sum_worker_metrics,
)
from tests.unit.tools.environment.exposition import exposition


def test_worker_metrics_are_parsed_by_name() -> None:
    metrics = Metrics()
    metrics.events.labels("events.click", "accepted").inc(7)
    metrics.events.labels("events.search", "accepted").inc(2)
    metrics.events.labels("catalog.items", "accepted").inc(1)
    metrics.events.labels("events.click", "duplicate").inc(3)
    metrics.events.labels("events.purchase", "dead_lettered").inc(4)
    metrics.events.labels("events.click", "replayed").inc(99)
    metrics.events.labels("events.click", "rekeyed").inc(99)
    metrics.lists_published.labels("user").inc(5)
    metrics.lists_published.labels("item").inc(6)
    metrics.lists_published.labels("search").inc(3)
    metrics.prequential_events.inc(10)
    metrics.prequential_hits.inc(4)
    metrics.prequential_reciprocal_rank.inc(2.5)
    metrics.pending.users.set(8)
    metrics.replica_lag_messages.set(9)
    metrics.ready.set(1)
    metrics.freshness.observe(0.02)

    worker_metrics = parse_worker_metrics(exposition(metrics))

    assert (worker_metrics.accepted, worker_metrics.duplicates, worker_metrics.dead_lettered) == (10, 3, 4)
    assert worker_metrics.n_finished == 17
    assert (worker_metrics.lists_published, worker_metrics.user_lists, worker_metrics.search_lists) == (
        14,
        5,
        3,
    )
    assert (worker_metrics.hit_rate, worker_metrics.mrr) == (0.4, 0.25)
    assert (worker_metrics.pending_users, worker_metrics.replica_lag, worker_metrics.ready) == (8, 9, 1)
    assert worker_metrics.freshness.total == 1


def test_metrics_of_workers_are_summed_and_a_new_worker_adds_nothing() -> None:
    metrics = Metrics()
    metrics.events.labels("events.click", "accepted").inc(7)
    metrics.freshness.observe(0.02)
    one = parse_worker_metrics(exposition(metrics))

    both = sum_worker_metrics([one, one, parse_worker_metrics(exposition(Metrics()))])

    assert both.accepted == 14
    assert both.freshness.total == 2
    assert sum_worker_metrics([]).hit_rate is None


def test_a_delta_subtracts_counters_and_keeps_gauges() -> None:
    delta_since = ScrapedMetrics(accepted=10.0, pending_users=3.0).delta_since(
        ScrapedMetrics(accepted=4.0, pending_users=5.0)
    )

    assert (delta_since.accepted, delta_since.pending_users) == (6.0, 3.0)

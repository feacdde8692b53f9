"""Figures out of metrics, quantiles out of buckets, and when a run is over."""

import math
from typing import Any

import pytest
from prometheus_client.samples import Sample

from stream_app.metrics import Metrics
from stream_app.tools.demo.stop_condition import CUT_SHORT_TIMEOUT, STALL_TIMEOUT, StopCondition
from stream_app.tools.environment.histogram_quantiles import HistogramBuckets
from stream_app.tools.environment.worker_metrics import (
    MetricsHistory,
    WorkerMetrics,
    parse_policy_stats,
    parse_samples,
    parse_worker_metrics,
    sum_worker_metrics,
)


def exposition(metrics: Metrics) -> list[Sample]:
    from prometheus_client import generate_latest

    return parse_samples(generate_latest(metrics.registry).decode())


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


def test_policy_stats_are_parsed_by_name() -> None:
    metrics = Metrics()
    metrics.policies.share.labels("fixed").set(0.25)
    metrics.policies.paused.labels("fixed").set(1)
    metrics.policies.users.labels("fixed").set(40)
    for bound, value in (("mean", 0.5), ("low", 0.4), ("high", 0.6)):
        metrics.policies.metric.labels("fixed", "clicks", bound).set(value)
        metrics.policies.metric.labels("fixed", "purchases", bound).set(value / 10)
    metrics.policies.share.labels("thompson").set(0.75)

    policy_stats = parse_policy_stats(exposition(metrics))

    assert list(policy_stats) == ["fixed", "thompson"]
    assert policy_stats["fixed"].paused
    assert (policy_stats["fixed"].share, policy_stats["fixed"].users, policy_stats["fixed"].clicks) == (
        0.25,
        40.0,
        (0.5, 0.4, 0.6),
    )
    assert policy_stats["fixed"].purchases == (0.05, 0.04, 0.06)
    assert not policy_stats["thompson"].paused
    assert math.isnan(policy_stats["thompson"].clicks[0])


def test_policies_without_a_share_or_users_are_left_out() -> None:
    metrics = Metrics()
    for name, share, users in (("fixed", 1.0, 0), ("thompson", 0.0, 30), ("linucb", 0.0, 0)):
        metrics.policies.share.labels(name).set(share)
        metrics.policies.users.labels(name).set(users)
    # no policy: how lists are called that the fused order alone made
    for name in ("learned", "search_rrf", "degraded"):
        metrics.policies.users.labels(name).set(25)
        metrics.policies.metric.labels(name, "clicks", "mean").set(0.5)

    assert list(parse_policy_stats(exposition(metrics))) == ["fixed", "thompson"]


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
    delta_since = WorkerMetrics(accepted=10.0, pending_users=3.0).delta_since(
        WorkerMetrics(accepted=4.0, pending_users=5.0)
    )

    assert (delta_since.accepted, delta_since.pending_users) == (6.0, 3.0)


def test_recent_metrics_cover_the_window_only() -> None:
    metrics_history = MetricsHistory()
    for step in range(101):
        seconds = step * 0.25
        metrics_history.add(seconds, WorkerMetrics(accepted=100.0 * min(seconds, 20.0)))

    assert metrics_history.rate == pytest.approx(0.0), "nothing happened for the last five seconds"
    metrics_history.add(25.25, WorkerMetrics(accepted=2_500.0))
    assert metrics_history.recent_metrics.accepted == 500.0


# 10 observations up to 10 ms, 80 between 10 and 20, 9 between 20 and 50, 1 above 50.
LATENCY_BUCKETS = HistogramBuckets((0.01, 0.02, 0.05, math.inf), (10.0, 90.0, 99.0, 100.0))


@pytest.mark.parametrize(
    ("q", "seconds"),
    [
        (0.05, 0.005),  # the 5th of 10 within 0 to 10 ms
        (0.1, 0.01),
        (0.5, 0.015),  # the 40th of 80 within 10 to 20 ms
        (0.9, 0.02),
        (0.93, 0.03),  # the 3rd of 9 within 20 to 50 ms
        (0.99, 0.05),
        (0.999, 0.05),  # above the last finite bound
    ],
)
def test_quantiles_are_interpolated_within_their_bucket(q: float, seconds: float) -> None:
    assert LATENCY_BUCKETS.quantile(q) == pytest.approx(seconds)


def test_an_empty_histogram_has_no_quantile() -> None:
    assert HistogramBuckets().quantile(0.5) is None
    assert (LATENCY_BUCKETS - LATENCY_BUCKETS).quantile(0.5) is None


def test_histograms_with_different_bounds_cannot_be_added() -> None:
    with pytest.raises(ValueError, match="different bounds"):
        LATENCY_BUCKETS + HistogramBuckets((1.0,), (1.0,))


def first_met_poll(stop_condition: StopCondition, *, start: float, stop: float, **state: Any) -> float | None:
    """The first look of a run of equal ones that ends it."""
    at = start
    while at <= stop:
        if stop_condition.is_met(at, **state):
            return at
        at += 1.0
    return None


def test_a_run_continues_while_feeding_even_if_nothing_changes() -> None:
    idle_state: dict[str, Any] = {
        "worker_metrics": WorkerMetrics(),
        "sent": 0,
        "feeding_done": False,
        "interrupts": 0,
    }

    assert first_met_poll(StopCondition(0.0, None), start=0, stop=10 * STALL_TIMEOUT, **idle_state) is None


def test_a_run_waits_until_events_lists_and_models_have_caught_up() -> None:
    stop_condition = StopCondition(0.0, None)
    for pending in (
        WorkerMetrics(accepted=9.0),
        WorkerMetrics(accepted=10.0, pending_users=1.0),
        WorkerMetrics(accepted=10.0, replica_lag=1.0),
    ):
        assert (
            first_met_poll(
                stop_condition,
                start=0,
                stop=30,
                worker_metrics=pending,
                sent=10,
                feeding_done=True,
                interrupts=0,
            )
            is None
        )
    all_finished = WorkerMetrics(accepted=5.0, duplicates=3.0, dead_lettered=2.0)
    assert (
        first_met_poll(
            stop_condition,
            start=31,
            stop=60,
            worker_metrics=all_finished,
            sent=10,
            feeding_done=True,
            interrupts=0,
        )
        == 33
    )
    assert stop_condition.last_progress == 31


def test_a_stalled_run_stops_after_the_stall_timeout() -> None:
    stuck: dict[str, Any] = {
        "worker_metrics": WorkerMetrics(accepted=9.0),
        "sent": 10,
        "feeding_done": True,
        "interrupts": 0,
    }

    assert first_met_poll(StopCondition(0.0, None), start=0, stop=500, **stuck) == STALL_TIMEOUT + 1


def test_a_run_cut_short_waits_for_in_flight_events_up_to_a_timeout() -> None:
    stop_condition = StopCondition(0.0, 5.0)
    state: dict[str, Any] = {"worker_metrics": WorkerMetrics(accepted=9.0), "sent": 10, "interrupts": 0}

    assert first_met_poll(stop_condition, start=0, stop=4, feeding_done=False, **state) is None
    assert not stop_condition.cut_short
    assert (
        first_met_poll(stop_condition, start=5, stop=500, feeding_done=True, **state)
        == 5 + CUT_SHORT_TIMEOUT + 1
    )
    assert stop_condition.cut_short


def test_a_second_interrupt_stops_the_run_at_once() -> None:
    stop_condition = StopCondition(0.0, None)
    state: dict[str, Any] = {"worker_metrics": WorkerMetrics(accepted=9.0), "sent": 10}

    assert not stop_condition.is_met(1.0, feeding_done=False, interrupts=1, **state)
    assert stop_condition.cut_short
    assert stop_condition.is_met(1.25, feeding_done=False, interrupts=2, **state)

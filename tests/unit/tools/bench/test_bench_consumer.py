"""The benchmark counts an event once its list is acknowledged."""

from stream_app.metrics import FRESHNESS_BUCKETS, Metrics
from stream_app.tools.bench.consumer_process import acknowledged_events


def test_event_counts_once_redis_has_acknowledged_its_list() -> None:
    metrics = Metrics()
    metrics.events.labels("events.click", "accepted").inc(9)
    metrics.lists_published.labels("user").inc(9)
    assert acknowledged_events(metrics) == 0
    for seconds in (0.0, *FRESHNESS_BUCKETS, 60.0):
        metrics.freshness.observe(seconds)
    assert acknowledged_events(metrics) == len(FRESHNESS_BUCKETS) + 2
    assert acknowledged_events(metrics) == metrics.registry.get_sample_value(
        "headrace_freshness_seconds_count"
    )

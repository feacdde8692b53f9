"""When the benchmark takes an event for done."""

from stream_app.metrics import FRESHNESS_BUCKETS, Metrics
from stream_app.tools.bench.consumer_process import acknowledged


def test_an_event_is_done_when_redis_has_acknowledged_its_list_and_not_when_it_was_taken() -> None:
    metrics = Metrics()
    metrics.events.labels("events.click", "accepted").inc(9)
    metrics.lists_published.labels("user").inc(9)
    assert acknowledged(metrics) == 0
    for seconds in (0.0, *FRESHNESS_BUCKETS, 60.0):
        metrics.freshness.observe(seconds)
    assert acknowledged(metrics) == len(FRESHNESS_BUCKETS) + 2
    assert acknowledged(metrics) == metrics.registry.get_sample_value("headrace_freshness_seconds_count")

"""The metrics of a worker."""

import re
from itertools import pairwise

import pytest
from prometheus_client import generate_latest

from stream_app.metrics import FRESHNESS_BUCKETS, Metrics


def test_two_workers_in_one_process_do_not_collide() -> None:
    one, other = Metrics(), Metrics()
    one.events.labels("events.click", "accepted").inc()
    one.freshness.observe(0.1)
    labels = {"topic": "events.click", "outcome": "accepted"}
    assert one.registry.get_sample_value("headrace_events_total", labels) == 1
    assert other.registry.get_sample_value("headrace_events_total", labels) is None
    assert other.registry.get_sample_value("headrace_freshness_seconds_count") == 0


def test_a_given_registry_is_used() -> None:
    mine = Metrics()
    with pytest.raises(ValueError, match="Duplicated"):
        Metrics(mine.registry)


def test_freshness_buckets_cover_5_ms_to_10_s() -> None:
    assert FRESHNESS_BUCKETS[0] == 0.005
    assert FRESHNESS_BUCKETS[-1] == 10.0
    assert list(FRESHNESS_BUCKETS) == sorted(FRESHNESS_BUCKETS)
    # The precision of a quantile is the width of its bucket.
    steps = [upper / lower for lower, upper in pairwise(FRESHNESS_BUCKETS)]
    assert max(steps) <= 2.0
    assert {0.05, 0.1, 0.15} <= set(FRESHNESS_BUCKETS)


def test_every_metric_has_our_prefix_and_a_description() -> None:
    families = list(Metrics().registry.collect())
    assert len(families) > 20
    for family in families:
        assert re.fullmatch(r"headrace_[a-z_]+", family.name)
        assert re.match(r"[A-Z0-9].*\.$", family.documentation)


def test_metrics_are_exported_in_prometheus_text_format() -> None:
    metrics = Metrics()
    metrics.dead_letters.labels("unreadable").inc(3)
    assert b'headrace_dead_letters_total{reason="unreadable"} 3.0' in generate_latest(metrics.registry)

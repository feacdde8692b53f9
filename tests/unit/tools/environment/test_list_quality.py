"""What is said of the lists beyond their hit rate."""

import pytest
from prometheus_client import generate_latest

from stream_app.metrics import Metrics
from stream_app.tools.environment.list_quality import ListQuality, mean_quality, parse_quality
from stream_app.tools.environment.worker_metrics import samples_of


def told(metrics: Metrics) -> tuple[float, ListQuality]:
    return parse_quality(samples_of(generate_latest(metrics.registry).decode()))


def published(lists: int) -> Metrics:
    metrics = Metrics()
    metrics.lists_published.labels("user").inc(lists)
    metrics.lists_published.labels("item").inc(100)
    return metrics


def test_the_workers_gauges_are_read_by_their_names() -> None:
    metrics = published(7)
    metrics.diversity.unlikeness.set(0.5)
    metrics.diversity.categories.set(4.5)
    metrics.catalogue_coverage.set(0.75)
    metrics.exposure_gini.set(0.25)
    metrics.exposure_long_tail.set(0.125)
    metrics.exposure_new.set(0.0625)

    assert told(metrics) == (
        7.0,
        ListQuality(
            unlikeness=0.5,
            categories=4.5,
            coverage=0.75,
            gini=0.25,
            long_tail_share=0.125,
            new_items_share=0.0625,
        ),
    )


def test_a_worker_without_lists_tells_nothing_and_without_a_catalogue_no_diversity() -> None:
    assert told(Metrics()) == (0.0, ListQuality())
    _, quality = told(published(3))
    assert quality.gini == 0.0
    assert quality.unlikeness is None
    assert quality.categories is None


def test_workers_count_by_the_lists_they_published_and_only_for_what_they_know() -> None:
    one = (10.0, ListQuality(gini=0.2, unlikeness=0.5))
    other = (30.0, ListQuality(gini=0.6))
    together = mean_quality([one, other, (0.0, ListQuality())])

    assert together.gini == pytest.approx(0.5)
    assert together.unlikeness == 0.5
    assert together.coverage is None
    assert mean_quality([]) == ListQuality()

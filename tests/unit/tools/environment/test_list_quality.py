"""Parsing and aggregation of list quality."""

import pytest
from prometheus_client import generate_latest

from stream_app.metrics import Metrics
from stream_app.tools.environment.list_quality import ListQuality, mean_list_quality, parse_list_quality
from stream_app.tools.environment.metrics_endpoint import parse_samples


def parsed_quality(metrics: Metrics) -> tuple[float, ListQuality]:
    return parse_list_quality(parse_samples(generate_latest(metrics.registry).decode()))


def metrics_with_lists(lists: int) -> Metrics:
    metrics = Metrics()
    metrics.lists_published.labels("user").inc(lists)
    metrics.lists_published.labels("item").inc(100)
    return metrics


def test_worker_gauges_are_parsed_by_name() -> None:
    metrics = metrics_with_lists(7)
    metrics.diversity.dissimilarity.set(0.5)
    metrics.diversity.categories.set(4.5)
    metrics.catalog_coverage.set(0.75)
    metrics.exposure_gini.set(0.25)
    metrics.exposure_long_tail.set(0.125)
    metrics.exposure_new.set(0.0625)

    assert parsed_quality(metrics) == (
        7.0,
        ListQuality(
            dissimilarity=0.5,
            categories=4.5,
            coverage=0.75,
            gini=0.25,
            long_tail_share=0.125,
            new_items_share=0.0625,
        ),
    )


def test_a_worker_without_lists_reports_no_quality_and_without_a_catalog_no_diversity() -> None:
    assert parsed_quality(Metrics()) == (0.0, ListQuality())
    _, quality = parsed_quality(metrics_with_lists(3))
    assert quality.gini == 0.0
    assert quality.dissimilarity is None
    assert quality.categories is None


def test_workers_are_weighted_by_published_lists_and_only_where_a_value_is_known() -> None:
    one = (10.0, ListQuality(gini=0.2, dissimilarity=0.5))
    other = (30.0, ListQuality(gini=0.6))
    combined = mean_list_quality([one, other, (0.0, ListQuality())])

    assert combined.gini == pytest.approx(0.5)
    assert combined.dissimilarity == 0.5
    assert combined.coverage is None
    assert mean_list_quality([]) == ListQuality()

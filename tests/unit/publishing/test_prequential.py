"""Prequential evaluation of published lists."""

from collections.abc import Iterable

import pytest

from state.list_store import PublishedListStore
from state.published_list import PublishedList
from stream_app.metrics import Metrics
from stream_app.publishing.prequential import PrequentialEvaluator
from topics.records import Interaction, Kind, Line, Source


def sample(metrics: Metrics, name: str) -> float:
    return metrics.registry.get_sample_value(f"headrace_{name}") or 0.0


def evaluator_with_lists(metrics: Metrics, *lists: PublishedList) -> PrequentialEvaluator:
    """Create an evaluator with lists of user ann."""
    evaluator = PrequentialEvaluator(metrics, PublishedListStore())
    for each in lists:
        evaluator.list_store.add("ann", 0, each)
    return evaluator


def test_hits_count_by_rank_and_misses_count_too() -> None:
    metrics = Metrics()
    lists = evaluator_with_lists(metrics, PublishedList("l", "fixed", 10.0, ("a", "b", "c", "d")))
    assert [lists.evaluate_interaction("ann", item, 11.0) for item in ("a", "d", "e")] == [1, 4, 0]
    assert sample(metrics, "prequential_events_total") == 3
    assert sample(metrics, "prequential_hits_total") == 2
    assert sample(metrics, "prequential_reciprocal_rank_total") == 1.25


def test_users_without_a_list_are_not_measured() -> None:
    metrics = Metrics()
    lists = evaluator_with_lists(
        metrics, PublishedList("empty", "fixed", 10.0, ()), PublishedList("l", "fixed", 12.0, ("a",))
    )
    assert (
        lists.evaluate_interaction("nobody", "a", 20.0),
        lists.evaluate_interaction("ann", "a", 11.0),
    ) == (0, 0)
    assert sample(metrics, "prequential_events_total") == 0


def test_the_latest_list_before_the_interaction_is_evaluated() -> None:
    lists = evaluator_with_lists(
        Metrics(), PublishedList("l1", "fixed", 10.0, ("a",)), PublishedList("l2", "fixed", 20.0, ("b",))
    )
    assert (lists.evaluate_interaction("ann", "a", 30.0), lists.evaluate_interaction("ann", "b", 30.0)) == (
        0,
        1,
    )
    assert (lists.evaluate_interaction("ann", "a", 15.0), lists.evaluate_interaction("ann", "b", 15.0)) == (
        1,
        0,
    )


@pytest.mark.parametrize(("n_known_items", "coverage"), [(4, 0.75), (0, 0.0)])
def test_coverage_is_the_share_of_known_items_that_were_listed(n_known_items: int, coverage: float) -> None:
    metrics = Metrics()
    lists = evaluator_with_lists(metrics)
    lists.on_published(("a", "b"))
    lists.on_published(("b", "c"))
    lists.report_catalog_coverage(n_known_items)
    assert sample(metrics, "catalog_coverage_ratio") == coverage


def test_retained_lists_are_exported() -> None:
    metrics = Metrics()
    lists = evaluator_with_lists(
        metrics, PublishedList("l1", "fixed", 10.0, ("a",)), PublishedList("l2", "fixed", 20.0, ("b",))
    )
    lists.report_retained_lists()
    assert sample(metrics, "retained_lists") == 2


def test_coverage_is_whole_when_every_known_item_was_listed_and_starts_anew_when_fewer_are_known() -> None:
    metrics = Metrics()
    lists = evaluator_with_lists(metrics)
    lists.on_published(("a", "b"))
    lists.report_catalog_coverage(2)
    assert sample(metrics, "catalog_coverage_ratio") == 1.0
    # Items were evicted from the models: which of the listed ones is not known.
    lists.report_catalog_coverage(1)
    assert sample(metrics, "catalog_coverage_ratio") == 0.0
    lists.on_published(("b",))
    lists.report_catalog_coverage(1)
    assert sample(metrics, "catalog_coverage_ratio") == 1.0


class RecordedDrift:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.choices: list[tuple[bool, float]] = []
        self.prices: list[tuple[float, float]] = []

    def on_choice(self, hit: bool, ts: float) -> None:
        self.choices.append((hit, ts))

    def on_purchase(self, lines: Iterable[Line], ts: float) -> None:
        self.prices += [(line.price, ts) for line in lines]


@pytest.mark.parametrize("kind", [Kind.VIEW, Kind.PURCHASE])
def test_hits_misses_and_prices_of_purchases_are_watched(kind: Kind) -> None:
    drift = RecordedDrift()
    evaluator = PrequentialEvaluator(Metrics(), PublishedListStore(), drift)  # type: ignore[arg-type]
    evaluator.list_store.add("ann", 0, PublishedList("l", "fixed", 10.0, ("a", "b")))
    lines = (Line("a", 1.0, 5.0), Line("b", 1.0, 6.0), Line("c", 1.0, 7.0))
    evaluator.measure(Interaction(Source.CLICK, 0, 0, 1.0, "ann", kind, lines), 11.0)
    assert drift.choices == [(True, 11.0), (True, 11.0), (False, 11.0)]
    assert drift.prices == ([(5.0, 11.0), (6.0, 11.0), (7.0, 11.0)] if kind is Kind.PURCHASE else [])
    # A user without a list tells nothing of the lists.
    evaluator.measure(Interaction(Source.CLICK, 0, 1, 1.0, "bob", kind, lines[:1]), 12.0)
    assert len(drift.choices) == 3

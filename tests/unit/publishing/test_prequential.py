"""The lists that shoppers have, and how good they were at telling what comes next."""

import pytest

from state.list_store import ListMemory
from state.published_list import PublishedList
from stream_app.metrics import Metrics
from stream_app.publishing.prequential import PublishedLists


def sample(metrics: Metrics, name: str) -> float:
    return metrics.registry.get_sample_value(f"headrace_{name}") or 0.0


def having(metrics: Metrics, *lists: PublishedList) -> PublishedLists:
    """Ann has these lists."""
    made = PublishedLists(metrics, ListMemory())
    for each in lists:
        made.memory.add("ann", 0, each)
    return made


def test_a_hit_counts_by_its_place_and_a_miss_counts_too() -> None:
    metrics = Metrics()
    lists = having(metrics, PublishedList("l", "fixed", 10.0, ("a", "b", "c", "d")))
    assert [lists.chose("ann", item, 11.0) for item in ("a", "d", "e")] == [1, 4, 0]
    assert sample(metrics, "prequential_events_total") == 3
    assert sample(metrics, "prequential_hits_total") == 2
    assert sample(metrics, "prequential_reciprocal_rank_total") == 1.25


def test_shoppers_without_a_list_are_not_part_of_the_measure() -> None:
    metrics = Metrics()
    lists = having(
        metrics, PublishedList("empty", "fixed", 10.0, ()), PublishedList("l", "fixed", 12.0, ("a",))
    )
    assert (lists.chose("nobody", "a", 20.0), lists.chose("ann", "a", 11.0)) == (0, 0)
    assert sample(metrics, "prequential_events_total") == 0


def test_the_list_published_last_before_the_choice_is_the_one_that_counts() -> None:
    lists = having(
        Metrics(), PublishedList("l1", "fixed", 10.0, ("a",)), PublishedList("l2", "fixed", 20.0, ("b",))
    )
    assert (lists.chose("ann", "a", 30.0), lists.chose("ann", "b", 30.0)) == (0, 1)
    assert (lists.chose("ann", "a", 15.0), lists.chose("ann", "b", 15.0)) == (1, 0)


@pytest.mark.parametrize(("known", "coverage"), [(4, 0.75), (0, 0.0)])
def test_coverage_is_the_share_of_known_items_that_were_listed(known: int, coverage: float) -> None:
    metrics = Metrics()
    lists = having(metrics)
    lists.published(("a", "b"))
    lists.published(("b", "c"))
    lists.report_coverage(known)
    assert sample(metrics, "catalogue_coverage_ratio") == coverage


def test_what_is_remembered_can_be_watched() -> None:
    metrics = Metrics()
    lists = having(
        metrics, PublishedList("l1", "fixed", 10.0, ("a",)), PublishedList("l2", "fixed", 20.0, ("b",))
    )
    lists.report_memory()
    assert sample(metrics, "remembered_lists") == 2
    assert 300 < sample(metrics, "remembered_lists_bytes") < 2_000

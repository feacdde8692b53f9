"""The lists that shoppers have, and what they were worth."""

import pytest

from stream_app.agents.prequential import PublishedLists
from stream_app.metrics import Metrics


def sample(metrics: Metrics, name: str) -> float:
    return metrics.registry.get_sample_value(f"headrace_{name}") or 0.0


def test_a_hit_counts_by_its_place_and_a_miss_counts_too() -> None:
    metrics = Metrics()
    lists = PublishedLists(metrics)
    lists.published("ann", ("a", "b", "c", "d"))
    assert [lists.chose("ann", item) for item in ("a", "d", "e")] == [1, 4, 0]
    assert sample(metrics, "prequential_events_total") == 3
    assert sample(metrics, "prequential_hits_total") == 2
    assert sample(metrics, "prequential_reciprocal_rank_total") == 1.25


def test_shoppers_without_a_list_are_not_part_of_the_measure() -> None:
    metrics = Metrics()
    lists = PublishedLists(metrics)
    lists.published("empty", ())
    assert (lists.chose("nobody", "a"), lists.chose("empty", "a")) == (0, 0)
    assert sample(metrics, "prequential_events_total") == 0


def test_the_newest_list_is_the_one_that_counts() -> None:
    lists = PublishedLists(Metrics())
    lists.published("ann", ("a",))
    lists.published("ann", ("b",))
    assert (lists.chose("ann", "a"), lists.chose("ann", "b")) == (0, 1)


def test_beyond_the_limit_the_one_published_longest_ago_is_forgotten() -> None:
    lists = PublishedLists(Metrics(), limit=2)
    for user in ("ann", "bob", "ann", "cem"):
        lists.published(user, ("a",))
    assert [lists.chose(user, "a") for user in ("ann", "bob", "cem")] == [1, 0, 1]


def test_a_forgotten_shopper_has_no_list() -> None:
    lists = PublishedLists(Metrics())
    lists.published("ann", ("a",))
    lists.forget("ann")
    lists.forget("never seen")
    assert lists.chose("ann", "a") == 0


@pytest.mark.parametrize(("known", "coverage"), [(4, 0.75), (0, 0.0)])
def test_coverage_is_the_share_of_known_items_that_were_listed(known: int, coverage: float) -> None:
    metrics = Metrics()
    lists = PublishedLists(metrics)
    lists.published("ann", ("a", "b"))
    lists.published("bob", ("b", "c"))
    lists.report_coverage(known)
    assert sample(metrics, "catalogue_coverage_ratio") == coverage

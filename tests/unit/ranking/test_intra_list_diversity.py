"""Dissimilarity of the items within published lists."""

import math

import numpy as np
import pytest

from stream_app.models.model_set import ModelSet
from stream_app.ranking.diversity import Diversifier
from stream_app.ranking.exposure import HALF_LIFE
from stream_app.ranking.intra_list_diversity import TOP_K, IntraListDiversity
from stream_app.ranking.list_rules import ListRules

START = 1_700_000_000.0


def catalog(**items: tuple[tuple[str, ...], str | None, float | None]) -> ModelSet:
    """By name: categories (the narrowest last), brand, price."""
    models = ModelSet(["popularity"], max_items=200, max_users=10)
    for name, (categories, brand, price) in items.items():
        number = models.index.index(name, START)
        models.index.describe(number, START, categories=categories, brand=brand, price=price)
    return models


CATALOG = catalog(
    boot=(("feet", "boots"), "acme", 100.0),
    twin=(("feet", "boots"), "acme", 100.0),
    shoe=(("feet", "shoes"), "acme", 40.0),
    hat=(("head",), "knit", 10.0),
    plain=((), None, None),
)


@pytest.mark.parametrize(
    ("item_ids", "dissimilarity", "categories"),
    [
        (["boot", "twin"], 0.0, 1),
        # they share feet and acme of feet, boots, shoes, acme and two price bands
        (["boot", "shoe"], 1 - 2 / 6, 2),
        (["boot", "hat"], 1.0, 2),
        (["boot", "twin", "hat"], 2 / 3, 2),
        (["boot", "plain", "never seen", "hat"], 1.0, 2),
    ],
)
def test_dissimilarity_by_hand(item_ids: list[str], dissimilarity: float, categories: int) -> None:
    lists = IntraListDiversity(CATALOG)
    lists.add(item_ids, START)
    assert lists.report() == pytest.approx((dissimilarity, categories))


def test_lists_without_catalog_data_do_not_affect_the_report() -> None:
    lists = IntraListDiversity(CATALOG)
    for item_ids in ([], ["plain", "never seen"], ["boot", "plain"]):
        lists.add(item_ids, START)
        assert all(math.isnan(each) for each in lists.report())
    lists.add(["boot", "hat"], START)
    lists.add(["plain"], START)
    assert lists.report() == (1.0, 2.0)


def test_list_weight_halves_after_one_half_life() -> None:
    lists = IntraListDiversity(CATALOG)
    lists.add(["boot", "hat"], START)
    lists.add(["boot", "twin"], START + HALF_LIFE)
    assert lists.report() == pytest.approx((1 / 3, 4 / 3))


def test_long_streams_stay_finite_and_infinite_half_life_averages_all() -> None:
    decayed, undecayed = IntraListDiversity(CATALOG), IntraListDiversity(CATALOG, half_life=math.inf)
    for lists in (decayed, undecayed):
        for year in range(10):
            lists.add(["boot", "hat"], START + year * 3e7)
        lists.add(["boot", "twin"], START + 10 * 3e7)
    assert decayed.report().dissimilarity == pytest.approx(0.0)
    assert undecayed.report().dissimilarity == pytest.approx(10 / 11)


def test_only_the_top_k_items_are_measured() -> None:
    models = catalog(**{f"i{n}": (("feet",), "acme", 5.0) for n in range(TOP_K)}, hat=(("head",), "k", 1.0))
    lists = IntraListDiversity(models)
    lists.add([*(f"i{n}" for n in range(TOP_K)), "hat"], START)
    assert lists.report() == (0.0, 1.0)


def test_diversity_rule_increases_intra_list_diversity() -> None:
    models = catalog(
        **{f"b{n}": (("feet",), "acme", 100.0) for n in range(4)},
        **{f"h{n}": ((f"c{n}",), f"brand{n}", 10.0 * 4**n) for n in range(4)},
    )
    items = np.arange(8, dtype=np.int32)
    scores = np.linspace(1.0, 0.5, 8)
    reports = []
    for diversity in (0.0, 0.5):
        chosen = Diversifier(models, ListRules(diversity=diversity)).rerank(items, scores, 4, START)
        lists = IntraListDiversity(models)
        lists.add_items(items[chosen], START)
        reports.append(lists.report())
    assert reports[0] == (0.0, 1.0)
    assert reports[1].dissimilarity > 0.8
    assert reports[1].categories == 4.0


@pytest.mark.parametrize("years", [0.1, 1.0, 10.0])
def test_lists_of_years_ago_count_for_nothing(years: float) -> None:
    lists = IntraListDiversity(CATALOG)
    lists.add(["boot", "twin"], START)
    lists.add(["boot", "hat"], START + years * 365 * 86_400.0)
    assert lists.report() == pytest.approx((1.0, 2.0))
    lists.add(["boot", "twin"], START + years * 365 * 86_400.0)
    assert lists.report() == pytest.approx((0.5, 1.5))

"""How unlike one another the items of published lists are."""

import math

import numpy as np
import pytest

from stream_app.models.model_set import ModelSet
from stream_app.ranking.diversity import Diversifier
from stream_app.ranking.exposure import HALF_LIFE
from stream_app.ranking.intra_list_diversity import LOOKED_AT, IntraListDiversity
from stream_app.ranking.list_rules import ListRules

START = 1_700_000_000.0


def catalogue(**items: tuple[tuple[str, ...], str | None, float | None]) -> ModelSet:
    """By name: categories (the narrowest last), brand, price."""
    models = ModelSet(["popularity"], max_items=200, max_users=10)
    for name, (categories, brand, price) in items.items():
        number = models.index.index(name, START)
        models.index.describe(number, START, categories=categories, brand=brand, price=price)
    return models


GOODS = catalogue(
    boot=(("feet", "boots"), "acme", 100.0),
    twin=(("feet", "boots"), "acme", 100.0),
    shoe=(("feet", "shoes"), "acme", 40.0),
    hat=(("head",), "knit", 10.0),
    plain=((), None, None),
)


@pytest.mark.parametrize(
    ("listed", "unlikeness", "categories"),
    [
        (["boot", "twin"], 0.0, 1),
        # they share feet and acme of feet, boots, shoes, acme and two price bands
        (["boot", "shoe"], 1 - 2 / 6, 2),
        (["boot", "hat"], 1.0, 2),
        (["boot", "twin", "hat"], 2 / 3, 2),
        (["boot", "plain", "never seen", "hat"], 1.0, 2),
    ],
)
def test_unlikeness_by_hand(listed: list[str], unlikeness: float, categories: int) -> None:
    lists = IntraListDiversity(GOODS)
    lists.add(listed, START)
    assert lists.report() == pytest.approx((unlikeness, categories))


def test_lists_of_which_the_catalogue_tells_nothing_are_no_figure_and_change_none() -> None:
    lists = IntraListDiversity(GOODS)
    for listed in ([], ["plain", "never seen"], ["boot", "plain"]):
        lists.add(listed, START)
        assert all(math.isnan(each) for each in lists.report())
    lists.add(["boot", "hat"], START)
    lists.add(["plain"], START)
    assert lists.report() == (1.0, 2.0)


def test_a_list_counts_half_after_a_half_life() -> None:
    lists = IntraListDiversity(GOODS)
    lists.add(["boot", "hat"], START)
    lists.add(["boot", "twin"], START + HALF_LIFE)
    assert lists.report() == pytest.approx((1 / 3, 4 / 3))


def test_years_of_lists_stay_finite_and_without_decay_count_alike() -> None:
    fading, kept = IntraListDiversity(GOODS), IntraListDiversity(GOODS, half_life=math.inf)
    for lists in (fading, kept):
        for year in range(10):
            lists.add(["boot", "hat"], START + year * 3e7)
        lists.add(["boot", "twin"], START + 10 * 3e7)
    assert fading.report().unlikeness == pytest.approx(0.0)
    assert kept.report().unlikeness == pytest.approx(10 / 11)


def test_only_the_first_places_are_looked_at() -> None:
    models = catalogue(
        **{f"i{n}": (("feet",), "acme", 5.0) for n in range(LOOKED_AT)}, hat=(("head",), "k", 1.0)
    )
    lists = IntraListDiversity(models)
    lists.add([*(f"i{n}" for n in range(LOOKED_AT)), "hat"], START)
    assert lists.report() == (0.0, 1.0)


def test_the_rule_of_diversity_moves_it() -> None:
    models = catalogue(
        **{f"b{n}": (("feet",), "acme", 100.0) for n in range(4)},
        **{f"h{n}": ((f"c{n}",), f"brand{n}", 10.0 * 4**n) for n in range(4)},
    )
    items = np.arange(8, dtype=np.int32)
    scores = np.linspace(1.0, 0.5, 8)
    figures = []
    for diversity in (0.0, 0.5):
        chosen = Diversifier(models, ListRules(diversity=diversity)).arrange(items, scores, 4, START)
        lists = IntraListDiversity(models)
        lists.add_items(items[chosen], START)
        figures.append(lists.report())
    assert figures[0] == (0.0, 1.0)
    assert figures[1].unlikeness > 0.8
    assert figures[1].categories == 4.0

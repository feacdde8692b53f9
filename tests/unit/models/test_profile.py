"""Profiles of users."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from stream_app.models.base import NO_ITEM
from stream_app.models.item_index import ItemIndex
from stream_app.models.profile import (
    PRIOR_ITEMS,
    Affinities,
    PriceLevel,
    affinities,
    label_affinities,
    price_distance,
    price_level,
)

HALF_LIFE = 100.0
NOW = 1_000.0


@pytest.fixture
def index() -> ItemIndex:
    index = ItemIndex(100)
    for name, categories, brand, price in [
        ("boot", ("women", "shoes"), "acme", 100.0),
        ("heel", ("women", "shoes"), "", 400.0),
        ("hat", ("women", "hats"), "acme", 25.0),
        ("tie", ("men",), "knit", None),
        ("free", (), "", 0.0),
        ("twice", ("men", "men"), "", None),
    ]:
        index.describe(index.index(name, 0.0), 0.0, categories=categories, brand=brand, price=price)
    return index


def numbers(index: ItemIndex, *names: str) -> NDArray[np.int32]:
    return np.array([index.find(name) for name in names], np.int32)


def by_name(index: ItemIndex, user_affinities: Affinities) -> dict[str, float]:
    labels = [("category", name) for name in ("women", "shoes", "hats", "men")]
    labels += [("brand", "acme"), ("brand", "knit")]
    names = {index.code(kind, name): name for kind, name in labels}
    return {
        names[code]: weight
        for code, weight in zip(user_affinities.codes.tolist(), user_affinities.weights.tolist(), strict=True)
    }


def test_affinities_by_hand(index: ItemIndex) -> None:
    # a boot now (1), a hat a half-life ago (1/2), a tie two half-lives ago (1/4): 7/4 in all
    items = numbers(index, "tie", "hat", "boot")
    times = np.array([NOW - 200.0, NOW - 100.0, NOW])
    user_affinities = by_name(index, affinities(items, times, NOW, index, HALF_LIFE))
    assert user_affinities == pytest.approx(
        {"women": 6 / 7, "shoes": 4 / 7, "hats": 2 / 7, "men": 1 / 7, "acme": 6 / 7, "knit": 1 / 7}
    )


def test_relative_affinities_do_not_change_with_time_alone(index: ItemIndex) -> None:
    items, times = numbers(index, "hat", "boot"), np.array([NOW - 50.0, NOW])
    now = affinities(items, times, NOW, index, HALF_LIFE)
    later = affinities(items, times, NOW + 1_000.0, index, HALF_LIFE)
    assert later.weights == pytest.approx(now.weights)


def test_a_repeated_label_counts_once_and_unknown_items_are_ignored(index: ItemIndex) -> None:
    items, times = np.append(numbers(index, "twice"), np.int32(NO_ITEM)), np.array([NOW, NOW])
    assert by_name(index, affinities(items, times, NOW, index, HALF_LIFE)) == {"men": 1.0}
    nothing = affinities(np.array([NO_ITEM], np.int32), np.array([NOW]), NOW, index, HALF_LIFE)
    assert len(nothing.codes) == len(nothing.weights) == 0
    assert len(affinities(np.zeros(0, np.int32), np.zeros(0), NOW, index, HALF_LIFE).codes) == 0


def test_label_affinity_uses_the_narrowest_category_and_the_brand(index: ItemIndex) -> None:
    items, times = numbers(index, "hat", "boot"), np.array([NOW - 100.0, NOW])
    user_affinities = affinities(items, times, NOW, index, HALF_LIFE)
    candidates = np.append(numbers(index, "heel", "hat", "tie", "free"), np.int32(NO_ITEM))
    expected = np.array([[2 / 3, 0], [1 / 3, 1], [0, 0], [0, 0], [0, 0]], np.float32)
    assert label_affinities(candidates, user_affinities, index) == pytest.approx(expected)


def test_a_wider_category_does_not_replace_a_narrower_one(index: ItemIndex) -> None:
    user_affinities = affinities(numbers(index, "hat"), np.array([NOW]), NOW, index, HALF_LIFE)
    # both are women's, but no shoe was viewed
    assert label_affinities(numbers(index, "heel"), user_affinities, index)[0, 0] == 0.0


def test_price_level_by_hand(index: ItemIndex) -> None:
    # ln 400 now and ln 100 a half-life ago weigh 2 to 1: the mean is ln 100 + 2/3 ln 4, the variance 2/9 (ln 4)^2
    items, times = numbers(index, "boot", "tie", "free", "heel"), np.array([NOW - 100.0, NOW, NOW, NOW])
    level = price_level(items, times, NOW, index, HALF_LIFE)
    assert level.mean == pytest.approx(math.log(100) + 2 / 3 * math.log(4))
    assert level.deviation == pytest.approx(math.sqrt(2) / 3 * math.log(4))
    assert level.items == 2


def test_without_known_prices_there_is_no_level_and_no_distance(index: ItemIndex) -> None:
    level = price_level(numbers(index, "tie", "free"), np.array([NOW, NOW]), NOW, index, HALF_LIFE)
    assert (level.deviation, level.items) == (0.0, 0)
    assert math.isnan(level.mean)
    assert price_distance(numbers(index, "boot", "hat"), level, index, 1.0).tolist() == [0.0, 0.0]


def test_price_distances_use_a_deviation_shrunk_towards_the_catalog(index: ItemIndex) -> None:
    level = PriceLevel(math.log(100), 0.0, 1)
    candidates = np.append(numbers(index, "boot", "heel", "hat", "tie", "free"), np.int32(NO_ITEM))
    # one item without variance and three items of the shop's variance: 3/4 of it
    step = math.log(4) / math.sqrt(PRIOR_ITEMS / (1 + PRIOR_ITEMS) * 0.8**2)
    assert price_distance(candidates, level, index, 0.8).tolist() == pytest.approx([0, step, -step, 0, 0, 0])
    # with many items the user's own variance dominates
    sure = PriceLevel(math.log(100), 0.5, 10**6)
    assert price_distance(numbers(index, "heel"), sure, index, 0.8)[0] == pytest.approx(
        math.log(4) / 0.5, rel=1e-3
    )


def test_extreme_ages_give_finite_values(index: ItemIndex) -> None:
    items, times = numbers(index, "boot", "hat"), np.array([0.0, NOW])
    user_affinities = affinities(items, times, 1e12, index, 1.0)
    level = price_level(items, times, 1e12, index, 1.0)
    assert np.isfinite(user_affinities.weights).all()
    assert level.items == 0

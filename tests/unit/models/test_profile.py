"""What a shopper likes lately."""

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
    liked,
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


def by_name(index: ItemIndex, found: Affinities) -> dict[str, float]:
    labels = [("category", name) for name in ("women", "shoes", "hats", "men")]
    labels += [("brand", "acme"), ("brand", "knit")]
    names = {index.code(kind, name): name for kind, name in labels}
    return {
        names[code]: weight for code, weight in zip(found.codes.tolist(), found.weights.tolist(), strict=True)
    }


def test_affinities_by_hand(index: ItemIndex) -> None:
    # a boot now (1), a hat a half-life ago (1/2), a tie two half-lives ago (1/4): 7/4 in all
    items = numbers(index, "tie", "hat", "boot")
    times = np.array([NOW - 200.0, NOW - 100.0, NOW])
    found = by_name(index, affinities(items, times, NOW, index, HALF_LIFE))
    assert found == pytest.approx(
        {"women": 6 / 7, "shoes": 4 / 7, "hats": 2 / 7, "men": 1 / 7, "acme": 6 / 7, "knit": 1 / 7}
    )


def test_time_alone_does_not_change_what_is_liked_most(index: ItemIndex) -> None:
    items, times = numbers(index, "hat", "boot"), np.array([NOW - 50.0, NOW])
    now = affinities(items, times, NOW, index, HALF_LIFE)
    later = affinities(items, times, NOW + 1_000.0, index, HALF_LIFE)
    assert later.weights == pytest.approx(now.weights)


def test_a_label_named_twice_counts_once_and_what_is_unknown_for_nothing(index: ItemIndex) -> None:
    items, times = np.append(numbers(index, "twice"), np.int32(NO_ITEM)), np.array([NOW, NOW])
    assert by_name(index, affinities(items, times, NOW, index, HALF_LIFE)) == {"men": 1.0}
    nothing = affinities(np.array([NO_ITEM], np.int32), np.array([NOW]), NOW, index, HALF_LIFE)
    assert len(nothing.codes) == len(nothing.weights) == 0
    assert len(affinities(np.zeros(0, np.int32), np.zeros(0), NOW, index, HALF_LIFE).codes) == 0


def test_candidates_are_liked_by_their_narrowest_category_and_their_brand(index: ItemIndex) -> None:
    items, times = numbers(index, "hat", "boot"), np.array([NOW - 100.0, NOW])
    found = affinities(items, times, NOW, index, HALF_LIFE)
    candidates = np.append(numbers(index, "heel", "hat", "tie", "free"), np.int32(NO_ITEM))
    wanted = np.array([[2 / 3, 0], [1 / 3, 1], [0, 0], [0, 0], [0, 0]], np.float32)
    assert liked(candidates, found, index) == pytest.approx(wanted)


def test_a_wider_category_stands_in_for_no_narrower_one(index: ItemIndex) -> None:
    found = affinities(numbers(index, "hat"), np.array([NOW]), NOW, index, HALF_LIFE)
    # both are women's, but nobody looked at shoes
    assert liked(numbers(index, "heel"), found, index)[0, 0] == 0.0


def test_price_level_by_hand(index: ItemIndex) -> None:
    # ln 400 now and ln 100 a half-life ago weigh 2 to 1: the mean is ln 100 + 2/3 ln 4, the variance 2/9 (ln 4)^2
    items, times = numbers(index, "boot", "tie", "free", "heel"), np.array([NOW - 100.0, NOW, NOW, NOW])
    level = price_level(items, times, NOW, index, HALF_LIFE)
    assert level.mean == pytest.approx(math.log(100) + 2 / 3 * math.log(4))
    assert level.deviation == pytest.approx(math.sqrt(2) / 3 * math.log(4))
    assert level.items == 2


def test_no_known_price_is_no_level_and_no_distance(index: ItemIndex) -> None:
    level = price_level(numbers(index, "tie", "free"), np.array([NOW, NOW]), NOW, index, HALF_LIFE)
    assert (level.deviation, level.items) == (0.0, 0)
    assert math.isnan(level.mean)
    assert price_distance(numbers(index, "boot", "hat"), level, index, 1.0).tolist() == [0.0, 0.0]


def test_distances_are_in_deviations_drawn_towards_the_shops(index: ItemIndex) -> None:
    level = PriceLevel(math.log(100), 0.0, 1)
    candidates = np.append(numbers(index, "boot", "heel", "hat", "tie", "free"), np.int32(NO_ITEM))
    # one item of no spread and three items' worth of the shop's: 3/4 of its variance
    step = math.log(4) / math.sqrt(PRIOR_ITEMS / (1 + PRIOR_ITEMS) * 0.8**2)
    assert price_distance(candidates, level, index, 0.8).tolist() == pytest.approx([0, step, -step, 0, 0, 0])
    # with many items the shopper's own spread is what counts
    sure = PriceLevel(math.log(100), 0.5, 10**6)
    assert price_distance(numbers(index, "heel"), sure, index, 0.8)[0] == pytest.approx(
        math.log(4) / 0.5, rel=1e-3
    )


def test_ages_beyond_all_bounds_leave_finite_figures(index: ItemIndex) -> None:
    items, times = numbers(index, "boot", "hat"), np.array([0.0, NOW])
    found = affinities(items, times, 1e12, index, 1.0)
    level = price_level(items, times, 1e12, index, 1.0)
    assert np.isfinite(found.weights).all()
    assert level.items == 0

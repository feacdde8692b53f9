"""How far down a list shoppers look."""

import numpy as np
import pytest

from stream_app.tools.simulator.examination_model import click_chance, depth_of, look_down

ITEMS = [f"i{place}" for place in range(20)]


def test_the_item_in_place_k_is_looked_at_once_in_k_times() -> None:
    rng = np.random.default_rng(1)
    depths = np.array([depth_of(rng.random(), 20) for _ in range(40_000)])

    for place in (1, 2, 3, 5, 10, 20):
        assert (depths >= place).mean() == pytest.approx(1 / place, abs=0.01)
    assert depths.max() == 20


def test_looking_ends_with_the_first_item_wanted_and_everything_above_was_looked_at() -> None:
    glance = look_down(ITEMS, 0.97, {"i3", "i7"}.__contains__)

    assert glance.examined == ("i0", "i1", "i2", "i3")
    assert glance.clicked == 3


def test_an_item_below_what_is_looked_at_is_never_clicked() -> None:
    assert look_down(ITEMS, 0.7, {"i3"}.__contains__).clicked == -1
    assert look_down(ITEMS, 0.75, {"i3"}.__contains__).clicked == 3


def test_an_empty_list_is_looked_at_without_harm() -> None:
    assert look_down([], 0.9, lambda _: True) == ((), -1)
    assert click_chance(np.array([])) == 0.0


def test_the_chance_of_a_click_is_what_looking_comes_to() -> None:
    rng = np.random.default_rng(2)
    chances = np.array([0.1, 0.4, 0.05, 0.3])
    items = ["a", "b", "c", "d"]
    wanted = dict(zip(items, chances, strict=True))
    clicks = [
        look_down(items, rng.random(), lambda item: rng.random() < wanted[item]).clicked >= 0
        for _ in range(40_000)
    ]

    assert np.mean(clicks) == pytest.approx(click_chance(chances), abs=0.01)


def test_no_order_of_items_has_a_greater_chance_than_the_falling_one() -> None:
    rng = np.random.default_rng(3)
    chances = np.sort(rng.uniform(0, 0.6, 8))[::-1]
    best = click_chance(chances)

    assert all(click_chance(rng.permutation(chances)) <= best + 1e-12 for _ in range(500))

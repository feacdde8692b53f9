"""Examination depth and clicks on a list."""

import numpy as np
import pytest

from stream_app.tools.simulator.examination_model import click_probability, examination_depth, examine_list

ITEMS = [f"i{rank}" for rank in range(20)]


def test_the_item_at_rank_k_is_examined_with_probability_one_over_k() -> None:
    rng = np.random.default_rng(1)
    depths = np.array([examination_depth(rng.random(), 20) for _ in range(40_000)])

    for rank in (1, 2, 3, 5, 10, 20):
        assert (depths >= rank).mean() == pytest.approx(1 / rank, abs=0.01)
    assert depths.max() == 20


def test_examination_stops_at_the_first_click_and_covers_all_items_above() -> None:
    examination = examine_list(ITEMS, 0.97, {"i3", "i7"}.__contains__)

    assert examination.examined == ("i0", "i1", "i2", "i3")
    assert examination.clicked == 3


def test_an_item_below_the_examination_depth_is_never_clicked() -> None:
    assert examine_list(ITEMS, 0.7, {"i3"}.__contains__).clicked == -1
    assert examine_list(ITEMS, 0.75, {"i3"}.__contains__).clicked == 3


def test_an_empty_list_has_no_examination_and_no_click() -> None:
    assert examine_list([], 0.9, lambda _: True) == ((), -1)
    assert click_probability(np.array([])) == 0.0


def test_click_probability_equals_the_simulated_click_rate() -> None:
    rng = np.random.default_rng(2)
    click_probabilities = np.array([0.1, 0.4, 0.05, 0.3])
    items = ["a", "b", "c", "d"]
    click_probability_of = dict(zip(items, click_probabilities, strict=True))
    clicks = [
        examine_list(items, rng.random(), lambda item: rng.random() < click_probability_of[item]).clicked >= 0
        for _ in range(40_000)
    ]

    assert np.mean(clicks) == pytest.approx(click_probability(click_probabilities), abs=0.01)


def test_descending_probability_is_the_best_order() -> None:
    rng = np.random.default_rng(3)
    click_probabilities = np.sort(rng.uniform(0, 0.6, 8))[::-1]
    best = click_probability(click_probabilities)

    assert all(click_probability(rng.permutation(click_probabilities)) <= best + 1e-12 for _ in range(500))

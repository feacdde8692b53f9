"""The sum of clipped gradients changes by the clip at most if a user is added, whatever that user did."""

import math

import numpy as np
import pytest

from stream_app.training.private_gradient import clipped_gradient_sum
from stream_app.training.sequences import Sequence
from stream_app.training.two_tower_training import TwoTowerTraining
from tests.support.trained_shop import SHAPE

CLIP = 0.25
N_ITEMS = 40
CONTENTS = np.random.default_rng(3).standard_normal((N_ITEMS, 12)).astype(np.float32)
NEGATIVES = np.arange(0, N_ITEMS, 3)


def parameters() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    first = TwoTowerTraining(SHAPE).dense_parameters()
    return {**first, "content": rng.normal(0.0, 0.1, (12, SHAPE.n_factors)).astype(np.float32)}


def sequence(*items: int) -> Sequence:
    n = len(items)
    kinds, times = np.zeros(n, np.int32), np.arange(n, dtype=np.float64)
    return Sequence(1, np.array(items, np.int32), kinds, times, first_target=1)


def gradient(*users: Sequence) -> dict[str, np.ndarray]:
    return clipped_gradient_sum(parameters(), SHAPE, users, CONTENTS, NEGATIVES, CLIP, capacity=6)


def distance(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> float:
    return math.sqrt(sum(float(np.sum((one[name] - other[name]) ** 2)) for name in one))


@pytest.mark.parametrize(
    "added", [sequence(4, 9), sequence(0, 0, 0, 0, 0, 0, 0, 0, 0), sequence(6, 6, 33, 12, 3), sequence(39, 1)]
)
def test_a_user_changes_the_sum_by_the_clip_at_most(added: Sequence) -> None:
    others = [sequence(1, 2, 3), sequence(20, 21), sequence(30, 2, 7, 9)]
    change = distance(gradient(*others, added), gradient(*others))
    assert 0.0 < change <= CLIP * 1.001


def test_without_users_the_sum_is_zero() -> None:
    assert all(not values.any() for values in gradient().values())


def test_users_beyond_the_capacity_are_left_out() -> None:
    users = [sequence(n, n + 1) for n in range(9)]
    assert distance(gradient(*users), gradient(*users[:6])) == 0.0


def test_a_step_against_the_gradient_makes_the_chosen_items_more_probable() -> None:
    def loss_of(values: dict[str, np.ndarray]) -> float:
        unit = CONTENTS @ values["content"]
        unit /= np.linalg.norm(unit, axis=1, keepdims=True)
        return float(-(unit[4] @ unit[9]))

    before = parameters()
    total = clipped_gradient_sum(before, SHAPE, [sequence(4, 9)], CONTENTS, NEGATIVES, CLIP, capacity=6)
    after = {name: before[name] - total[name].astype(np.float32) for name in before}
    assert loss_of(after) < loss_of(before)

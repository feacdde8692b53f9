"""Thompson sampling item by item, over known items."""

import math

import numpy as np
import pytest

from stream_app.bandit.item_thompson import ItemThompson
from stream_app.bandit.policy import Keys

FIRST = np.zeros(1, np.int32)
ONE = np.ones((1, 1), np.float32)


def keys(*items: int) -> Keys:
    return np.array(items, np.uint64)


def show(policy: ItemThompson, item: int, times: int, value: float, ts: float = 0.0) -> None:
    for _ in range(times):
        policy.see(ONE, FIRST, ts, keys(item))
        if value:
            policy.reward(ONE[0], 0, value, ts, item=item)


def first(policy: ItemThompson, *items: int, scores: list[float] | None = None) -> float:
    """How often the first of the items is shown first."""
    features = np.array(scores or [1.0] * len(items), np.float32)[:, None]
    return float(
        np.mean([policy.decide(features, 1, seed, keys(*items)).order[0] == 0 for seed in range(200)])
    )


@pytest.mark.parametrize("rewards", ["bernoulli", "gaussian"])
class TestBothKindsOfRewards:
    def test_what_is_chosen_comes_first_and_what_is_passed_over_last(self, rewards: str) -> None:
        policy = ItemThompson(1, rewards=rewards, prior_strength=10.0, noise=0.2)
        show(policy, 1, 200, 1.0)
        show(policy, 2, 200, 0.0)
        assert first(policy, 1, 3) == 1.0
        assert first(policy, 3, 2) > 0.75

    def test_a_dislike_is_worse_than_being_passed_over(self, rewards: str) -> None:
        policy = ItemThompson(1, rewards=rewards, prior_strength=10.0, noise=0.2)
        show(policy, 1, 300, 0.0)
        show(policy, 2, 300, -1.0)
        assert first(policy, 1, 2) > 0.8

    def test_the_past_fades(self, rewards: str) -> None:
        policy = ItemThompson(1, rewards=rewards, half_life=100.0, prior_strength=10.0)
        show(policy, 1, 200, 1.0)
        assert first(policy, 1, 2) == 1.0
        show(policy, 9, 1, 0.0, ts=1e5)
        assert 0.2 < first(policy, 1, 2) < 0.8

    def test_an_unknown_item_goes_by_its_fused_score(self, rewards: str) -> None:
        policy = ItemThompson(1, rewards=rewards, noise=0.2)
        assert first(policy, 1, 2, scores=[0.9, 0.1]) > 0.95
        assert first(policy, 1, 2, scores=[math.nan, 0.9]) < 0.05


def test_rewards_of_any_size_need_the_gaussian_kind() -> None:
    policy = ItemThompson(1, rewards="gaussian", prior_strength=5.0, noise=10.0)
    show(policy, 1, 300, 50.0)
    show(policy, 2, 300, 40.0)
    assert first(policy, 1, 2) > 0.95


def test_no_more_items_are_remembered_than_there_is_room_for_and_the_newest_stay() -> None:
    policy = ItemThompson(1, capacity=100, prior_strength=10.0)
    for item in range(1, 1_000):
        show(policy, item, 1, 1.0, ts=float(item))
    assert len(policy.state()["items"]) <= 100
    assert policy.memory() < 30_000
    assert {990, 999} <= set(policy.state()["items"].tolist())
    for _ in range(20):
        show(policy, 999, 1, 1.0, ts=1_000.0)
    assert first(policy, 999, 5) > 0.9, "the sums moved along with their items"


def test_an_item_that_is_still_shown_outlives_many_that_are_not() -> None:
    policy = ItemThompson(1, capacity=50, prior_strength=10.0)
    for item in range(2, 2_000):
        show(policy, 1, 1, 1.0, ts=float(item))
        show(policy, item, 1, 0.0, ts=float(item))
    assert first(policy, 1, 5) == 1.0


def test_a_list_that_fills_the_memory_is_counted_item_by_item() -> None:
    policy = ItemThompson(1, capacity=20, prior_strength=1.0, position_model="none")
    show(policy, 1, 30, 1.0, ts=0.0)
    for item in range(100, 118):
        show(policy, item, 1, 0.0, ts=1.0)
    policy.see(np.ones((5, 1), np.float32), np.arange(5, dtype=np.int32), 2.0, keys(1, 50, 51, 52, 53))
    state = policy.state()
    held = dict(zip(state["items"].tolist(), state["sums"][:, 0].tolist(), strict=True))
    assert len(held) <= 20
    assert [held[item] for item in (50, 51, 52, 53)] == pytest.approx([1.0] * 4, rel=1e-3)


def test_items_without_hashes_are_refused() -> None:
    policy = ItemThompson(1)
    with pytest.raises(ValueError, match="hashes"):
        policy.decide(ONE, 1, 1)
    with pytest.raises(ValueError, match="hashes"):
        policy.see(ONE, FIRST, 0.0)


def test_a_reward_without_an_item_changes_nothing() -> None:
    policy = ItemThompson(1)
    policy.reward(ONE[0], 0, 1.0, 0.0)
    assert policy.state()["folded"] == 0


@pytest.mark.parametrize("move", ["a showing", "a reward"])
def test_all_sums_follow_the_landmark_whatever_moves_it(move: str) -> None:
    policy = ItemThompson(1, half_life=1.0, prior_strength=1.0, position_model="none")
    for ts in range(300):
        for showing in (True, False) if move == "a showing" else (False, True):
            if showing:
                policy.see(ONE, FIRST, float(ts), keys(1))
            else:
                policy.reward(ONE[0], 0, 1.0, float(ts), item=1)
    state = policy.state()
    assert state["landmark"] > 256, "it moved"
    scale = 2.0 ** (state["landmark"] - 299)
    assert scale * state["sums"][0] == pytest.approx([2.0, 2.0])
    assert scale * state["places"][0] == pytest.approx([2.0] * 5)
    # half of the trials at the rate the item had before, from near 1 on
    assert 0.0 < scale * state["expected"][0] < 2.1

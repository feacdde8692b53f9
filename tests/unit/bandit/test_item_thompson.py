"""Thompson sampling with a posterior for each item."""

import math

import numpy as np
import pytest

from stream_app.bandit.item_thompson import ItemThompson
from stream_app.bandit.policy import Keys

FIRST = np.zeros(1, np.int32)
ONE = np.ones((1, 1), np.float32)


def keys(*items: int) -> Keys:
    return np.array(items, np.uint64)


def observe(policy: ItemThompson, item: int, count: int, value: float, ts: float = 0.0) -> None:
    for _ in range(count):
        policy.observe_impressions(ONE, FIRST, ts, keys(item))
        if value:
            policy.reward(ONE[0], 0, value, ts, item=item)


def first_share(policy: ItemThompson, *items: int, scores: list[float] | None = None) -> float:
    """Share of the slates with the first item at the first position."""
    features = np.array(scores or [1.0] * len(items), np.float32)[:, None]
    return float(
        np.mean([policy.decide(features, 1, seed, keys(*items)).order[0] == 0 for seed in range(200)])
    )


@pytest.mark.parametrize("reward_distribution", ["bernoulli", "gaussian"])
class TestBothRewardDistributions:
    def test_chosen_items_rank_first_and_ignored_items_last(self, reward_distribution: str) -> None:
        policy = ItemThompson(1, reward_distribution=reward_distribution, prior_strength=10.0, noise=0.2)
        observe(policy, 1, 200, 1.0)
        observe(policy, 2, 200, 0.0)
        assert first_share(policy, 1, 3) == 1.0
        assert first_share(policy, 3, 2) > 0.75

    def test_a_dislike_ranks_lower_than_an_ignored_impression(self, reward_distribution: str) -> None:
        policy = ItemThompson(1, reward_distribution=reward_distribution, prior_strength=10.0, noise=0.2)
        observe(policy, 1, 300, 0.0)
        observe(policy, 2, 300, -1.0)
        assert first_share(policy, 1, 2) > 0.8

    def test_old_events_decay(self, reward_distribution: str) -> None:
        policy = ItemThompson(
            1, reward_distribution=reward_distribution, half_life=100.0, prior_strength=10.0
        )
        observe(policy, 1, 200, 1.0)
        assert first_share(policy, 1, 2) == 1.0
        observe(policy, 9, 1, 0.0, ts=1e5)
        assert 0.2 < first_share(policy, 1, 2) < 0.8

    def test_unknown_item_is_ranked_by_its_fused_score(self, reward_distribution: str) -> None:
        policy = ItemThompson(1, reward_distribution=reward_distribution, noise=0.2)
        assert first_share(policy, 1, 2, scores=[0.9, 0.1]) > 0.95
        assert first_share(policy, 1, 2, scores=[math.nan, 0.9]) < 0.05


def test_unbounded_rewards_need_the_gaussian_distribution() -> None:
    policy = ItemThompson(1, reward_distribution="gaussian", prior_strength=5.0, noise=10.0)
    observe(policy, 1, 300, 50.0)
    observe(policy, 2, 300, 40.0)
    assert first_share(policy, 1, 2) > 0.95


def test_capacity_is_respected_and_the_newest_items_stay() -> None:
    policy = ItemThompson(1, capacity=100, prior_strength=10.0)
    for item in range(1, 1_000):
        observe(policy, item, 1, 1.0, ts=float(item))
    assert len(policy.state()["items"]) <= 100
    assert policy.memory() < 30_000
    assert {990, 999} <= set(policy.state()["items"].tolist())
    for _ in range(20):
        observe(policy, 999, 1, 1.0, ts=1_000.0)
    assert first_share(policy, 999, 5) > 0.9, "the sums moved along with their items"


def test_an_item_still_displayed_is_kept_longer_than_items_that_are_not() -> None:
    policy = ItemThompson(1, capacity=50, prior_strength=10.0)
    for item in range(2, 2_000):
        observe(policy, 1, 1, 1.0, ts=float(item))
        observe(policy, item, 1, 0.0, ts=float(item))
    assert first_share(policy, 1, 5) == 1.0


def test_a_list_that_fills_the_capacity_is_counted_item_by_item() -> None:
    policy = ItemThompson(1, capacity=20, prior_strength=1.0, position_model="none")
    observe(policy, 1, 30, 1.0, ts=0.0)
    for item in range(100, 118):
        observe(policy, item, 1, 0.0, ts=1.0)
    policy.observe_impressions(
        np.ones((5, 1), np.float32), np.arange(5, dtype=np.int32), 2.0, keys(1, 50, 51, 52, 53)
    )
    state = policy.state()
    held = dict(zip(state["items"].tolist(), state["sums"][:, 0].tolist(), strict=True))
    assert len(held) <= 20
    assert [held[item] for item in (50, 51, 52, 53)] == pytest.approx([1.0] * 4, rel=1e-3)


def test_missing_item_hashes_are_rejected() -> None:
    policy = ItemThompson(1)
    with pytest.raises(ValueError, match="hashes"):
        policy.decide(ONE, 1, 1)
    with pytest.raises(ValueError, match="hashes"):
        policy.observe_impressions(ONE, FIRST, 0.0)


def test_reward_without_item_is_ignored() -> None:
    policy = ItemThompson(1)
    policy.reward(ONE[0], 0, 1.0, 0.0)
    assert policy.state()["n_updates"] == 0


@pytest.mark.parametrize("first_event", ["an impression", "a reward"])
def test_all_sums_follow_the_landmark_for_each_event_that_moves_it(first_event: str) -> None:
    policy = ItemThompson(1, half_life=1.0, prior_strength=1.0, position_model="none")
    for ts in range(300):
        for is_impression in (True, False) if first_event == "an impression" else (False, True):
            if is_impression:
                policy.observe_impressions(ONE, FIRST, float(ts), keys(1))
            else:
                policy.reward(ONE[0], 0, 1.0, float(ts), item=1)
    state = policy.state()
    assert state["landmark"] > 256, "it moved"
    scale = 2.0 ** (state["landmark"] - 299)
    assert scale * state["sums"][0] == pytest.approx([2.0, 2.0])
    assert scale * state["rank_sums"][0] == pytest.approx([2.0] * 5)
    # half of the trials, at the rate that the item had before (near 1)
    assert 0.0 < scale * state["expected_rewards"][0] < 2.1

"""Time budgets of decisions and updates; the minimum of many calls, so that a busy machine does not matter."""

import time
from collections.abc import Callable

import pytest

from stream_app.bandit.policy_registry import create_policy
from tests.support.bandit_builders import candidate_features, item_hashes, positions

CANDIDATES, WIDTH, SLATE_SIZE = 200, 20, 20


def min_duration(call: Callable[[int], object], repeats: int = 50) -> float:
    """Seconds of the fastest call."""
    times = []
    for turn in range(repeats):
        start = time.perf_counter()
        call(turn)
        times.append(time.perf_counter() - start)
    return min(times)


@pytest.mark.parametrize("name", ["thompson", "linucb", "epsilon_greedy", "session_value"])
def test_decision_and_update_stay_within_the_time_budget(
    name: str,
) -> None:
    policy = create_policy(name, WIDTH)
    candidates, items = candidate_features(CANDIDATES, width=WIDTH), item_hashes(CANDIDATES)
    slate_features, order = candidates[:SLATE_SIZE], positions(SLATE_SIZE)

    def observe_impressions(turn: int) -> None:
        policy.observe_impressions(slate_features, order, float(turn), items[:SLATE_SIZE])

    def reward(turn: int) -> None:
        policy.reward(slate_features[3], 3, 1.0, float(turn), item=int(items[3]), user=f"u{turn % 5}")

    def learn_and_decide(turn: int) -> None:
        reward(turn)
        assert (policy.decide(candidates, SLATE_SIZE, turn, items).propensities > 0).all()

    assert min_duration(observe_impressions) <= SLATE_SIZE * 20e-6
    assert min_duration(reward) <= 20e-6
    assert min_duration(lambda turn: policy.decide(candidates, SLATE_SIZE, turn, items)) <= 0.5e-3
    # the first decision after a change computes the posterior
    assert min_duration(learn_and_decide) <= 0.5e-3 + 20e-6

"""What a decision and an update may cost; the best of many counts, so that a busy machine does not matter."""

import time
from collections.abc import Callable

import pytest

from stream_app.bandit.policy_registry import create_policy
from tests.support.bandit_builders import hashes, options, places

CANDIDATES, WIDTH, SHOWN = 200, 20, 20


def best_of(call: Callable[[int], object], repeats: int = 50) -> float:
    """Seconds of the shortest call."""
    times = []
    for turn in range(repeats):
        start = time.perf_counter()
        call(turn)
        times.append(time.perf_counter() - start)
    return min(times)


@pytest.mark.parametrize("name", ["thompson", "linucb", "epsilon_greedy", "session_value"])
def test_a_decision_takes_half_a_millisecond_at_most_and_an_update_twenty_microseconds_an_item(
    name: str,
) -> None:
    policy = create_policy(name, WIDTH)
    candidates, items = options(CANDIDATES, width=WIDTH), hashes(CANDIDATES)
    shown, order = candidates[:SHOWN], places(SHOWN)

    def see(turn: int) -> None:
        policy.see(shown, order, float(turn), items[:SHOWN])

    def reward(turn: int) -> None:
        policy.reward(shown[3], 3, 1.0, float(turn), item=int(items[3]), user=f"u{turn % 5}")

    def learn_and_decide(turn: int) -> None:
        reward(turn)
        assert (policy.decide(candidates, SHOWN, turn, items).propensities > 0).all()

    assert best_of(see) <= SHOWN * 20e-6
    assert best_of(reward) <= 20e-6
    assert best_of(lambda turn: policy.decide(candidates, SHOWN, turn, items)) <= 0.5e-3
    # the first decision after a change makes the posterior anew
    assert best_of(learn_and_decide) <= 0.5e-3 + 20e-6

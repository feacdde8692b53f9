"""Policies at work in a small shop whose shoppers' tastes are known."""

import numpy as np
import pytest
from numpy.typing import NDArray

from stream_app.bandit.policy_registry import create_policy

PLACES, CANDIDATES, WIDTH = 10, 40, 8
LOOKED_AT = (1 + np.arange(PLACES)) ** -0.8


def clicks(
    name: str, weights: list[float], lists: int, *, turn_at: int | None = None, **settings: float
) -> NDArray[np.float64]:
    """Expected clicks of each list; the chance of a click is linear in the first features, as `weights` has it."""
    rng = np.random.default_rng(4)
    policy = create_policy(name, WIDTH, **settings)
    taste = np.array(weights)
    expected = np.zeros(lists)
    for turn in range(lists):
        if turn == turn_at:
            taste[1], taste[2] = taste[2], taste[1]
        options = rng.random((CANDIDATES, WIDTH)).astype(np.float32)
        options[:, 0] = np.sort(options[:, 0])[::-1]
        slate = policy.decide(options, PLACES, turn)
        shown = options[slate.order]
        chance = LOOKED_AT * np.clip(0.02 + shown[:, : len(taste)] @ taste, 0.0, 1.0)
        expected[turn] = chance.sum()
        policy.see(shown, np.arange(PLACES, dtype=np.int32), float(turn))
        for place in np.flatnonzero(rng.random(PLACES) < chance):
            policy.reward(shown[place], int(place), 1.0, float(turn), user=f"u{turn // 2}")
    return expected


@pytest.mark.parametrize("name", ["thompson", "linucb", "session_value"])
def test_where_the_fused_order_is_right_learning_costs_next_to_nothing(name: str) -> None:
    weights = [0.2, 0.0, 0.0]
    fixed, learned = clicks("fixed", weights, 3_000).sum(), clicks(name, weights, 3_000).sum()
    assert learned > 0.98 * fixed


@pytest.mark.parametrize("name", ["thompson", "linucb", "epsilon_greedy", "session_value"])
def test_where_reactions_carry_news_the_list_gets_better(name: str) -> None:
    weights = [0.1, 0.2, 0.0]
    fixed, learned = clicks("fixed", weights, 3_000), clicks(name, weights, 3_000)
    assert learned[-1_000:].mean() > 1.15 * fixed[-1_000:].mean()


def test_when_tastes_turn_the_list_follows() -> None:
    weights = [0.0, 0.4, 0.0]
    learned = clicks("thompson", weights, 6_000, turn_at=3_000, half_life=600.0)
    before, after, end = (learned[at : at + 300].mean() for at in (2_700, 3_000, 5_700))
    assert after < 0.8 * before
    assert end > 0.95 * before

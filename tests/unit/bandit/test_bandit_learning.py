"""Policies in a small shop with known preferences of the users."""

import numpy as np
import pytest
from numpy.typing import NDArray

from stream_app.bandit.policy_registry import create_policy

SLATE_SIZE, CANDIDATES, WIDTH = 10, 40, 8
EXAMINATION = (1 + np.arange(SLATE_SIZE)) ** -0.8


def expected_clicks(
    name: str, weights: list[float], lists: int, *, drift_at: int | None = None, **settings: float
) -> NDArray[np.float64]:
    """Expected clicks of each list; the click probability is linear in the first features."""
    rng = np.random.default_rng(4)
    policy = create_policy(name, WIDTH, **settings)
    taste = np.array(weights)
    expected = np.zeros(lists)
    for turn in range(lists):
        if turn == drift_at:
            taste[1], taste[2] = taste[2], taste[1]
        candidate_features = rng.random((CANDIDATES, WIDTH)).astype(np.float32)
        candidate_features[:, 0] = np.sort(candidate_features[:, 0])[::-1]
        slate = policy.decide(candidate_features, SLATE_SIZE, turn)
        displayed = candidate_features[slate.order]
        click_probability = EXAMINATION * np.clip(0.02 + displayed[:, : len(taste)] @ taste, 0.0, 1.0)
        expected[turn] = click_probability.sum()
        policy.observe_impressions(displayed, np.arange(SLATE_SIZE, dtype=np.int32), float(turn))
        for position in np.flatnonzero(rng.random(SLATE_SIZE) < click_probability):
            policy.reward(displayed[position], int(position), 1.0, float(turn), user=f"u{turn // 2}")
    return expected


@pytest.mark.parametrize("name", ["thompson", "linucb", "session_value"])
def test_learning_costs_little_when_the_fused_order_is_optimal(name: str) -> None:
    weights = [0.2, 0.0, 0.0]
    # the safe prior; the default, a tenth of it, learns faster and costs up to 4.5 % here
    fixed, learned = (
        expected_clicks("fixed", weights, 3_000).sum(),
        expected_clicks(name, weights, 3_000, prior_strength=1_000.0).sum(),
    )
    assert learned > 0.98 * fixed


@pytest.mark.parametrize("name", ["thompson", "linucb", "epsilon_greedy", "session_value"])
def test_lists_improve_when_rewards_are_informative(name: str) -> None:
    weights = [0.1, 0.2, 0.0]
    fixed, learned = expected_clicks("fixed", weights, 3_000), expected_clicks(name, weights, 3_000)
    assert learned[-1_000:].mean() > 1.15 * fixed[-1_000:].mean()


def test_policy_adapts_to_preference_drift() -> None:
    weights = [0.0, 0.4, 0.0]
    learned = expected_clicks("thompson", weights, 6_000, drift_at=3_000, half_life=600.0)
    before, after, end = (learned[at : at + 300].mean() for at in (2_700, 3_000, 5_700))
    assert after < 0.8 * before
    assert end > 0.95 * before

"""A low position is not a dislike."""

import numpy as np
import pytest

from stream_app.bandit.examination import PositionConfig
from stream_app.bandit.item_thompson import ItemThompson
from stream_app.bandit.kernels.examination import (
    ExaminationModel,
    PositionModel,
    RankSum,
    estimate_examination,
)
from stream_app.bandit.linear import LinearPolicy
from stream_app.bandit.thompson import Thompson
from tests.support.bandit_builders import positions

N_POSITIONS = 10
EXAMINATION = (1 + np.arange(N_POSITIONS)) ** -1.0
"""True examination probability of each position."""

GOOD_LOW, GOOD_HIGH, OTHER = range(3)


def train_with_low_position(policy: LinearPolicy | ItemThompson, lists: int = 8_000, seed: int = 1) -> None:
    """Two items with equal click rates, in half of the lists: one always second, one always ninth; others vary."""
    rng = np.random.default_rng(seed)
    for turn in range(lists):
        kinds = np.full(N_POSITIONS, OTHER)
        if turn % 2:
            kinds[1], kinds[8] = GOOD_HIGH, GOOD_LOW
        features = np.zeros((N_POSITIONS, 6), np.float32)
        features[np.arange(N_POSITIONS), kinds] = 1.0
        others = kinds == OTHER
        features[others, 3:] = rng.random((others.sum(), 3))
        items = np.where(others, rng.permutation(np.arange(10, 10 + N_POSITIONS)), kinds + 1).astype(
            np.uint64
        )
        liked = np.where(others, 0.1 + 0.3 * features[:, 4], 0.35)
        clicked = rng.random(N_POSITIONS) < EXAMINATION * liked
        policy.observe_impressions(features, positions(N_POSITIONS), float(turn), items)
        for position in np.flatnonzero(clicked):
            policy.reward(features[position], int(position), 1.0, float(turn), item=int(items[position]))


def value_of(policy: LinearPolicy, kind: int) -> float:
    return float(policy.mean[kind] + policy.mean[-1])


def test_item_displayed_low_gets_the_same_value_as_its_twin_above() -> None:
    policy = Thompson(6, prior_strength=10.0, prior_weight=0.0)
    train_with_low_position(policy)
    assert value_of(policy, GOOD_LOW) == pytest.approx(value_of(policy, GOOD_HIGH), rel=0.2)
    assert value_of(policy, GOOD_HIGH) == pytest.approx(0.35, rel=0.2)


def test_without_a_position_model_a_low_position_lowers_the_value() -> None:
    policy = Thompson(6, prior_strength=10.0, prior_weight=0.0, position_model="none")
    train_with_low_position(policy)
    assert value_of(policy, GOOD_LOW) < 0.35 * value_of(policy, GOOD_HIGH)


@pytest.mark.parametrize("model", ["position", "none"])
def test_position_bias_is_corrected_per_item(model: str) -> None:
    """The item that is always low has a higher click rate than the items at varying positions."""
    policy = ItemThompson(6, position_model=model, prior_strength=5.0, prior_rate=0.2)
    train_with_low_position(policy)
    low_and_other = np.array([1, 10], np.uint64)
    slates = [policy.decide(np.zeros((2, 6), np.float32), 1, seed, low_and_other) for seed in range(100)]
    low_first = sum(int(slate.order[0] == 0) for slate in slates)
    assert low_first > 95 if model == "position" else low_first < 5


def test_examination_probabilities_are_learned_despite_a_wrong_prior() -> None:
    policy = Thompson(6, prior_strength=10.0, prior_weight=0.0)
    assert policy.examination_probabilities[1] > EXAMINATION[1]
    train_with_low_position(policy)
    assert np.allclose(policy.examination_probabilities[:N_POSITIONS], EXAMINATION, atol=0.06)


def test_few_rewards_barely_move_the_examination_prior() -> None:
    policy = Thompson(6)
    train_with_low_position(policy, lists=5)
    assert np.allclose(
        policy.examination_probabilities, PositionConfig().examination_model().prior, atol=0.15
    )


def test_examination_probability_has_a_floor() -> None:
    policy = Thompson(2, floor=0.1)
    x = np.ones((2, 2), np.float32)
    for turn in range(5_000):
        policy.observe_impressions(x, np.array([0, 1], np.int32), float(turn))
        policy.reward(x[0], 0, 1.0, float(turn))
    assert policy.examination_probabilities[1] == pytest.approx(0.1)


def test_cascade_examination_depends_on_choices_above() -> None:
    policy = Thompson(6, position_model="cascade", n_positions=N_POSITIONS)
    rng = np.random.default_rng(1)
    features = np.ones((N_POSITIONS, 6), np.float32)
    for turn in range(4_000):
        policy.observe_impressions(features, positions(N_POSITIONS), float(turn))
        for position in range(N_POSITIONS):
            if rng.random() < 0.2:
                policy.reward(features[position], position, 1.0, float(turn))
                policy.reward(features[position], position, 5.0, float(turn), first=False)
                break
    assert np.allclose(policy.examination_probabilities, 0.8 ** np.arange(N_POSITIONS), atol=0.03)


def test_examination_estimate_is_scale_invariant() -> None:
    sums = np.zeros((3, len(RankSum)))
    sums[:, RankSum.VALUE], sums[:, RankSum.REWARDS] = (30.0, 12.0, 6.0), (30.0, 12.0, 6.0)
    model = ExaminationModel(PositionModel.POSITION.value, np.ones(3), 0.05, 5.0)
    estimates = []
    for scale in (1.0, 1_000.0):
        weights = np.ones(3)
        estimate_examination(sums, scale * np.full(3, 100.0), model, 1.0, weights)
        estimates.append(weights)
    assert np.allclose(estimates[0], estimates[1])


def test_invalid_settings_are_rejected() -> None:
    with pytest.raises(ValueError, match="position, cascade, none"):
        PositionConfig(position_model="guess")
    with pytest.raises(ValueError, match="floor"):
        PositionConfig(floor=0.0)

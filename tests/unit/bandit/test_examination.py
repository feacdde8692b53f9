"""A low place is not a dislike."""

import numpy as np
import pytest

from stream_app.bandit.examination import Examination
from stream_app.bandit.item_thompson import ItemThompson
from stream_app.bandit.kernels.posterior import place_weights
from stream_app.bandit.linear import LinearPolicy
from stream_app.bandit.thompson import Thompson
from tests.support.bandit_builders import places

K = 10
LOOKED_AT = (1 + np.arange(K)) ** -1.0
"""The truth: how likely each place is to be looked at."""

GOOD_BELOW, GOOD_ABOVE, OTHER = range(3)


def shown_low(policy: LinearPolicy | ItemThompson, lists: int = 8_000, seed: int = 1) -> None:
    """Two items equally liked, in half of the lists: one always second, one always ninth. The rest moves about."""
    rng = np.random.default_rng(seed)
    for turn in range(lists):
        kinds = np.full(K, OTHER)
        if turn % 2:
            kinds[1], kinds[8] = GOOD_ABOVE, GOOD_BELOW
        shown = np.zeros((K, 6), np.float32)
        shown[np.arange(K), kinds] = 1.0
        others = kinds == OTHER
        shown[others, 3:] = rng.random((others.sum(), 3))
        items = np.where(others, rng.permutation(np.arange(10, 10 + K)), kinds + 1).astype(np.uint64)
        liked = np.where(others, 0.1 + 0.3 * shown[:, 4], 0.35)
        clicked = rng.random(K) < LOOKED_AT * liked
        policy.see(shown, places(K), float(turn), items)
        for place in np.flatnonzero(clicked):
            policy.reward(shown[place], int(place), 1.0, float(turn), item=int(items[place]))


def worth(policy: LinearPolicy, kind: int) -> float:
    return float(policy.mean[kind] + policy.mean[-1])


def test_an_item_always_shown_low_is_worth_what_its_twin_above_is() -> None:
    policy = Thompson(6, prior_strength=10.0, prior_weight=0.0)
    shown_low(policy)
    assert worth(policy, GOOD_BELOW) == pytest.approx(worth(policy, GOOD_ABOVE), rel=0.2)
    assert worth(policy, GOOD_ABOVE) == pytest.approx(0.35, rel=0.2)


def test_without_a_position_model_it_would_be_taken_for_disliked() -> None:
    policy = Thompson(6, prior_strength=10.0, prior_weight=0.0, position_model="none")
    shown_low(policy)
    assert worth(policy, GOOD_BELOW) < 0.35 * worth(policy, GOOD_ABOVE)


@pytest.mark.parametrize("model", ["place", "none"])
def test_the_same_holds_item_by_item(model: str) -> None:
    """The one always shown low is liked more than any of those that move about."""
    policy = ItemThompson(6, position_model=model, prior_strength=5.0, prior_rate=0.2)
    shown_low(policy)
    low_and_other = np.array([1, 10], np.uint64)
    slates = [policy.decide(np.zeros((2, 6), np.float32), 1, seed, low_and_other) for seed in range(100)]
    low_first = sum(int(slate.order[0] == 0) for slate in slates)
    assert low_first > 95 if model == "place" else low_first < 5


def test_the_chances_of_the_places_are_learned_from_a_prior_that_is_wrong() -> None:
    policy = Thompson(6, prior_strength=10.0, prior_weight=0.0)
    assert policy.chances[1] > LOOKED_AT[1]
    shown_low(policy)
    assert np.allclose(policy.chances[:K], LOOKED_AT, atol=0.06)


def test_few_rewards_leave_the_prior_about_where_it_was() -> None:
    policy = Thompson(6)
    shown_low(policy, lists=5)
    assert np.allclose(policy.chances, Examination().prior, atol=0.15)


def test_places_never_looked_at_keep_a_small_chance() -> None:
    policy = Thompson(2, floor=0.1)
    x = np.ones((2, 2), np.float32)
    for turn in range(5_000):
        policy.see(x, np.array([0, 1], np.int32), float(turn))
        policy.reward(x[0], 0, 1.0, float(turn))
    assert policy.chances[1] == pytest.approx(0.1)


def test_in_a_cascade_a_place_is_reached_where_nothing_above_was_chosen() -> None:
    policy = Thompson(6, position_model="cascade", places=K)
    rng = np.random.default_rng(1)
    shown = np.ones((K, 6), np.float32)
    for turn in range(4_000):
        policy.see(shown, places(K), float(turn))
        for place in range(K):
            if rng.random() < 0.2:
                policy.reward(shown[place], place, 1.0, float(turn))
                policy.reward(shown[place], place, 5.0, float(turn), first=False)
                break
    assert np.allclose(policy.chances, 0.8 ** np.arange(K), atol=0.03)


def test_predictions_in_another_unit_give_the_same_chances() -> None:
    sums = np.zeros((3, 5))
    sums[:, 2], sums[:, 4] = (30.0, 12.0, 6.0), (30.0, 12.0, 6.0)
    found = []
    for unit in (1.0, 1_000.0):
        weights = np.ones(3)
        place_weights(sums, unit * np.full(3, 100.0), 0, np.ones(3), 0.05, 5.0, 1.0, weights)
        found.append(weights)
    assert np.allclose(found[0], found[1])


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="place, cascade, none"):
        Examination("guess")
    with pytest.raises(ValueError, match="floor"):
        Examination(floor=0.0)

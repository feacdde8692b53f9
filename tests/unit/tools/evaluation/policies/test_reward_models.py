"""Reward models: right coefficients, right influences, no round predicted by a model that saw it."""

import numpy as np
import pytest

from stream_app.tools.evaluation.policies.reward_models import PENALTY, cross_fit, fit
from stream_app.tools.evaluation.policies.synthetic_log import World


def test_ridge_solves_the_normal_equations() -> None:
    features = np.array([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]])
    model = fit(features, np.array([1.0, 3.0, 5.0]), logistic=False, constants=1, penalty=1e-9)
    assert model.coefficients == pytest.approx([1.0, 2.0], abs=1e-3)


def test_logistic_regression_finds_the_log_odds_of_each_group() -> None:
    features = np.repeat(np.eye(2), 100, axis=0)
    rewards = np.concatenate([np.arange(100) < 20, np.arange(100) < 50]).astype(float)
    model = fit(features, rewards, logistic=True, constants=2)
    assert model.means(np.eye(2)) == pytest.approx([0.2, 0.5], abs=1e-4)


def test_a_group_without_a_reward_is_as_good_as_zero_and_no_worse() -> None:
    model = fit(np.ones((50, 1)), np.zeros(50), logistic=True, constants=1)
    assert 0.0 < model.means(np.ones((1, 1)))[0] < 0.01


def test_rewards_far_apart_do_not_overflow() -> None:
    features = np.array([[1.0, 1000.0], [1.0, -1000.0]])
    model = fit(features, np.array([1.0, 0.0]), logistic=True, constants=1)
    assert model.means(features) == pytest.approx([1.0, 0.0], abs=0.05)


@pytest.mark.parametrize("logistic", [True, False])
def test_influences_tell_how_far_a_repeated_round_moves_the_coefficients(logistic: bool) -> None:
    rng = np.random.default_rng(3)
    features = np.column_stack([np.ones(3000), rng.normal(size=(3000, 2))])
    rewards = (rng.random(3000) < 0.3).astype(float)
    model = fit(features, rewards, logistic=logistic, constants=1)
    pulls = model.influences(features, rewards)
    again = fit(
        np.vstack([features, features[:1]]), np.append(rewards, rewards[0]), logistic=logistic, constants=1
    )
    assert again.coefficients - model.coefficients == pytest.approx(pulls[0], rel=0.02)


def test_each_round_is_predicted_by_a_model_that_did_not_see_its_shopper() -> None:
    rounds = World(shoppers=60).draw(3).rounds
    found = cross_fit(rounds, folds=3, seed=1)
    for shopper in np.unique(rounds.groups):
        assert len(np.unique(found.fold[rounds.groups == shopper])) == 1
    at = 7
    mine = found.fold == found.fold[at]
    alone = fit(found.features[~mine], rounds.rewards[~mine], logistic=True, constants=3, penalty=PENALTY)
    candidates = rounds.design.at(np.array([at]))
    assert found.predictions[at] == pytest.approx(alone.means(candidates)[0])

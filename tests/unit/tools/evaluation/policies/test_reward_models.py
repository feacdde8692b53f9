"""Reward models: coefficients, influences, and predictions for held-out rounds only."""

import numpy as np
import pytest

from stream_app.tools.evaluation.policies.reward_models import PENALTY, cross_fit, fit
from stream_app.tools.evaluation.policies.synthetic_log import SyntheticScenario


def test_ridge_solves_the_normal_equations() -> None:
    features = np.array([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]])
    model = fit(features, np.array([1.0, 3.0, 5.0]), logistic=False, constants=1, penalty=1e-9)
    assert model.coefficients == pytest.approx([1.0, 2.0], abs=1e-3)


def test_logistic_regression_finds_the_log_odds_of_each_group() -> None:
    features = np.repeat(np.eye(2), 100, axis=0)
    rewards = np.concatenate([np.arange(100) < 20, np.arange(100) < 50]).astype(float)
    model = fit(features, rewards, logistic=True, constants=2)
    assert model.means(np.eye(2)) == pytest.approx([0.2, 0.5], abs=1e-4)


def test_group_without_rewards_is_predicted_near_zero() -> None:
    model = fit(np.ones((50, 1)), np.zeros(50), logistic=True, constants=1)
    assert 0.0 < model.means(np.ones((1, 1)))[0] < 0.01


def test_extreme_features_do_not_overflow() -> None:
    features = np.array([[1.0, 1000.0], [1.0, -1000.0]])
    model = fit(features, np.array([1.0, 0.0]), logistic=True, constants=1)
    assert model.means(features) == pytest.approx([1.0, 0.0], abs=0.05)


@pytest.mark.parametrize("logistic", [True, False])
def test_influences_predict_the_effect_of_a_repeated_round(logistic: bool) -> None:
    rng = np.random.default_rng(3)
    features = np.column_stack([np.ones(3000), rng.normal(size=(3000, 2))])
    rewards = (rng.random(3000) < 0.3).astype(float)
    model = fit(features, rewards, logistic=logistic, constants=1)
    influences = model.influences(features, rewards)
    refitted = fit(
        np.vstack([features, features[:1]]), np.append(rewards, rewards[0]), logistic=logistic, constants=1
    )
    assert refitted.coefficients - model.coefficients == pytest.approx(influences[0], rel=0.02)


def test_each_round_is_predicted_without_its_user() -> None:
    rounds = SyntheticScenario(users=60).sample_log(3).rounds
    fitted = cross_fit(rounds, folds=3, seed=1)
    for user in np.unique(rounds.groups):
        assert len(np.unique(fitted.fold[rounds.groups == user])) == 1
    at = 7
    same_fold = fitted.fold == fitted.fold[at]
    without_fold = fit(
        fitted.features[~same_fold], rounds.rewards[~same_fold], logistic=True, constants=3, penalty=PENALTY
    )
    candidates = rounds.design.candidate_features(np.array([at]))
    assert fitted.predictions[at] == pytest.approx(without_fold.means(candidates)[0])

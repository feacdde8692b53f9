"""Logged propensities are the true probabilities."""

from collections import defaultdict
from itertools import product

import numpy as np
import pytest
from scipy.stats import chi2  # type: ignore[import-untyped]

from stream_app.bandit.policy_registry import create_policy
from stream_app.bandit.thompson import Thompson
from tests.support.bandit_builders import WIDTH, candidate_features, item_hashes, train

DRAWS = 20_000


@pytest.mark.parametrize("lists", [0, 40])
@pytest.mark.parametrize("name", ["thompson", "epsilon_greedy", "item_thompson", "session_value"])
def test_empirical_frequencies_match_logged_propensities(name: str, lists: int) -> None:
    policy = create_policy(name, WIDTH, epsilon=0.2, exploration=0.2, prior_strength=1_000.0)
    train(policy, lists)
    candidates, items, k = candidate_features(12), item_hashes(12), 4
    counts = np.zeros((k, 12))
    logged = np.zeros((k, 12))
    for seed in range(DRAWS):
        slate = policy.decide(candidates, k, seed, items)
        at = (np.arange(k), slate.order)
        counts[at] += 1
        # the mean over the decisions with it, as in an evaluation of the log
        logged[at] += (slate.propensities - logged[at]) / counts[at]
    for position in range(k):
        # an item that was never drawn must have a probability near 0
        assert logged[position].sum() == pytest.approx(1.0, abs=1e-3)
        expected = DRAWS * logged[position]
        is_possible = expected > 0
        statistic = float((((counts[position] - expected) ** 2)[is_possible] / expected[is_possible]).sum())
        assert chi2.sf(statistic, is_possible.sum() - 1) > 1e-3


def test_thompson_over_many_ensembles_matches_posterior_sampling() -> None:
    trained = Thompson(WIDTH, exploration=1.0)
    train(trained, 40)
    candidates, k = candidate_features(8), 3
    mean, lower = trained.mean, trained._posterior.lower
    rng = np.random.default_rng(5)
    weights = rng.multivariate_normal(mean, np.linalg.inv(lower @ lower.T), size=40_000)[:, :-1]
    orders = np.argsort(-(weights @ candidates.T), axis=1)[:, :k]
    expected_propensities = np.array(
        [[(orders[:, position] == row).mean() for row in range(8)] for position in range(k)]
    )
    ensembles = 200
    found = np.zeros((k, 8))
    for ensemble in range(ensembles):
        policy = Thompson(WIDTH, exploration=1.0, seed=ensemble)
        train(policy, 40)
        ensemble_propensities: dict[tuple[int, int], float] = {}
        for seed in range(900):  # covers each of the 64 weight vectors
            slate = policy.decide(candidates, k, seed)
            ensemble_propensities |= {
                (position, int(row)): float(propensity)
                for position, (row, propensity) in enumerate(
                    zip(slate.order, slate.propensities, strict=True)
                )
            }
        for at, propensity in ensemble_propensities.items():
            found[at] += propensity / ensembles
    error = np.sqrt(expected_propensities * (1 - expected_propensities) / (64 * ensembles)) + 1e-3
    assert (np.abs(found - expected_propensities) / error).max() < 4.5


def test_epsilon_greedy_propensities_match_enumeration() -> None:
    epsilon, n, k = 0.3, 5, 3
    policy = create_policy("epsilon_greedy", WIDTH, epsilon=epsilon)
    candidates = candidate_features(n)
    expected_propensities: dict[tuple[int, int], float] = defaultdict(float)
    for ranks in product(range(n), repeat=k):
        if len(set(ranks)) < k:
            continue
        propensity = 1.0
        for position, rank in enumerate(ranks):
            remaining = [each for each in range(n) if each not in ranks[:position]]
            propensity *= epsilon / len(remaining) + (1 - epsilon) * (rank == remaining[0])
        for position, rank in enumerate(ranks):
            expected_propensities[position, rank] += propensity
    seen = set()
    for seed in range(2_000):
        slate = policy.decide(candidates, k, seed)
        for position, (row, propensity) in enumerate(zip(slate.order, slate.propensities, strict=True)):
            assert propensity == pytest.approx(expected_propensities[position, int(row)], abs=1e-12)
            seen.add((position, int(row)))
    assert len(seen) == n * k


def test_deterministic_policies_have_propensity_one() -> None:
    for name, setting in (("thompson", "exploration"), ("epsilon_greedy", "epsilon")):
        slate = create_policy(name, WIDTH, **{setting: 0.0}).decide(candidate_features(), 5, 1)
        assert slate.order.tolist() == [0, 1, 2, 3, 4]
        assert slate.propensities.tolist() == [1.0] * 5
    for name in ("fixed", "popularity", "linucb"):
        slate = create_policy(name, WIDTH).decide(candidate_features(), 5, 1)
        assert slate.propensities.tolist() == [1.0] * 5
        assert slate.draws == 0


def test_ties_keep_the_given_order() -> None:
    same = np.ones((30, WIDTH), np.float32)
    for name in ("fixed", "popularity", "thompson", "linucb", "session_value"):
        assert create_policy(name, WIDTH).decide(same, 5, 1).order.tolist() == [0, 1, 2, 3, 4]
        assert create_policy(name, WIDTH).decide(same, 5, 1).propensities.tolist() == [1.0] * 5

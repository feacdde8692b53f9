"""The chances that are logged are the chances there are."""

from collections import defaultdict
from itertools import product

import numpy as np
import pytest
from scipy.stats import chi2  # type: ignore[import-untyped]

from stream_app.bandit.policy_registry import create_policy
from stream_app.bandit.thompson import Thompson
from tests.support.bandit_builders import WIDTH, hashes, options, teach

DRAWS = 20_000


@pytest.mark.parametrize("lists", [0, 40])
@pytest.mark.parametrize("name", ["thompson", "epsilon_greedy", "item_thompson", "session_value"])
def test_twenty_thousand_draws_agree_with_the_logged_chances(name: str, lists: int) -> None:
    policy = create_policy(name, WIDTH, epsilon=0.2)
    teach(policy, lists)
    candidates, items, k = options(12), hashes(12), 4
    counts = np.zeros((k, 12))
    logged = np.zeros((k, 12))
    for seed in range(DRAWS):
        slate = policy.decide(candidates, k, seed, items)
        at = (np.arange(k), slate.order)
        counts[at] += 1
        # the mean over the decisions that showed it, as whoever reads a log would take it
        logged[at] += (slate.propensities - logged[at]) / counts[at]
    for place in range(k):
        # what was never drawn must have had next to no chance
        assert logged[place].sum() == pytest.approx(1.0, abs=1e-3)
        expected = DRAWS * logged[place]
        drawn = expected > 0
        statistic = float((((counts[place] - expected) ** 2)[drawn] / expected[drawn]).sum())
        assert chi2.sf(statistic, drawn.sum() - 1) > 1e-3


def test_thompson_over_many_ensembles_is_sampling_from_the_posterior() -> None:
    taught = Thompson(WIDTH, exploration=1.0)
    teach(taught, 40)
    candidates, k = options(8), 3
    mean, lower = taught.mean, taught._posterior.lower
    rng = np.random.default_rng(5)
    weights = rng.multivariate_normal(mean, np.linalg.inv(lower @ lower.T), size=40_000)[:, :-1]
    orders = np.argsort(-(weights @ candidates.T), axis=1)[:, :k]
    truth = np.array([[(orders[:, place] == row).mean() for row in range(8)] for place in range(k)])
    ensembles = 200
    found = np.zeros((k, 8))
    for ensemble in range(ensembles):
        policy = Thompson(WIDTH, exploration=1.0, seed=ensemble)
        teach(policy, 40)
        told: dict[tuple[int, int], float] = {}
        for seed in range(900):  # each of the 64 weightings comes up
            slate = policy.decide(candidates, k, seed)
            told |= {
                (place, int(row)): float(chance)
                for place, (row, chance) in enumerate(zip(slate.order, slate.propensities, strict=True))
            }
        for at, chance in told.items():
            found[at] += chance / ensembles
    error = np.sqrt(truth * (1 - truth) / (64 * ensembles)) + 1e-3
    assert (np.abs(found - truth) / error).max() < 4.5


def test_epsilon_greedy_chances_are_those_of_every_way_it_can_go() -> None:
    epsilon, n, k = 0.3, 5, 3
    policy = create_policy("epsilon_greedy", WIDTH, epsilon=epsilon)
    candidates = options(n)
    truth: dict[tuple[int, int], float] = defaultdict(float)
    for ranks in product(range(n), repeat=k):
        if len(set(ranks)) < k:
            continue
        chance = 1.0
        for place, rank in enumerate(ranks):
            left = [each for each in range(n) if each not in ranks[:place]]
            chance *= epsilon / len(left) + (1 - epsilon) * (rank == left[0])
        for place, rank in enumerate(ranks):
            truth[place, rank] += chance
    seen = set()
    for seed in range(2_000):
        slate = policy.decide(candidates, k, seed)
        for place, (row, chance) in enumerate(zip(slate.order, slate.propensities, strict=True)):
            assert chance == pytest.approx(truth[place, int(row)], abs=1e-12)
            seen.add((place, int(row)))
    assert len(seen) == n * k


def test_without_chance_a_policy_is_sure() -> None:
    for name, setting in (("thompson", "exploration"), ("epsilon_greedy", "epsilon")):
        slate = create_policy(name, WIDTH, **{setting: 0.0}).decide(options(), 5, 1)
        assert slate.order.tolist() == [0, 1, 2, 3, 4]
        assert slate.propensities.tolist() == [1.0] * 5
    for name in ("fixed", "popularity", "linucb"):
        slate = create_policy(name, WIDTH).decide(options(), 5, 1)
        assert slate.propensities.tolist() == [1.0] * 5
        assert slate.draws == 0


def test_equal_candidates_are_shown_in_the_order_given() -> None:
    same = np.ones((30, WIDTH), np.float32)
    for name in ("fixed", "popularity", "thompson", "linucb", "session_value"):
        assert create_policy(name, WIDTH).decide(same, 5, 1).order.tolist() == [0, 1, 2, 3, 4]
        assert create_policy(name, WIDTH).decide(same, 5, 1).propensities.tolist() == [1.0] * 5

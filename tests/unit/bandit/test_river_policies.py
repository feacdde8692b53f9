"""Policies of River: propensities, learning, bounds, state, and what cannot be one."""

from typing import Any

import numpy as np
import pytest
from river import bandit, proba

from stream_app.bandit.policy import Policy
from stream_app.bandit.policy_registry import create_policy
from stream_app.bandit.river_policy import RiverPolicy
from stream_app.errors import UserError
from tests.support.bandit_builders import WIDTH, candidate_features, item_hashes

POLICIES: dict[str, dict[str, Any]] = {
    "river:bandit.UCB": {"delta": 0.3},
    "river:bandit.EpsilonGreedy": {"epsilon": 0.2},
    "river:bandit.ThompsonSampling": {"reward_obj": "proba.Beta()"},
    "river:bandit.BayesUCB": {},
    "river:bandit.RandomPolicy": {},
    "river:bandit.EpsilonGreedy(epsilon=0.1, reward_obj=stats.EWMean(0.5))": {},
}
FEATURES = candidate_features(30)
KEYS = item_hashes(30)


def make(name: str, **parameters: Any) -> Policy:
    return create_policy(name, WIDTH, **{**POLICIES.get(name, {}), **parameters})


def train(policy: Policy, lists: int = 200, best: int = 4) -> Policy:
    """Lists of the first ten candidates in changing orders; the best earns rewards."""
    rng = np.random.default_rng(5)
    for number in range(lists):
        order = rng.permutation(10).astype(np.int32)
        positions = np.arange(10, dtype=np.int32)
        policy.observe_impressions(FEATURES[order], positions, float(number), KEYS[order])
        rank = int(np.flatnonzero(order == best)[0])
        policy.reward(FEATURES[best], rank, 1.0, float(number), item=int(KEYS[best]), user="ann")
    return policy


@pytest.mark.parametrize("name", POLICIES)
class TestEveryRiverPolicy:
    def test_a_slate_is_one_of_the_ensemble_with_its_share_as_propensity(self, name: str) -> None:
        policy = train(make(name, draws=6))
        counts = np.zeros((8, 30))
        n_seeds = 1200
        slates = [policy.decide(FEATURES, 8, seed, KEYS) for seed in range(n_seeds)]
        for slate in slates:
            assert len({*slate.order.tolist()}) == 8
            assert ((slate.propensities > 0) & (slate.propensities <= 1)).all()
            counts[np.arange(8), slate.order] += 1.0 / n_seeds
        for slate in slates[:20]:
            assert np.abs(counts[np.arange(8), slate.order] - slate.propensities).max() < 0.06

    def test_the_same_seed_gives_the_same_slate_and_changes_nothing(self, name: str) -> None:
        policy = train(make(name))
        before = policy.memory()
        first = [policy.decide(FEATURES, 5, seed, KEYS) for seed in range(5)]
        again = [policy.decide(FEATURES, 5, seed, KEYS) for seed in range(5)]
        for one, other in zip(first, again, strict=True):
            assert one.order.tolist() == other.order.tolist()
            assert one.propensities.tolist() == other.propensities.tolist()
        assert policy.memory() == before

    def test_items_with_rewards_rise_unless_it_is_random(self, name: str) -> None:
        policy = train(make(name))
        first = [int(policy.decide(FEATURES, 5, seed, KEYS).order[0]) for seed in range(40)]
        assert name == "river:bandit.RandomPolicy" or first.count(4) > 20

    def test_only_the_best_candidates_move(self, name: str) -> None:
        slate = train(make(name, candidates=4, positions=2)).decide(FEATURES, 12, 3, KEYS)
        assert sorted(slate.order[:4].tolist()) == [0, 1, 2, 3]
        assert slate.order[4:].tolist() == [*range(4, 12)]
        assert (slate.propensities[4:] == 1).all()

    def test_arms_are_bounded(self, name: str) -> None:
        policy = make(name, max_arms=20)
        assert isinstance(policy, RiverPolicy)
        for number in range(3_000):
            keys = np.array([number % 400 + 1], np.uint64)
            policy.observe_impressions(FEATURES[:1], np.zeros(1, np.int32), 0.0, keys)
        assert len(policy._arms) <= 20
        assert len(policy._learned._rewards) <= 21
        assert policy.memory() < 150_000

    def test_a_restored_policy_decides_alike(self, name: str) -> None:
        policy, other = train(make(name)), make(name)
        state = policy.state()
        other.restore(state)
        if state["river"] is None:
            assert "EWMean" in name
            return
        for each in (policy, other):
            train(each, lists=5)
        for seed in range(5):
            assert (
                policy.decide(FEATURES, 5, seed, KEYS).order.tolist()
                == other.decide(FEATURES, 5, seed, KEYS).order.tolist()
            )

    def test_a_clone_has_learned_nothing(self, name: str) -> None:
        policy = train(make(name, positions=2))
        clone: Any = policy.clone()
        assert clone._arms == {}
        assert clone.parameters == policy.parameters

    def test_no_candidates_no_hashes_and_long_slates(self, name: str) -> None:
        policy = train(make(name))
        assert len(policy.decide(FEATURES[:0], 5, 1, KEYS[:0]).order) == 0
        assert policy.decide(FEATURES[:3], 5, 1).order.tolist() == [0, 1, 2]
        assert sorted(policy.decide(FEATURES[:3], 5, 1, KEYS[:3]).order.tolist()) == [0, 1, 2]
        policy.observe_impressions(FEATURES[:3], np.arange(3, dtype=np.int32), 0.0)


def test_unknown_items_share_one_arm_and_keep_the_fused_order_among_themselves() -> None:
    policy = make("river:bandit.UCB", positions=3)
    assert policy.decide(FEATURES, 6, 1, KEYS).order.tolist() == [0, 1, 2, 3, 4, 5]


def test_positions_below_the_filled_ones_are_not_learned() -> None:
    policy = make("river:bandit.UCB", positions=2)
    assert isinstance(policy, RiverPolicy)
    policy.observe_impressions(FEATURES[:4], np.arange(4, dtype=np.int32), 0.0, KEYS[:4])
    policy.reward(FEATURES[3], 3, 1.0, 0.0, item=int(KEYS[3]))
    assert len(policy._arms) == 2


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("river:bandit.UCB", {}, "missing a required argument: 'delta'; it has delta"),
        ("river:bandit.Nothing", {}, r"River has no bandit\.Nothing; bandit has BayesUCB, "),
        ("river:bandit.LinUCBDisjoint", {}, "one context for all arms.*see linucb"),
        ("river:bandit.Exp3", {"gamma": 0.5}, "learns from its own last pull alone"),
        ("river:reco.BiasedMF", {}, "is no policy: BiasedMF is neither"),
        ("river:bandit.BayesUCB", {"draws": 0}, "draws must be 1 or more, not 0"),
    ],
)
def test_what_is_no_policy_is_named(name: str, parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        create_policy(name, WIDTH, **parameters)


def test_parameters_of_reward_objects_are_part_of_the_state() -> None:
    made = [make("river:bandit.ThompsonSampling", reward_obj=f"proba.Beta({alpha}, 9)") for alpha in (1, 2)]
    with pytest.raises(ValueError, match=r"river is .*alpha=1 .*saved with .*alpha=2"):
        made[0].restore(made[1].state())


def test_a_state_of_another_policy_of_river_is_rejected() -> None:
    ucb = RiverPolicy(3, river=bandit.UCB(delta=0.5), name="shop")
    other = RiverPolicy(3, river=bandit.ThompsonSampling(proba.Beta()), name="shop")
    with pytest.raises(ValueError, match="shop: river is"):
        other.restore(ucb.state())

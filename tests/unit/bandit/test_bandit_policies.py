"""Properties of every policy in the registry."""

import copy
import importlib
import pkgutil
from typing import Any

import numpy as np
import pytest

from stream_app.bandit import kernels
from stream_app.bandit.policy import Policy
from stream_app.bandit.policy_registry import POLICIES, create_policy, warm_up
from stream_app.errors import UserError
from tests.support.bandit_builders import WIDTH, candidate_features, item_hashes, positions, train

LEARNING_POLICIES = [name for name, policy in POLICIES.items() if policy.learns]
FEATURE_WEIGHTING_POLICIES = [name for name in LEARNING_POLICIES if name != "item_thompson"]


def as_plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return (value.shape, value.dtype.str, value.tobytes())
    if isinstance(value, dict):
        return {key: as_plain(each) for key, each in value.items()}
    return [as_plain(each) for each in value] if isinstance(value, list) else value


def trained(name: str, lists: int = 50) -> Policy:
    policy = create_policy(name, WIDTH)
    train(policy, lists)
    return policy


def test_registry_has_every_policy() -> None:
    assert set(POLICIES) == {
        "fixed",
        "popularity",
        "thompson",
        "linucb",
        "epsilon_greedy",
        "item_thompson",
        "session_value",
    }


@pytest.mark.parametrize("name", POLICIES)
class TestEveryPolicy:
    def test_slate_has_distinct_candidates_and_valid_propensities(self, name: str) -> None:
        policy = trained(name)
        for k in (0, 1, 7, 40, 50):
            slate = policy.decide(candidate_features(), k, 3, item_hashes())
            assert len(slate.order) == len(slate.propensities) == min(k, 40)
            assert len(set(slate.order.tolist())) == min(k, 40)
            assert ((slate.order >= 0) & (slate.order < 40)).all()
            assert ((slate.propensities > 0) & (slate.propensities <= 1)).all()

    def test_no_candidates_give_an_empty_slate(self, name: str) -> None:
        slate = trained(name).decide(candidate_features(0), 5, 1, item_hashes(0))
        assert len(slate.order) == len(slate.propensities) == 0

    def test_same_seed_gives_same_slate_and_state_is_unchanged(self, name: str) -> None:
        policy = trained(name)
        before = as_plain(policy.state())
        slates = [policy.decide(candidate_features(), 10, seed, item_hashes()) for seed in (5, -1, 2**70, 5)]
        assert slates[0].order.tolist() == slates[3].order.tolist()
        assert slates[0].propensities.tolist() == slates[3].propensities.tolist()
        assert as_plain(policy.state()) == before

    def test_restored_policy_continues_like_the_original(self, name: str) -> None:
        original, restored = trained(name), create_policy(name, WIDTH)
        restored.restore(copy.deepcopy(original.state()))
        assert as_plain(restored.state()) == as_plain(original.state())
        for policy in (original, restored):
            train(policy, 20, seed=9, start=3_000.0)
        assert as_plain(restored.state()) == as_plain(original.state())
        for seed in range(20):
            actual, expected = (
                policy.decide(candidate_features(), 10, seed, item_hashes())
                for policy in (restored, original)
            )
            assert actual.order.tolist() == expected.order.tolist()
            assert actual.propensities.tolist() == expected.propensities.tolist()

    def test_state_with_other_parameters_is_rejected(self, name: str) -> None:
        with pytest.raises(ValueError, match="features"):
            create_policy(name, WIDTH + 1).restore(trained(name).state())

    def test_non_finite_features_are_harmless(self, name: str) -> None:
        policy = trained(name)
        bad_features = candidate_features()
        bad_features[3], bad_features[4, 1], bad_features[5], bad_features[6] = np.nan, np.inf, -np.inf, 1e30
        policy.observe_impressions(bad_features[:10], positions(10), 4_000.0, item_hashes(10))
        for value in (1.0, np.nan, np.inf):
            policy.reward(bad_features[3], 3, value, 4_000.0, item=int(item_hashes()[3]), user="u")
        slate = policy.decide(bad_features, 10, 1, item_hashes())
        assert len(set(slate.order.tolist())) == 10
        assert np.isfinite(slate.propensities).all()
        clean = policy.decide(candidate_features(), 40, 1, item_hashes())
        assert sorted(clean.order.tolist()) == list(range(40))

    def test_extreme_rewards_leave_slates_valid(self, name: str) -> None:
        policy = trained(name)
        for value in (1e300, -1e300):
            policy.reward(candidate_features()[3], 3, value, 4_000.0, item=int(item_hashes()[3]), user="u")
        slate = policy.decide(candidate_features(), 10, 1, item_hashes())
        assert len(set(slate.order.tolist())) == 10
        assert np.isfinite(slate.propensities).all()
        for part in policy.state().values():
            for array in part.values() if isinstance(part, dict) else [part]:
                if isinstance(array, np.ndarray) and array.dtype == np.float64:
                    assert np.isfinite(array).all(), "an infinite sum would never decay"

    def test_out_of_range_positions_are_clipped(self, name: str) -> None:
        policy = trained(name)
        policy.observe_impressions(
            candidate_features(2), np.array([-3, 5_000], np.int32), 4_000.0, item_hashes(2)
        )
        policy.reward(candidate_features(2)[0], -1, 1.0, 4_000.0, item=int(item_hashes()[0]))
        policy.reward(candidate_features(2)[0], 5_000, 1.0, 4_000.0, item=int(item_hashes()[0]))
        assert len(policy.decide(candidate_features(), 10, 1, item_hashes()).order) == 10

    def test_wrong_number_of_features_is_rejected(self, name: str) -> None:
        with pytest.raises(ValueError, match="6 features are expected"):
            trained(name).decide(candidate_features(width=7), 3, 1, item_hashes())

    def test_untrained_policy_roughly_keeps_the_fused_order(self, name: str) -> None:
        policy = create_policy(name, WIDTH)
        candidates = candidate_features()
        fused_scores = [
            candidates[policy.decide(candidates, 10, seed, item_hashes()).order, 0].sum()
            for seed in range(300)
        ]
        assert np.mean(fused_scores) > 0.93 * candidates[:10, 0].sum()

    def test_any_user_can_be_forgotten(self, name: str) -> None:
        policy = trained(name)
        policy.forget_user("u1")
        policy.forget_user("nobody")


@pytest.mark.parametrize("name", FEATURE_WEIGHTING_POLICIES)
class TestFeatureWeightingPolicies:
    def test_liked_features_rise_and_disliked_features_fall(self, name: str) -> None:
        # enough exploration that 50 seeds display more than one list
        policy, candidates = (
            create_policy(name, WIDTH, exploration=0.2, prior_strength=1_000.0),
            candidate_features(),
        )
        train(policy, 3_000)
        displayed = np.concatenate(
            [candidates[policy.decide(candidates, 5, seed).order] for seed in range(50)]
        )
        assert displayed[:, 2].mean() > candidates[:, 2].mean() + 0.15
        assert displayed[:, 3].mean() < candidates[:, 3].mean()

    def test_reward_scale_does_not_matter(self, name: str) -> None:
        slates = []
        for scale in (1.0, 64.0):
            policy = create_policy(name, WIDTH)
            for turn in range(200):
                displayed = candidate_features(10, seed=turn)
                policy.observe_impressions(displayed, positions(10), float(turn))
                policy.reward(displayed[turn % 10], turn % 10, scale, float(turn), user="u")
            slates.append(
                [policy.decide(candidate_features(), 10, seed).order.tolist() for seed in range(20)]
            )
        assert slates[0] == slates[1]

    def test_memory_does_not_grow_with_events(self, name: str) -> None:
        few, many = trained(name, 100), trained(name, 400)
        assert few.memory() == many.memory() > 0


@pytest.mark.parametrize("name", ["thompson", "session_value", "item_thompson"])
def test_propensities_at_each_position_sum_to_one(name: str) -> None:
    policy, propensities = trained(name), dict[tuple[int, int], float]()
    for seed in range(2_000):
        slate = policy.decide(candidate_features(), 5, seed, item_hashes())
        for position, (row, propensity) in enumerate(zip(slate.order, slate.propensities, strict=True)):
            assert propensities.setdefault((position, int(row)), float(propensity)) == propensity
    for position in range(5):
        assert sum(
            propensity for (at, _), propensity in propensities.items() if at == position
        ) == pytest.approx(1.0)


def test_popularity_sorts_by_its_column_and_fixed_keeps_the_order() -> None:
    candidates = candidate_features()
    by_column = create_policy("popularity", WIDTH, column=4).decide(candidates, 40, 1).order
    assert (np.diff(candidates[by_column, 4]) <= 0).all()
    assert create_policy("fixed", WIDTH, column=4).decide(candidates, 4, 1).order.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("popularity", {"column": 6}),
        ("thompson", {"draws": 0}),
        ("thompson", {"prior_feature": 9}),
        ("thompson", {"position_model": "guess"}),
        ("linucb", {"exploration": -1.0}),
        ("linucb", {"half_life": 0.0}),
        ("epsilon_greedy", {"epsilon": 1.5}),
        ("item_thompson", {"reward_distribution": "stars"}),
        ("session_value", {"discount": 2.0}),
    ],
)
def test_invalid_parameters_raise_a_user_error(name: str, setting: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=name):
        create_policy(name, WIDTH, **setting)


def compiled_signatures() -> dict[str, int]:
    """Number of compiled signatures of each kernel."""
    modules = [
        importlib.import_module(f"{kernels.__name__}.{module.name}")
        for module in pkgutil.iter_modules(kernels.__path__)
    ]
    return {
        f"{module.__name__}.{name}": len(each.signatures)
        for module in modules
        for name, each in vars(module).items()
        if hasattr(each, "signatures")
    }


def test_nothing_compiles_after_warm_up_for_any_array_layout() -> None:
    warm_up()
    before = compiled_signatures()
    assert sum(before.values()) > 10
    read_only = candidate_features(1)
    read_only.flags.writeable = False
    shapes: list[Any] = [
        candidate_features(30)[::2],
        candidate_features(1),
        read_only,
        candidate_features().astype(np.float16),
        candidate_features(width=12)[:, ::2],
    ]
    for name in POLICIES:
        policy: Any = create_policy(name, WIDTH)
        for displayed in shapes:
            count = len(displayed)
            policy.observe_impressions(displayed, np.arange(count)[::-1], 5, item_hashes(count))
            for value in (np.float32(2), 1):
                policy.reward(
                    displayed[0], np.int64(3), value, 6, item=int(item_hashes()[0]), user="u", first=np.True_
                )
            policy.decide(displayed, 3, 1, item_hashes(count))
    assert compiled_signatures() == before

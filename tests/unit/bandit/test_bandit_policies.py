"""What holds for every policy, found by its name in the registry."""

import copy
from typing import Any

import numpy as np
import pytest

from stream_app.bandit.kernels import critic as critic_kernels
from stream_app.bandit.kernels import decision as decision_kernels
from stream_app.bandit.kernels import posterior as posterior_kernels
from stream_app.bandit.policy import Policy
from stream_app.bandit.policy_registry import POLICIES, create_policy, warm_up
from stream_app.errors import UserError
from tests.support.bandit_builders import WIDTH, hashes, options, places, teach

LEARNING = [name for name, policy in POLICIES.items() if policy.learns]
WEIGHING = [name for name in LEARNING if name != "item_thompson"]


def plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return (value.shape, value.dtype.str, value.tobytes())
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list) else value


def taught(name: str, lists: int = 50) -> Policy:
    policy = create_policy(name, WIDTH)
    teach(policy, lists)
    return policy


def test_the_registry_has_every_policy_that_lists_and_metrics_name() -> None:
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
    def test_a_slate_has_distinct_candidates_and_chances(self, name: str) -> None:
        policy = taught(name)
        for k in (0, 1, 7, 40, 50):
            slate = policy.decide(options(), k, 3, hashes())
            assert len(slate.order) == len(slate.propensities) == min(k, 40)
            assert len(set(slate.order.tolist())) == min(k, 40)
            assert ((slate.order >= 0) & (slate.order < 40)).all()
            assert ((slate.propensities > 0) & (slate.propensities <= 1)).all()

    def test_no_candidates_make_an_empty_slate(self, name: str) -> None:
        slate = taught(name).decide(options(0), 5, 1, hashes(0))
        assert len(slate.order) == len(slate.propensities) == 0

    def test_the_same_seed_decides_the_same_and_deciding_changes_nothing(self, name: str) -> None:
        policy = taught(name)
        before = plain(policy.state())
        slates = [policy.decide(options(), 10, seed, hashes()) for seed in (5, -1, 2**70, 5)]
        assert slates[0].order.tolist() == slates[3].order.tolist()
        assert slates[0].propensities.tolist() == slates[3].propensities.tolist()
        assert plain(policy.state()) == before

    def test_a_restored_policy_goes_on_as_the_one_before_it(self, name: str) -> None:
        whole, again = taught(name), create_policy(name, WIDTH)
        again.restore(copy.deepcopy(whole.state()))
        assert plain(again.state()) == plain(whole.state())
        for policy in (whole, again):
            teach(policy, 20, seed=9, start=3_000.0)
        assert plain(again.state()) == plain(whole.state())
        for seed in range(20):
            mine, theirs = (policy.decide(options(), 10, seed, hashes()) for policy in (again, whole))
            assert mine.order.tolist() == theirs.order.tolist()
            assert mine.propensities.tolist() == theirs.propensities.tolist()

    def test_a_state_of_other_settings_is_refused(self, name: str) -> None:
        with pytest.raises(ValueError, match="features"):
            create_policy(name, WIDTH + 1).restore(taught(name).state())

    def test_features_that_are_no_numbers_do_no_harm(self, name: str) -> None:
        policy = taught(name)
        odd = options()
        odd[3], odd[4, 1], odd[5], odd[6] = np.nan, np.inf, -np.inf, 1e30
        policy.see(odd[:10], places(10), 4_000.0, hashes(10))
        for value in (1.0, np.nan, np.inf):
            policy.reward(odd[3], 3, value, 4_000.0, item=int(hashes()[3]), user="u")
        slate = policy.decide(odd, 10, 1, hashes())
        assert len(set(slate.order.tolist())) == 10
        assert np.isfinite(slate.propensities).all()
        clean = policy.decide(options(), 40, 1, hashes())
        assert sorted(clean.order.tolist()) == list(range(40))

    def test_rewards_of_absurd_size_leave_lists_whole(self, name: str) -> None:
        policy = taught(name)
        for value in (1e300, -1e300):
            policy.reward(options()[3], 3, value, 4_000.0, item=int(hashes()[3]), user="u")
        slate = policy.decide(options(), 10, 1, hashes())
        assert len(set(slate.order.tolist())) == 10
        assert np.isfinite(slate.propensities).all()
        for part in policy.state().values():
            for array in part.values() if isinstance(part, dict) else [part]:
                if isinstance(array, np.ndarray) and array.dtype == np.float64:
                    assert np.isfinite(array).all(), "an infinite sum would never fade"

    def test_places_beyond_the_last_and_below_the_first_are_no_error(self, name: str) -> None:
        policy = taught(name)
        policy.see(options(2), np.array([-3, 5_000], np.int32), 4_000.0, hashes(2))
        policy.reward(options(2)[0], -1, 1.0, 4_000.0, item=int(hashes()[0]))
        policy.reward(options(2)[0], 5_000, 1.0, 4_000.0, item=int(hashes()[0]))
        assert len(policy.decide(options(), 10, 1, hashes()).order) == 10

    def test_another_number_of_features_is_told(self, name: str) -> None:
        with pytest.raises(ValueError, match="6 features are expected"):
            taught(name).decide(options(width=7), 3, 1, hashes())

    def test_before_any_reward_about_the_fused_order_is_shown(self, name: str) -> None:
        policy = create_policy(name, WIDTH)
        candidates = options()
        worth = [
            candidates[policy.decide(candidates, 10, seed, hashes()).order, 0].sum() for seed in range(300)
        ]
        assert np.mean(worth) > 0.93 * candidates[:10, 0].sum()

    def test_forgetting_a_shopper_is_always_possible(self, name: str) -> None:
        policy = taught(name)
        policy.forget_user("u1")
        policy.forget_user("nobody")


@pytest.mark.parametrize("name", WEIGHING)
class TestPoliciesThatWeighFeatures:
    def test_what_is_liked_comes_up_and_what_is_disliked_goes_down(self, name: str) -> None:
        policy, candidates = taught(name, 3_000), options()
        shown = np.concatenate([candidates[policy.decide(candidates, 5, seed).order] for seed in range(50)])
        assert shown[:, 2].mean() > candidates[:, 2].mean() + 0.15
        assert shown[:, 3].mean() < candidates[:, 3].mean()

    def test_the_currency_of_rewards_does_not_matter(self, name: str) -> None:
        slates = []
        for scale in (1.0, 64.0):
            policy = create_policy(name, WIDTH)
            for turn in range(200):
                shown = options(10, seed=turn)
                policy.see(shown, places(10), float(turn))
                policy.reward(shown[turn % 10], turn % 10, scale, float(turn), user="u")
            slates.append([policy.decide(options(), 10, seed).order.tolist() for seed in range(20)])
        assert slates[0] == slates[1]

    def test_memory_does_not_grow_with_what_is_told(self, name: str) -> None:
        few, many = taught(name, 100), taught(name, 400)
        assert few.memory() == many.memory() > 0


@pytest.mark.parametrize("name", ["thompson", "session_value", "item_thompson"])
def test_chances_agree_between_all_candidates_that_may_be_shown(name: str) -> None:
    policy, seen = taught(name), dict[tuple[int, int], float]()
    for seed in range(2_000):
        slate = policy.decide(options(), 5, seed, hashes())
        for place, (row, chance) in enumerate(zip(slate.order, slate.propensities, strict=True)):
            assert seen.setdefault((place, int(row)), float(chance)) == chance
    for place in range(5):
        assert sum(chance for (at, _), chance in seen.items() if at == place) == pytest.approx(1.0)


def test_popularity_goes_by_its_column_and_fixed_by_the_order_given() -> None:
    candidates = options()
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
        ("item_thompson", {"rewards": "stars"}),
        ("session_value", {"discount": 2.0}),
    ],
)
def test_settings_that_make_no_sense_are_told_to_people(name: str, setting: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=name):
        create_policy(name, WIDTH, **setting)


def compiled() -> dict[str, int]:
    """How many sorts of arguments each kernel is compiled for."""
    return {
        f"{module.__name__}.{name}": len(each.signatures)
        for module in (decision_kernels, posterior_kernels, critic_kernels)
        for name, each in vars(module).items()
        if hasattr(each, "signatures")
    }


def test_after_the_warm_up_nothing_is_compiled_whatever_the_arrays_are() -> None:
    warm_up()
    before = compiled()
    assert sum(before.values()) > 10
    frozen = options(1)
    frozen.flags.writeable = False
    shapes: list[Any] = [
        options(30)[::2],
        options(1),
        frozen,
        options().astype(np.float16),
        options(width=12)[:, ::2],
    ]
    for name in POLICIES:
        policy: Any = create_policy(name, WIDTH)
        for shown in shapes:
            count = len(shown)
            policy.see(shown, np.arange(count)[::-1], 5, hashes(count))
            for value in (np.float32(2), 1):
                policy.reward(
                    shown[0], np.int64(3), value, 6, item=int(hashes()[0]), user="u", first=np.True_
                )
            policy.decide(shown, 3, 1, hashes(count))
    assert compiled() == before

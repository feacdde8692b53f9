"""Every policy of the registry, and some of River, pass every check; policies that break a rule fail its check."""

import contextlib
from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pytest

from stream_app.bandit.policy import Features, ItemReward, Keys, Policy, Slate
from stream_app.bandit.policy_registry import POLICIES
from stream_app.models.model_state import State
from stream_app.tools.model_checks.model_check import ModelCheck, NotApplicableError, Outcome, run_checks
from stream_app.tools.model_checks.policy_checks import CHECKS
from stream_app.tools.model_checks.policy_harness import WIDTH, PolicyHarness

RIVER_POLICIES = (
    "river:bandit.UCB(delta=1.0)",
    "river:bandit.ThompsonSampling(proba.Beta(), seed=1)",
    "river:bandit.EpsilonGreedy(0.1, seed=1)",
)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
@pytest.mark.parametrize("name", [*POLICIES, *RIVER_POLICIES])
def test_policy(name: str, check: ModelCheck) -> None:
    with contextlib.suppress(NotApplicableError):
        check.run(partial(PolicyHarness, name))


class Counting(Policy):
    """Moves one candidate to the top by chance; counts rewards by item. Its subclasses each break a rule."""

    name: ClassVar[str] = "counting"

    def __init__(self, features: int, **parameters: Any) -> None:
        super().__init__(features, **parameters)
        self.counts: dict[str, float] = {}

    def decide(self, features: Features, k: int, seed: int, items: Keys | None = None) -> Slate:
        features = self._validated(features)
        assert items is None or len(items) == len(features)
        first = self._first(seed, len(features))
        order = np.array([first, *(row for row in range(len(features)) if row != first)], np.int32)[
            : min(k, len(features))
        ]
        propensities = np.ones(len(order))
        propensities[:] = self._propensities(order, len(features))
        return Slate(order, propensities, 0)

    def _first(self, seed: int, n: int) -> int:
        return int(np.random.default_rng(seed % 2**64).integers(n)) if n else 0

    def _propensities(self, order: Any, n: int) -> Any:
        """Uniform at the top; below, a row is at its place, or one below it where a later one was moved."""
        at = np.arange(len(order))
        moved = np.where(order == at, at, n - at) / max(n, 1)
        return np.where(at == 0, 1 / max(n, 1), moved)

    def _learn_reward(self, features: Features, reward: ItemReward) -> None:
        assert len(features) == self.features
        key = f"item {reward.item % 8}"
        self.counts[key] = self.counts.get(key, 0.0) + reward.value

    def forget_user(self, user: str) -> None:
        self.counts.pop(user, None)

    def memory(self) -> int:
        return 100 * len(self.counts)

    def _get_state(self) -> State:
        return {"counts": dict(self.counts)}

    def _set_state(self, state: Mapping[str, Any]) -> None:
        self.counts = dict(state["counts"])


class Unseeded(Counting):
    def _first(self, seed: int, n: int) -> int:
        return super()._first(seed + int(np.random.default_rng().integers(1_000)), n)


class Overconfident(Counting):
    def _propensities(self, order: Any, n: int) -> Any:
        return np.ones(len(order)) if n else super()._propensities(order, n)


class OfUsers(Counting):
    def _learn_reward(self, features: Features, reward: ItemReward) -> None:
        super()._learn_reward(features, reward)
        self.counts[reward.user] = reward.value

    def forget_user(self, user: str) -> None: ...


class Growing(Counting):
    def _learn_reward(self, features: Features, reward: ItemReward) -> None:
        super()._learn_reward(features, reward)
        self.counts[f"item {reward.item}"] = reward.value


class Unsaved(Counting):
    def _get_state(self) -> State:
        return {"counts": {}}


class Careless(Counting):
    def decide(self, features: Features, k: int, seed: int, items: Keys | None = None) -> Slate:
        return super().decide(features[:, : self.features], k, seed, items)


def failures(policy: type[Policy]) -> dict[str, str]:
    class Harness(PolicyHarness):
        def __init__(self, **_: object) -> None:
            self.policy = policy(WIDTH)

    results = run_checks(Harness, CHECKS)
    return {each.check.name: each.detail for each in results if each.outcome is Outcome.FAIL}


def test_a_policy_of_a_package_can_pass() -> None:
    assert failures(Counting) == {}


@pytest.mark.parametrize(
    ("policy", "check", "detail"),
    [
        (Unseeded, "decisions-repeat-with-the-seed", "the same seed gives another slate"),
        (Overconfident, "propensities-are-those-of-the-draws", "its propensity is 100.0%"),
        (OfUsers, "forgets-users", "the id of a forgotten user is in the state"),
        (Growing, "memory-is-bounded", "memory grows from"),
        (Unsaved, "feedback-is-learned", "`learns` is True, and feedback does not change it"),
        (Careless, "other-features-are-refused", "features are accepted by a policy of"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_policy_that_breaks_a_rule_fails_its_check(policy: type[Policy], check: str, detail: str) -> None:
    assert detail in failures(policy)[check]

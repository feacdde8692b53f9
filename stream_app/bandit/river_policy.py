"""A bandit of River, `river.bandit`, as a policy: its arms are the items."""

import random
from collections.abc import Mapping
from typing import Any, ClassVar, Final

import numpy as np
from river import bandit, base, proba

from stream_app.bandit.policy import (
    Features,
    ItemReward,
    Keys,
    Policy,
    PolicyConfig,
    Positions,
    Slate,
    sample_seed,
)
from stream_app.models.kernels.random import splitmix64
from stream_app.models.model_state import State
from stream_app.models.river_graph import forget_keys, held_bytes
from stream_app.models.river_paths import described
from stream_app.models.river_state import restore_river, river_state

_NEW: Final = "new"
"""Arm of all items without one."""

_NEW_UPDATES: Final = 10
"""Updates of an arm that are also those of `_NEW`."""


class RiverPolicyConfig(PolicyConfig, frozen=True, kw_only=True):
    """Settings of `RiverPolicy`, besides those of River's policy."""

    candidates: int = 10
    """Candidates of the fused order that the policy chooses from; the others keep their order."""
    positions: int = 3
    """Positions that it fills, and learns from: those below are looked at too seldom to compare items by them."""
    draws: int = 8
    """Slates of the ensemble that a list is chosen from, so that its propensities are exact."""
    max_arms: int = 20_000
    """Items with an arm; the one whose last update is longest ago loses it."""
    seed: int = 7
    """Seed of the ensemble."""

    def __post_init__(self) -> None:
        for name in ("candidates", "positions", "draws", "max_arms"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more, not {getattr(self, name)!r}")


class RiverPolicy(Policy):
    """Fills the first positions by the pulls of a River policy among the best candidates of the fused order.

    An impression updates the item's arm with 0, and a reaction with its value (a distribution that counts, such as
    `proba.Beta`, with whether it is above 0). So means of arms are a little below the reward per impression, in the
    same order. An item without an arm is pulled as one arm of all new items, which the first `_NEW_UPDATES` updates
    of each item teach: River's policies remember whatever they are asked about, or prefer it to everything.

    A policy that samples is asked several times with seeds of the state, and a slate is one of these: its propensity
    is the share of them with the item at its position.

    Parameters
    ----------
    features
        Number of features of a candidate; none is used.
    river
        A River policy that has learned nothing; it is copied.
    name
        Name of the policy.
    **parameters
        See `RiverPolicyConfig`.

    Raises
    ------
    ValueError
        If the River policy needs a context, or learns from its own last pull alone.

    Examples
    --------
    >>> policy = RiverPolicy(2, river=bandit.UCB(delta=0.1), candidates=3, positions=1)
    >>> options, items = np.zeros((4, 2), np.float32), np.arange(1, 5, dtype=np.uint64)
    >>> for _ in range(50):
    ...     policy.observe_impressions(options[:2], np.zeros(2, np.int32), 0.0, items[:2])
    ...     policy.reward(options[1], 0, 1.0, 0.0, item=2)
    >>> policy.decide(options, k=4, seed=1, items=items).order.tolist()
    [1, 0, 2, 3]
    """

    config_class: ClassVar[type[PolicyConfig]] = RiverPolicyConfig
    config: RiverPolicyConfig

    def __init__(
        self, features: int, *, river: bandit.base.Policy, name: str = "river", **parameters: Any
    ) -> None:
        super().__init__(features, **parameters)
        # the name of a wrapped object comes from the settings
        self.name = name  # type: ignore[misc]
        self.river = river
        self.parameters["river"] = _described(river)
        if isinstance(river, bandit.base.ContextualPolicy):
            raise ValueError(  # noqa: TRY004  # a setting, not a programming error
                "it has one context for all arms, but candidates have features of their own; see linucb"
            )
        _check_foreign_updates(river.clone())
        self._reset()

    def _get_params(self) -> dict[str, Any]:
        own = {name: value for name, value in self.parameters.items() if name != "river"}
        return {**own, "river": self.river, "name": self.name}

    def _reset(self) -> None:
        self._random = random.Random(self.config.seed)  # seeded for each draw
        self._learned: Any = self.river.clone()
        self._share_random(self._learned)
        self._is_counting = isinstance(self._learned.reward_obj, proba.Beta)
        # updates of each arm, in the order of the last
        self._arms: dict[str, int] = {}
        self._n_updates = 0
        self._update_arm(_NEW, 0.0)

    def decide(self, features: Features, k: int, seed: int, items: Keys | None = None) -> Slate:
        """Choose a slate of the ensemble; without hashes of the items, the fused order."""
        n = len(self._validated(features))
        k = min(k, n)
        if items is None or not k:
            return Slate(np.arange(k, dtype=np.int32), np.ones(k), 0)
        arms = [f"i{key:x}" for key in items[: self.config.candidates].tolist()]
        arms = [arm if arm in self._arms else _NEW for arm in arms]
        draws = self.config.draws
        base_seed = int(sample_seed(self.config.seed, self._n_updates))
        slates = np.array([self._pulled(arms, base_seed + draw, n)[:k] for draw in range(draws)], np.int32)
        order = slates[int(splitmix64(np.uint64(seed & (2**64 - 1)))) % draws]
        return Slate(order, (slates == order).mean(axis=0), draws)

    def _pulled(self, arms: list[str], seed: int, n: int) -> list[int]:
        """Rows of one slate: the pulls without replacement, then the rest in the fused order."""
        self._random.seed(seed)
        rest = list(range(n))
        pulled: list[int] = []
        for _ in range(min(self.config.positions, len(arms))):
            offered = [row for row in rest if row < len(arms)]
            arm = self._learned.pull([*dict.fromkeys(arms[row] for row in offered)])
            row = next(row for row in offered if arms[row] == arm)
            pulled.append(row)
            rest.remove(row)
        return pulled + rest

    def observe_impressions(
        self, features: Features, positions: Positions, ts: float, items: Keys | None = None
    ) -> None:
        """Update the arms of the items at the first positions with 0."""
        if items is None:
            return
        for position, key in zip(positions.tolist(), items.tolist(), strict=True):
            if position < self.config.positions:
                self._update(f"i{key:x}", 0.0)

    def _learn_reward(self, features: Features, reward: ItemReward) -> None:
        """Update the arm of an item at one of the first positions."""
        if reward.item and reward.position < self.config.positions:
            self._update(f"i{reward.item:x}", reward.value)

    def _update(self, arm: str, value: float) -> None:
        self._n_updates += 1
        updates = self._arms.pop(arm, 0) + 1
        if updates == 1 and len(self._arms) >= self.config.max_arms:
            self._drop_arm(next(iter(self._arms)))
        self._arms[arm] = updates
        self._update_arm(arm, value)
        if updates <= _NEW_UPDATES:
            self._update_arm(_NEW, value)

    def _update_arm(self, arm: str, value: float) -> None:
        is_known = arm in self._learned._rewards  # noqa: SLF001  # River has no other way
        if not is_known:
            self._random.seed(arm)
        self._learned.update(arm, value > 0 if self._is_counting else value)
        if not is_known:
            self._share_random(self._learned._rewards[arm])  # noqa: SLF001  # River has no other way

    def _drop_arm(self, arm: str) -> None:
        del self._arms[arm]
        if not forget_keys(self._learned, [arm]):
            # the arm may be left somewhere: everything is dropped
            self._reset()

    def _share_random(self, river: Any) -> None:
        """Use one generator in all objects: it is seeded before each draw, and 2.5 kB large."""
        if hasattr(river, "_rng"):
            river._rng = self._random  # noqa: SLF001  # River has no other way

    def _get_state(self) -> State:
        return {
            "arms": list(self._arms),
            "updates": np.array(list(self._arms.values()), np.int64),
            "n_updates": self._n_updates,
            "river": river_state(self._learned, with_random=False),
        }

    def _set_state(self, state: Mapping[str, Any]) -> None:
        if state["river"] is None:
            return  # not saved: it starts anew
        restore_river(self._learned, state["river"])
        self._share_random(self._learned)
        for river in self._learned._rewards.values():  # noqa: SLF001  # River has no other way
            self._share_random(river)
        self._arms = dict(zip(state["arms"], state["updates"].tolist(), strict=True))
        self._n_updates = int(state["n_updates"])

    def memory(self) -> int:
        """Memory in bytes, to within a few percent."""
        return held_bytes(self._learned) + 180 * len(self._arms)


def _described(river: bandit.base.Policy) -> str:
    """A River policy and its parameters in one line; its own representation is a table of its arms."""
    params = {
        name: getattr(river, name)
        for name in river._get_params()  # noqa: SLF001  # River has no other way
    }
    described_params = [
        f"{name}={described(value) if isinstance(value, base.Base) else value!r}"
        for name, value in params.items()
    ]
    return f"{type(river).__name__}({', '.join(described_params)})"


def _check_foreign_updates(river: Any) -> None:
    """Raise a ValueError for a policy that cannot learn from lists of others, as all policies do here."""
    try:
        river.pull(["a"])
        river.update("b", True)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{type(river).__name__} learns from its own last pull alone ({error!r}), but every policy learns from "
            "the lists of all"
        ) from None

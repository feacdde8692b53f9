"""One policy, with lists that users react to."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from stream_app.bandit.policy import Features, Keys, Policy, Slate
from stream_app.bandit.policy_registry import create_policy
from stream_app.experiment.live_policies import worker_parameters
from stream_app.experiment.policy_features import FEATURES

WIDTH: Final = len(FEATURES)

LISTED: Final = 10


class PolicyHarness:
    """One policy.

    Parameters
    ----------
    name
        Of the policy.
    overrides
        Settings of the policy, as of ``HEADRACE_POLICY_PARAMETERS``; `parameters` replace them.
    **parameters
        Settings; the policy gets those that it has.
    """

    def __init__(self, name: str, overrides: Mapping[str, Any] | None = None, **parameters: Any) -> None:
        self.policy: Policy = create_policy(
            name, WIDTH, **{**worker_parameters(), **(overrides or {}), **parameters}
        )

    def decide(self, seed: int, *, k: int = LISTED, n: int = 30) -> Slate:
        """A slate of `n` candidates."""
        return self.policy.decide(candidates(n), k, seed, items(n))

    def learn(self, lists: int, *, seed: int = 1, first_item: int = 0) -> "PolicyHarness":
        """Learn lists of ten: the second feature makes a like likely, the third a dislike."""
        rng = np.random.default_rng(seed)
        positions = np.arange(LISTED, dtype=np.int32)
        for turn in range(lists):
            ts, displayed = 60.0 * turn, candidates(LISTED, 1_000 * seed + turn)
            keys = items(LISTED, first_item + 7 * turn)
            self.policy.observe_impressions(displayed, positions, ts, keys)
            for column, chance, value in ((1, 0.3, 1.0), (2, 0.1, -1.0)):
                for at in np.flatnonzero(rng.random(LISTED) < chance * displayed[:, column]).tolist():
                    user = f"u{turn % 5}"
                    self.policy.reward(displayed[at], at, value, ts, item=int(keys[at]), user=user)
        return self

    def slates(self) -> list[tuple[list[int], list[float]]]:
        """Slates of some seeds."""
        found = (self.decide(seed) for seed in range(20))
        return [(slate.order.tolist(), slate.propensities.tolist()) for slate in found]


def candidates(n: int, seed: int = 1) -> Features:
    """Candidates in the fused order: the first feature falls from 1 to 0, the others are uniform."""
    features = np.random.default_rng(seed).random((n, WIDTH)).astype(np.float32)
    features[:, 0] = np.linspace(1.0, 0.0, n)
    return features


def items(n: int, first: int = 0) -> Keys:
    """Hashes of candidates: of 60 items, from one on."""
    numbers = first + np.arange(n, dtype=np.uint64) if first >= 1_000 else (first + np.arange(n)) % 60
    return numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(1)

"""Options and histories that the tests of the policies share."""

import numpy as np
from numpy.typing import NDArray

from stream_app.bandit.policy import Features, Keys, Policy

WIDTH = 6


def candidate_features(count: int = 40, *, seed: int = 1, width: int = WIDTH) -> Features:
    """Candidates in the fused order: the first feature falls, the others are anything from 0 to 1."""
    features = np.random.default_rng(seed).random((count, width)).astype(np.float32)
    features[:, 0] = np.linspace(1.0, 0.0, count)
    return features


def item_hashes(count: int = 40) -> Keys:
    return np.arange(count, dtype=np.uint64) + np.uint64(1 << 63)


def positions(count: int) -> NDArray[np.int32]:
    return np.arange(count, dtype=np.int32)


def train(policy: Policy, lists: int, *, seed: int = 1, start: float = 0.0) -> None:
    """Show lists of ten; what has much of feature 2 is liked, what has much of feature 3 disliked."""
    rng = np.random.default_rng(seed)
    for turn in range(lists):
        ts = start + 60.0 * turn
        shown, items = candidate_features(10, seed=1_000 * seed + turn), item_hashes(10)
        policy.observe_impressions(shown, positions(10), ts, items)
        for position in np.flatnonzero(rng.random(10) < 0.3 * shown[:, 2]):
            policy.reward(
                shown[position], int(position), 1.0, ts, item=int(items[position]), user=f"u{turn % 5}"
            )
        for position in np.flatnonzero(rng.random(10) < 0.1 * shown[:, 3]):
            policy.reward(
                shown[position], int(position), -1.0, ts, item=int(items[position]), user=f"u{turn % 5}"
            )

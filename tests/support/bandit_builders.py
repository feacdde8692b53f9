"""Candidates and histories for the tests of policies."""

import numpy as np
from numpy.typing import NDArray

from stream_app.bandit.policy import Features, Keys, Policy

WIDTH = 6


def candidate_features(count: int = 40, *, seed: int = 1, width: int = WIDTH) -> Features:
    """Candidates in the fused order: the first feature falls from 1 to 0, the others are uniform."""
    features = np.random.default_rng(seed).random((count, width)).astype(np.float32)
    features[:, 0] = np.linspace(1.0, 0.0, count)
    return features


def item_hashes(count: int = 40) -> Keys:
    return np.arange(count, dtype=np.uint64) + np.uint64(1 << 63)


def positions(count: int) -> NDArray[np.int32]:
    return np.arange(count, dtype=np.int32)


def train(policy: Policy, lists: int, *, seed: int = 1, start: float = 0.0) -> None:
    """Learn lists of ten: feature 2 raises the probability of a like, feature 3 that of a dislike."""
    rng = np.random.default_rng(seed)
    for turn in range(lists):
        ts = start + 60.0 * turn
        displayed, items = candidate_features(10, seed=1_000 * seed + turn), item_hashes(10)
        policy.observe_impressions(displayed, positions(10), ts, items)
        for position in np.flatnonzero(rng.random(10) < 0.3 * displayed[:, 2]):
            policy.reward(
                displayed[position], int(position), 1.0, ts, item=int(items[position]), user=f"u{turn % 5}"
            )
        for position in np.flatnonzero(rng.random(10) < 0.1 * displayed[:, 3]):
            policy.reward(
                displayed[position], int(position), -1.0, ts, item=int(items[position]), user=f"u{turn % 5}"
            )

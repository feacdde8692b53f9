"""Options and histories that the tests of the policies share."""

import numpy as np
from numpy.typing import NDArray

from stream_app.bandit.policy import Features, Keys, Policy

WIDTH = 6


def options(count: int = 40, *, seed: int = 1, width: int = WIDTH) -> Features:
    """Candidates in the fused order: the first feature falls, the others are anything from 0 to 1."""
    made = np.random.default_rng(seed).random((count, width)).astype(np.float32)
    made[:, 0] = np.linspace(1.0, 0.0, count)
    return made


def hashes(count: int = 40) -> Keys:
    return np.arange(count, dtype=np.uint64) + np.uint64(1 << 63)


def places(count: int) -> NDArray[np.int32]:
    return np.arange(count, dtype=np.int32)


def teach(policy: Policy, lists: int, *, seed: int = 1, start: float = 0.0) -> None:
    """Show lists of ten; what has much of feature 2 is liked, what has much of feature 3 disliked."""
    rng = np.random.default_rng(seed)
    for turn in range(lists):
        ts = start + 60.0 * turn
        shown, items = options(10, seed=1_000 * seed + turn), hashes(10)
        policy.see(shown, places(10), ts, items)
        for place in np.flatnonzero(rng.random(10) < 0.3 * shown[:, 2]):
            policy.reward(shown[place], int(place), 1.0, ts, item=int(items[place]), user=f"u{turn % 5}")
        for place in np.flatnonzero(rng.random(10) < 0.1 * shown[:, 3]):
            policy.reward(shown[place], int(place), -1.0, ts, item=int(items[place]), user=f"u{turn % 5}")

"""The compiled inner loop of `bpr`; see `kernels` for the rules."""

# ruff: noqa: C901, PLR0912 - one loop, one kernel: arrays are costly to pass on

import math
from typing import Any

import numpy as np

from stream_app.models.kernels.jit import jit


@jit()
def learn_pairs(
    user: int,
    item: int,
    weight: float,
    chosen: bool,
    previous: Any,
    depth: int,
    fade: float,
    pool: Any,
    size: int,
    sample: int,
    samples: int,
    rate: float,
    l2: float,
    clip: float,
    known: Any,
    user_latents: Any,
    item_latents: Any,
    biases: Any,
    vector: Any,
) -> None:
    """Move an item above `samples` others of the pool (below, if it was not chosen) for one shopper.

    The shopper is the sum of their vector and those of their last `depth` items, fading; the gradient goes to
    all of them, and no component leaves [-clip, clip]. Sample number s is drawn by SplitMix64 from the counter
    `sample` + s. `vector` is scratch.
    """
    factors = len(vector)
    first = max(0, len(previous) - depth)
    for drawn in range(samples):
        other = -1
        state = np.uint64(sample + drawn) * np.uint64(0x9E3779B97F4A7C15)
        # what the shopper has just looked at is no negative: a few tries for another
        for _ in range(4):
            state += np.uint64(0x9E3779B97F4A7C15)
            mixed = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            mixed ^= mixed >> np.uint64(31)
            tried = pool[np.int64(mixed % np.uint64(size))]
            mine = tried == item
            for at in range(first, len(previous)):
                mine |= previous[at] == tried
            if not mine:
                other = tried
                break
        if other < 0:
            continue
        winner = item if chosen else other
        loser = other if chosen else item
        for at in range(factors):
            vector[at] = user_latents[user, at]
        factor = 1.0
        for back in range(len(previous) - 1, first - 1, -1):
            seen = previous[back]
            if seen < len(known) and known[seen]:
                for at in range(factors):
                    vector[at] += factor * item_latents[seen, at]
                factor *= fade
        margin = biases[winner] - biases[loser]
        for at in range(factors):
            margin += vector[at] * (item_latents[winner, at] - item_latents[loser, at])
        step = rate * weight / (1.0 + math.exp(min(margin, 500.0)))
        shrink = 1.0 - rate * l2
        biases[winner] = shrink * biases[winner] + step
        biases[loser] = shrink * biases[loser] - step
        factor = 1.0
        for back in range(len(previous) - 1, first - 1, -1):
            seen = previous[back]
            if seen < len(known) and known[seen]:
                for at in range(factors):
                    apart = item_latents[winner, at] - item_latents[loser, at]
                    moved = shrink * item_latents[seen, at] + step * factor * apart
                    item_latents[seen, at] = min(max(moved, -clip), clip)
                factor *= fade
        for at in range(factors):
            apart = item_latents[winner, at] - item_latents[loser, at]
            moved = shrink * user_latents[user, at] + step * apart
            user_latents[user, at] = min(max(moved, -clip), clip)
            moved = shrink * item_latents[winner, at] + step * vector[at]
            item_latents[winner, at] = min(max(moved, -clip), clip)
            moved = shrink * item_latents[loser, at] - step * vector[at]
            item_latents[loser, at] = min(max(moved, -clip), clip)

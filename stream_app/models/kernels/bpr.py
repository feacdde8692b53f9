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
    is_positive: bool,
    previous: Any,
    depth: int,
    context_decay: float,
    pool: Any,
    size: int,
    sample: int,
    samples: int,
    learning_rate: float,
    l2: float,
    clip: float,
    has_vector: Any,
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
    n_factors = len(vector)
    first = max(0, len(previous) - depth)
    for index_of_sample in range(samples):
        other = -1
        state = np.uint64(sample + index_of_sample) * np.uint64(0x9E3779B97F4A7C15)
        # what the shopper has just looked at is no negative: a few tries for another
        for _ in range(4):
            state += np.uint64(0x9E3779B97F4A7C15)
            mixed = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            mixed ^= mixed >> np.uint64(31)
            candidate = pool[np.int64(mixed % np.uint64(size))]
            is_recent = candidate == item
            for at in range(first, len(previous)):
                is_recent |= previous[at] == candidate
            if not is_recent:
                other = candidate
                break
        if other < 0:
            continue
        positive = item if is_positive else other
        negative = other if is_positive else item
        for at in range(n_factors):
            vector[at] = user_latents[user, at]
        factor = 1.0
        for back in range(len(previous) - 1, first - 1, -1):
            earlier = previous[back]
            if earlier < len(has_vector) and has_vector[earlier]:
                for at in range(n_factors):
                    vector[at] += factor * item_latents[earlier, at]
                factor *= context_decay
        margin = biases[positive] - biases[negative]
        for at in range(n_factors):
            margin += vector[at] * (item_latents[positive, at] - item_latents[negative, at])
        step = learning_rate * weight / (1.0 + math.exp(min(margin, 500.0)))
        shrink = 1.0 - learning_rate * l2
        biases[positive] = shrink * biases[positive] + step
        biases[negative] = shrink * biases[negative] - step
        factor = 1.0
        for back in range(len(previous) - 1, first - 1, -1):
            earlier = previous[back]
            if earlier < len(has_vector) and has_vector[earlier]:
                for at in range(n_factors):
                    difference = item_latents[positive, at] - item_latents[negative, at]
                    updated = shrink * item_latents[earlier, at] + step * factor * difference
                    item_latents[earlier, at] = min(max(updated, -clip), clip)
                factor *= context_decay
        for at in range(n_factors):
            difference = item_latents[positive, at] - item_latents[negative, at]
            updated = shrink * user_latents[user, at] + step * difference
            user_latents[user, at] = min(max(updated, -clip), clip)
            updated = shrink * item_latents[positive, at] + step * vector[at]
            item_latents[positive, at] = min(max(updated, -clip), clip)
            updated = shrink * item_latents[negative, at] - step * vector[at]
            item_latents[negative, at] = min(max(updated, -clip), clip)

"""The compiled inner loop of `search`; see `kernels` for the rules."""

# ruff: noqa: C901, PLR0912 - one loop, one kernel: arrays are costly to pass on

import math
from typing import Any

from stream_app.models.kernels.jit import jit


@jit()
def accumulate_choices(
    row: int,
    decay_factor: float,
    prior: float,
    items: Any,
    weights: Any,
    sizes: Any,
    words: Any,
    idf: Any,
    n_words: int,
    word_items: Any,
    word_weights: Any,
    word_sizes: Any,
    scores: Any,
    best: Any,
    evidence: Any,
    touched_items: Any,
) -> int:
    """Add up what was chosen after a query and after its words; return how many items were touched.

    The query's own choices count ``n / (n + prior)``, n being their weight now (`decay_factor` times what is
    stored), and those of its words the rest, each word by its rarity. The evidence is -1 where the item was chosen
    after the query itself, else -2 - w for the w-th word.
    """
    n = 0
    query_weight = 0.0
    if 0 <= row < len(sizes):
        total = 0.0
        for at in range(sizes[row]):
            total += weights[row, at]
        if total > 0:
            query_weight = total * decay_factor / (total * decay_factor + prior)
            for at in range(sizes[row]):
                part = query_weight * weights[row, at] / total
                if part > 0:
                    item = items[row, at]
                    touched_items[n] = item
                    n += 1
                    scores[item] = part
                    # no word says more than the query itself
                    best[item] = math.inf
                    evidence[item] = -1
    idf_sum = 0.0
    for word in range(n_words):
        idf_sum += idf[word]
    for word in range(n_words):
        row = words[word]
        if not 0 <= row < len(word_sizes):
            continue
        total = 0.0
        for at in range(word_sizes[row]):
            total += word_weights[row, at]
        if not total > 0:
            continue
        for at in range(word_sizes[row]):
            part = (1.0 - query_weight) * (idf[word] / idf_sum) * (word_weights[row, at] / total)
            if not part > 0:
                continue
            item = word_items[row, at]
            if scores[item] == 0.0:
                touched_items[n] = item
                n += 1
            scores[item] += part
            if part > best[item]:
                best[item] = part
                evidence[item] = -2 - word
    return n

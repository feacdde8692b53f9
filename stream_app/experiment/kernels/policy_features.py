"""Columns of the features of policies, and their formulas but those of user-item affinity."""

from enum import IntEnum

import numpy as np

from stream_app.experiment.kernels.impression_ring import ImpressionHistory
from stream_app.models.array_types import Floats, Items, Matrix, Scores
from stream_app.models.kernels.jit import jit

_DAY = 86_400.0


class PolicyFeature(IntEnum):
    """Columns of the features; each value is from 0 to 1."""

    FUSED_SCORE = 0
    """Fused score relative to the best candidate's, on a logarithmic scale."""
    FUSED_PROBABILITY = 1
    """Fused score as it is: with a learned ranker, the probability that the item is chosen next."""
    FUSED_RANK = 2
    """1 / log2(rank + 2): steep at the head, however flat the scores are."""
    POPULARITY = 3
    """Square root of the decayed count relative to the most popular candidate's."""
    CHOICE_RATE = 4
    """Choices over expected choices r of displayed items, as r / (1 + r); 0.5 is the average."""
    CATEGORY_AFFINITY = 5
    BRAND_AFFINITY = 6
    PRICE_DISTANCE = 7
    VIEWED = 8
    """1 / sqrt(1 + n) of an item viewed in this session n events ago; 0 if it was not viewed."""
    NEWNESS = 9
    """1 for an item first seen now; halves every day."""
    IGNORED = 10
    """1 - 2^-n for n expected examinations on lists of this session (a guess), without a choice since."""
    RECENTLY_IGNORED = 11
    """The same over all lists remembered, with decay."""
    LIST_CHOSEN = 12
    """1 for an item chosen from a list of this session (a guess)."""


@jit()
def write_features(
    items: Items,
    scores: Floats,
    popularity: Scores,
    rates: Floats,
    ages: Floats,
    session: Items,
    history: ImpressionHistory,
    out: Matrix,
) -> None:
    """Write all columns but those of user-item affinity.

    Parameters
    ----------
    items : ndarray of int32, shape (n,)
        Candidates in the fused order.
    scores : ndarray of float64, shape (n,)
        Fused scores.
    popularity : ndarray of float32, shape (n,)
        Decayed counts.
    rates : ndarray of float64, shape (n,)
        Choices over expected choices.
    ages : ndarray of float64, shape (n,)
        Seconds since each item was first seen.
    session : ndarray of int32, shape (m,)
        Items of the session, the oldest first.
    out : ndarray of float32, shape (n, len(PolicyFeature))
    """
    max_score = 1e-30
    max_popularity = 1e-30
    for row in range(len(items)):
        max_score = max(max_score, scores[row])
        max_popularity = max(max_popularity, popularity[row])
    for row in range(len(items)):
        score = scores[row] / max_score
        out[row, PolicyFeature.FUSED_SCORE] = max(0.0, 1.0 + np.log2(score) / 10.0) if score > 0 else 0.0
        out[row, PolicyFeature.FUSED_PROBABILITY] = min(max(scores[row], 0.0), 1.0)
        out[row, PolicyFeature.FUSED_RANK] = 1.0 / np.log2(2.0 + row)
        out[row, PolicyFeature.POPULARITY] = np.sqrt(max(popularity[row], 0.0) / max_popularity)
        out[row, PolicyFeature.CHOICE_RATE] = rates[row] / (1.0 + rates[row])
        out[row, PolicyFeature.VIEWED] = 0.0
        for steps_back in range(len(session)):
            if session[len(session) - 1 - steps_back] == items[row]:
                out[row, PolicyFeature.VIEWED] = 1.0 / np.sqrt(1.0 + steps_back)
                break
        out[row, PolicyFeature.NEWNESS] = 2.0 ** (-max(ages[row], 0.0) / _DAY)
        out[row, PolicyFeature.IGNORED] = 1.0 - 2.0 ** -history.ignored_impressions[row]
        out[row, PolicyFeature.RECENTLY_IGNORED] = 1.0 - 2.0 ** -history.decayed[row]
        out[row, PolicyFeature.LIST_CHOSEN] = history.chosen[row]

"""Trials and probabilities of repeated views."""

import numpy as np
from numpy.typing import NDArray

from stream_app.models.array_types import Floats, Items, Mask, Scores
from stream_app.models.kernels.jit import jit

Classes = NDArray[np.int64]


@jit(inline=True)
def _distinct(
    items: Items,
    is_known: Mask,
    age_classes: Classes,
    n_ages: int,
    n_counts: int,
    out: Items,
    ages: Classes,
    counts: Classes,
) -> int:
    """Write the distinct known items, the newest first, with their age and count classes; return their number."""
    n = 0
    back = 0
    for at in range(len(items) - 1, -1, -1):
        item = items[at]
        if not 0 <= item < len(is_known) or not is_known[item]:
            continue
        found = -1
        for slot in range(n):
            if out[slot] == item:
                found = slot
                break
        if found < 0:
            out[n] = item
            ages[n] = age_classes[back] if back < len(age_classes) else n_ages - 1
            counts[n] = 0
            n += 1
        elif counts[found] < n_counts - 1:
            counts[found] += 1
        back += 1
    return n


@jit()
def count_views(
    previous: Items, chosen: int, is_known: Mask, age_classes: Classes, trials: Floats, successes: Floats
) -> None:
    """Count a click as a trial of every earlier item of the session, and as a success of the clicked one.

    Parameters
    ----------
    previous : ndarray of int32, shape (n,)
        Earlier items, oldest first; they become known, as the clicked one does.
    age_classes : ndarray of int64
        Age class by the number of clicks since.
    trials, successes : ndarray of float64, shape (age classes, count classes)
    """
    is_known[chosen] = True
    for item in previous:
        is_known[item] = True
    if len(previous) == 0:
        return
    items = np.empty(len(previous), np.int32)
    ages = np.empty(len(previous), np.int64)
    counts = np.empty(len(previous), np.int64)
    n_ages, n_counts = trials.shape
    n = _distinct(previous, is_known, age_classes, n_ages, n_counts, items, ages, counts)
    for at in range(n):
        trials[ages[at], counts[at]] += 1.0
        if items[at] == chosen:
            successes[ages[at], counts[at]] += 1.0


@jit()
def score_views(
    context: Items,
    is_known: Mask,
    age_classes: Classes,
    trials: Floats,
    successes: Floats,
    prior: float,
    out_items: Items,
    out_scores: Scores,
) -> int:
    """Write the distinct items of a context, the newest first, and the probability of each; return their number.

    Parameters
    ----------
    context : ndarray of int32, shape (n,)
        Oldest first; unknown items are skipped.
    trials, successes : ndarray of float64, shape (age classes, count classes)
    prior
        Trials that each class starts with, at the overall share.
    out_items, out_scores : ndarray of int32 and of float32, shape (n,)
    """
    ages = np.empty(len(context), np.int64)
    counts = np.empty(len(context), np.int64)
    n_ages, n_counts = trials.shape
    n = _distinct(context, is_known, age_classes, n_ages, n_counts, out_items, ages, counts)
    share = (successes.sum() + 1.0) / (trials.sum() + 20.0)
    for at in range(n):
        age, count = ages[at], counts[at]
        out_scores[at] = (successes[age, count] + prior * share) / (trials[age, count] + prior)
    return n

"""The features of `VectorFeature`, `TrendFeature`, `TwoTowerFeature` and `ProposalFeature`."""

import math

import numpy as np
from numpy.typing import NDArray

from stream_app.models.array_types import Floats, Items, Matrix, Rows, Scores
from stream_app.models.kernels.jit import FUNCTIONS, jit
from stream_app.models.kernels.trending import find_member, trend_score
from stream_app.ranking.kernels.feature_table import (
    ProposalFeature,
    TrendFeature,
    TwoTowerFeature,
    VectorFeature,
)
from stream_app.ranking.kernels.scaling import clip_unit, count_larger, log_count

_MIN_SCORE = 1e-30
_FIRST_HEAD = int(TwoTowerFeature.CART) - 1


@jit(fastmath=FUNCTIONS, numpy_errors=True)
def write_proposal_features(
    slots: Rows, rows: Rows, shortlisted: Rows, items: Items, scores: Scores, first: int, out: Matrix
) -> None:
    """Write the columns of `ProposalFeature` of one model.

    Parameters
    ----------
    slots : ndarray of int32
        Slot of each item among the candidates of the session store, -1 outside.
    rows : ndarray of int32
        Scratch memory, -1 before and after: row of each slot in the shortlist.
    shortlisted : ndarray of int32, shape (n,)
        Slots of the shortlist.
    items, scores : ndarray of int32 and of float32, shape (m,)
        The model's candidates, best first.
    first
        Column of the first feature.
    out : ndarray of float32, shape (n, features)
        Receives the features of the items that the model proposes; 0 before.
    """
    for row in range(len(shortlisted)):
        rows[shortlisted[row]] = row
    # scores that have decayed to next to nothing would divide into infinities
    largest = scores[0] if len(scores) and scores[0] > _MIN_SCORE else np.float32(np.inf)
    for rank in range(len(items)):
        slot = slots[items[rank]]
        row = rows[slot] if slot >= 0 else -1
        if row >= 0:
            out[row, first + ProposalFeature.OF_MAX] = np.sqrt(clip_unit(scores[rank] / largest))
            out[row, first + ProposalFeature.RANK] = np.float32(1.0) - log_count(np.float32(rank), 8.0)
    for row in range(len(shortlisted)):
        rows[shortlisted[row]] = -1


@jit(fastmath=FUNCTIONS, numpy_errors=True)
def write_vector_features(
    all_cosines: Scores, shortlisted: Rows, with_items: Matrix, first: int, out: Matrix
) -> None:
    """Write the columns of `VectorFeature`; cosines come as 1 + cosine, 0 for unknown.

    Parameters
    ----------
    all_cosines : ndarray of float32, shape (candidates,)
        With the session.
    shortlisted : ndarray of int32, shape (n,)
        Slots of the shortlist among the candidates.
    with_items : ndarray of float32, shape (context items, n)
        With each of the context items, the newest first; 2 for the item itself.
    first
        Column of the first feature.
    out : ndarray of float32, shape (n, features)
        Receives the features.
    """
    n = len(shortlisted)
    session_cosines = np.empty(n, np.float32)
    largest = np.float32(0.0)
    for row in range(n):
        session_cosines[row] = all_cosines[shortlisted[row]]
        largest = max(largest, session_cosines[row])
    ranks = np.empty(n, np.float32)
    count_larger(session_cosines, n, ranks)
    half = np.float32(0.5)
    for row in range(n):
        target = out[row, first:]
        target[VectorFeature.WITH_SESSION] = half * session_cosines[row]
        target[VectorFeature.WITH_NEWEST] = target[VectorFeature.WITH_SECOND] = np.float32(0.0)
        nearest = np.float32(0.0)
        for at in range(len(with_items)):
            if with_items[at, row] < 2.0:
                nearest = max(nearest, with_items[at, row])
            if at < 2:
                target[VectorFeature.WITH_NEWEST + at] = half * with_items[at, row]
        target[VectorFeature.WITH_NEAREST] = half * nearest
        target[VectorFeature.OF_MAX] = max(
            np.float32(1.0) - np.float32(2.0) * (largest - session_cosines[row]), np.float32(0.0)
        )
        target[VectorFeature.RANK] = log_count(ranks[row], 9.0)


@jit(fastmath=FUNCTIONS, numpy_errors=True)
def write_trend_features(
    items: Items,
    context_items: Items,
    newest: int,
    expected_per_sum: float,
    buckets: NDArray[np.int64],
    counts: Floats,
    sums: Floats,
    first: int,
    out: Matrix,
) -> None:
    """Write the columns of `TrendFeature`.

    Parameters
    ----------
    items : ndarray of int32, shape (n,)
        The shortlist.
    context_items : ndarray of int32, shape (m,)
        Items of the user, whose trend is the user's own in part; they have 0.
    newest, expected_per_sum, buckets, counts, sums
        See `stream_app.models.trending.Trends`.
    first
        Column of the first feature.
    out : ndarray of float32, shape (n, features)
        Receives the features; 0 for an item that was never counted.
    """
    largest = np.float32(0.0)
    for row in range(len(items)):
        item, excess = items[row], np.float32(0.0)
        if item < len(sums) and find_member(item, context_items, len(context_items)) < 0:
            excess = np.float32(
                trend_score(newest, expected_per_sum, buckets[item], counts[item], sums[item])
            )
        largest = max(largest, excess)
        out[row, first + TrendFeature.EXCESS] = log_count(excess, 6.0)
        out[row, first + TrendFeature.OF_MAX] = excess
    # excesses that have decayed to next to nothing would divide into infinities
    scale = np.float32(1.0) / largest if largest > _MIN_SCORE else np.float32(0.0)
    for row in range(len(items)):
        target = out[row, first:]
        target[TrendFeature.OF_MAX] = np.sqrt(clip_unit(target[TrendFeature.OF_MAX] * scale))


@jit(fastmath=FUNCTIONS)
def write_two_tower_features(
    vectors: Matrix,
    rows: Rows,
    users: Matrix,
    newest: int,
    scales: Scores,
    log_partition: np.float32,
    first: int,
    out: Matrix,
) -> None:
    """Write the columns of `TwoTowerFeature`.

    Parameters
    ----------
    vectors, rows, users, newest, scales, log_partition
        As in `stream_app.models.two_tower.FeatureInputs`.
    first
        Column of the first feature.
    out : ndarray of float32, shape (n, features)
        Receives the features; 0 before, and where an item has no vector.
    """
    user, scale = users[0], scales[0]
    half, one, largest = np.float32(0.5), np.float32(1.0), np.float32(-2.0)
    cosines = np.full(len(rows), np.float32(-np.inf), np.float32)
    for at in range(len(rows)):
        if rows[at] < 0:
            continue
        total, near = np.float32(0.0), np.float32(0.0)
        for i in range(len(user)):
            value = vectors[rows[at], i]
            total += value * user[i]
            if newest >= 0:
                near += value * vectors[newest, i]
        cosines[at] = total
        if newest >= 0:
            out[at, first + TwoTowerFeature.WITH_NEWEST] = half + half * near
        largest = max(largest, total)
    confidence = math.exp(min(np.float32(0.0), largest * scale - log_partition))
    ranks = np.empty(len(rows), np.float32)
    count_larger(cosines, len(rows), ranks)
    for at in range(len(rows)):
        target = out[at, first:]
        target[TwoTowerFeature.CONFIDENCE] = confidence
        if rows[at] < 0:
            continue
        cosine = cosines[at]
        log_probability = min(np.float32(0.0), cosine * scale - log_partition)
        target[TwoTowerFeature.COSINE] = half + half * cosine
        target[TwoTowerFeature.PROBABILITY] = math.sqrt(math.exp(log_probability))
        target[TwoTowerFeature.LOG_PROBABILITY] = max(
            np.float32(0.0), one + log_probability / np.float32(16.0)
        )
        target[TwoTowerFeature.OF_MAX] = max(
            np.float32(0.0), one - (largest - cosine) * scale / np.float32(12.0)
        )
        target[TwoTowerFeature.RANK] = one - min(one, np.float32(math.log(1.0 + ranks[at]) / 6.0))
    for head in range(1, len(users)):
        if scales[head] > 0.0:
            _write_probabilities(vectors, rows, users[head], scales[head], out[:, first + _FIRST_HEAD + head])


@jit(fastmath=FUNCTIONS)
def _write_probabilities(vectors: Matrix, rows: Rows, user: Scores, scale: np.float32, out: Scores) -> None:
    """Write the root of the probability of each item among the others; nothing where an item has no vector."""
    total = np.float32(0.0)
    for at in range(len(rows)):
        if rows[at] < 0:
            continue
        cosine = np.float32(0.0)
        for i in range(len(user)):
            cosine += vectors[rows[at], i] * user[i]
        out[at] = math.exp((cosine - np.float32(1.0)) * scale)
        total += out[at]
    for at in range(len(rows)):
        if rows[at] >= 0:
            out[at] = math.sqrt(out[at] / max(total, np.float32(_MIN_SCORE)))

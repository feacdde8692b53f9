"""Sums that one click of a neighboring session adds to its item; inlined into the neighbor query."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.models.array_types import Scores
from stream_app.models.kernels.jit import DIVISIONS, jit
from stream_app.models.kernels.session_columns import SessionColumn


class SessionMatch(NamedTuple):
    """A touched session, as its clicks need it."""

    matches: int  # context items that it holds, a bit each
    position: int  # of the newest of these
    is_single: bool
    is_near: bool
    in_order: bool  # the second newest context item stands before the newest
    similarity: np.float32
    depth_weight: float  # decreases with the age of the newest match in the context
    recency: np.float32
    stan_weight: float
    click_weight: np.float32
    share: np.float32
    share_root: np.float32
    share_recent: np.float32


@jit(fastmath=DIVISIONS, numpy_errors=True, inline=True)
def first_match(matches: int) -> int:
    """Index of the newest context item that a session holds."""
    first = 0
    while not (matches >> first) & 1:
        first += 1
    return first


@jit(fastmath=DIVISIONS, numpy_errors=True, inline=True)
def context_share(matches: int, context_weights: Scores) -> np.float32:
    """Sum of the weights of the context items that a session holds.

    Parameters
    ----------
    matches
        Context items that the session holds, a bit each.
    context_weights : ndarray of float32, shape (distinct,)
        Weight of each context item, newest first.
    """
    share = np.float32(0.0)
    for at in range(len(context_weights)):
        if (matches >> at) & 1:
            share += context_weights[at]
    return share


@jit(fastmath=DIVISIONS, numpy_errors=True, inline=True)
def _add_distance_to_newest(
    sums: Scores, distance: int, rank_weight: np.float32, match: SessionMatch
) -> None:
    """Add a click to the sums that depend on its distance from the newest context item in the session."""
    weight = match.click_weight
    if distance != 0:
        sums[SessionColumn.CO_OCCURRENCE] += weight
        sums[SessionColumn.CO_OCCURRENCE_BY_RANK] += rank_weight
    if distance > 0:
        sums[SessionColumn.AFTER] += weight / distance
        if distance == 1:
            sums[SessionColumn.NEXT] += weight
        if match.in_order:
            sums[SessionColumn.AFTER_IN_ORDER] += weight / distance
    elif distance < 0:
        sums[SessionColumn.BEFORE] -= weight / distance


@jit(fastmath=DIVISIONS, numpy_errors=True, inline=True)
def _add_distance_to_second(sums: Scores, distance: int, weight: np.float32) -> None:
    """Add a click to the sums that depend on its distance from the second newest context item."""
    if distance != 0:
        sums[SessionColumn.CO_OCCURRENCE_2] += weight
    if distance > 0:
        sums[SessionColumn.AFTER_2] += weight / distance
    elif distance < 0:
        sums[SessionColumn.BEFORE_2] -= weight / distance


@jit(fastmath=DIVISIONS, numpy_errors=True, inline=True)
def add_co_occurrence(
    sums: Scores, position: int, positions: NDArray[np.int8], rank_weight: np.float32, match: SessionMatch
) -> None:
    """Add a click to the sums of co-occurrence with each context item that its session holds.

    Parameters
    ----------
    sums : ndarray of float32, shape (columns,)
        Columns of `SessionColumn`; changed.
    position
        Position of the click in its session.
    positions : ndarray of int8, shape (depth,)
        Position of each context item in the session.
    rank_weight
        Weight by rank of the session among those of the newest context item.
    """
    weight = match.click_weight
    if match.matches & 1:
        _add_distance_to_newest(sums, position - positions[0], rank_weight, match)
    if match.matches & 2:
        _add_distance_to_second(sums, position - positions[1], weight)
    if match.matches & 4 and position != positions[2]:
        sums[SessionColumn.CO_OCCURRENCE_3] += weight
    if match.matches & 8 and position != positions[3]:
        sums[SessionColumn.CO_OCCURRENCE_4] += weight
    if match.matches >> 4:
        sums[SessionColumn.CO_OCCURRENCE_OLDER] += weight


@jit(fastmath=DIVISIONS, numpy_errors=True, inline=True)
def add_similarity(sums: Scores, position: int, nearness: Scores, match: SessionMatch) -> None:
    """Add a click to the sums that depend on the similarity of its session with the context.

    Parameters
    ----------
    sums, position
        As for `add_co_occurrence`.
    nearness : ndarray of float32, shape (length,)
        Weight of a click by its distance from the match.
    """
    if match.is_near:
        sums[SessionColumn.KNN] += match.similarity * match.depth_weight
        sums[SessionColumn.NEAREST_CLICKS] += match.click_weight
    sums[SessionColumn.STAN] += match.stan_weight * nearness[abs(position - match.position)]
    if not match.is_single:
        sums[SessionColumn.MULTI_MATCH] += match.similarity
    sums[SessionColumn.COVISIT_SHARE] += match.share
    sums[SessionColumn.COVISIT_SHARE_RECENT_ROOT] += match.share_root
    sums[SessionColumn.COVISIT_SHARE_RECENT] += match.share_recent
    sums[SessionColumn.SUPPORT] += match.click_weight
    if match.recency > sums[SessionColumn.NEWEST]:  # noqa: PLR1730  # max() would write each time
        sums[SessionColumn.NEWEST] = match.recency

"""The features of `SessionFeature`: from the sums of the session store to columns of the feature matrix.

Each function fills some columns of all rows. The store's arrays and scratch memory are described in
`stream_app.models.kernels.sessions`.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.models.array_types import Integers, Items, Matrix, Rows, Scores
from stream_app.models.kernels.jit import FUNCTIONS, jit
from stream_app.models.kernels.neighbor_scratch import Scratch
from stream_app.models.kernels.session_columns import SessionColumn
from stream_app.models.kernels.sessions import SessionArrays
from stream_app.ranking.kernels.feature_table import SessionFeature
from stream_app.ranking.kernels.scaling import clip_unit, count_larger, fast_log2, log_count, log_share

_REPEAT_WINDOW = 12
_REPEAT_TRIALS = 60
_RANKED = (
    (int(SessionColumn.STAN), int(SessionFeature.STAN_RANK)),
    (int(SessionColumn.KNN), int(SessionFeature.KNN_RANK)),
    (int(SessionColumn.SECOND_HOP), int(SessionFeature.SECOND_HOP_RANK)),
    (int(SessionColumn.COVISIT_SHARE), int(SessionFeature.COVISIT_RANK)),
)


class SessionQuery(NamedTuple):
    """The query of the store that the candidates came from."""

    distinct: int  # distinct context items looked up
    n_sessions: int  # sessions that share an item with the context
    own_session: int  # serial of the user's session, whose clicks do not count; -1 for none
    newest_session: int  # serial of the newest session
    total_clicks: int  # clicks learned so far


class _Rows(NamedTuple):
    """The shortlisted candidates."""

    slots: NDArray[np.int32]  # shape (n,): slots of the candidates in the store's scratch memory
    items: NDArray[np.int32]  # shape (n,)
    clicks: NDArray[np.int64]  # shape (n,): clicks outside the user's own session


class _Aggregates(NamedTuple):
    """Over all rows: `largest` and `totals` of each session column, float32; supports of the newest two items."""

    largest: NDArray[np.float32]
    totals: NDArray[np.float32]
    largest_cosine: np.float32
    first_support: np.float32
    second_support: np.float32


@jit(fastmath=FUNCTIONS, numpy_errors=True, inline=True)
def _earlier_clicks(posting_sessions: Integers, item_clicks: Integers, item: int, own_session: int) -> int:
    """Count an item's clicks without the newest ones, those of the user's own session."""
    n_clicks = item_clicks[item] if 0 <= item < len(item_clicks) else 0
    ring = posting_sessions.shape[1]
    while n_clicks > 0 and posting_sessions[item, (n_clicks - 1) % ring] == own_session:
        n_clicks -= 1
    return n_clicks


@jit(fastmath=FUNCTIONS, numpy_errors=True)
def _aggregate(
    sums: Scores, slots: Rows, item_clicks: Integers, candidate_items: Items
) -> tuple[Scores, Scores, np.float32]:
    columns = sums.shape[1]
    largest = np.full(columns, 1e-9, np.float32)
    totals = np.full(columns, 1e-9, np.float32)
    largest_cosine = np.float32(1e-9)
    for row in range(len(slots)):
        of_candidate = sums[slots[row]]
        for column in range(columns):
            totals[column] += of_candidate[column]
            largest[column] = max(largest[column], of_candidate[column])
        cosine = of_candidate[SessionColumn.SECOND_HOP] / np.sqrt(
            item_clicks[candidate_items[slots[row]]] + np.float32(5.0)
        )
        largest_cosine = max(largest_cosine, cosine)
    return largest, totals, largest_cosine


@jit(fastmath=FUNCTIONS, numpy_errors=True, inline=True)
def _write_rank(
    sums: Scores, slots: Rows, session_column: int, scratch: Scores, ranks: Scores, column: int, out: Matrix
) -> None:
    """Write the rank of each row by one session column; rows without a value are last."""
    n = len(slots)
    for row in range(n):
        scratch[row] = sums[slots[row], session_column]
    count_larger(scratch, n, ranks)
    for row in range(n):
        rank = ranks[row] if scratch[row] > 0 else np.float32(n)
        out[row, column] = log_count(rank, 9.0)


@jit(fastmath=FUNCTIONS, numpy_errors=True, inline=True)
def _write_support_shares(
    scratch: Scratch, rows: _Rows, of_all: _Aggregates, distinct: int, ring: int, first: int, out: Matrix
) -> None:
    """Write sums divided by the sessions of the context item that they are counted over."""
    for row in range(len(rows.slots)):
        sums = scratch.sums[rows.slots[row]]
        target = out[row, first:]
        n_postings = np.float32(min(rows.clicks[row], ring) + 1.0)
        for at in range(4):
            share = cosine = np.float32(0.0)
            if at < distinct:
                support = scratch.supports[at] + np.float32(1.0)
                share = log_share(sums[SessionColumn.CO_OCCURRENCE + at] / support)
                cosine = log_share(sums[SessionColumn.CO_OCCURRENCE + at] / np.sqrt(support * n_postings))
            target[SessionFeature.CO_OCCURRENCE_1 + at] = share
            target[SessionFeature.COSINE_1 + at] = cosine
        target[SessionFeature.AFTER] = log_share(sums[SessionColumn.AFTER] / of_all.first_support)
        target[SessionFeature.NEXT] = log_share(sums[SessionColumn.NEXT] / of_all.first_support)
        target[SessionFeature.BEFORE] = log_share(sums[SessionColumn.BEFORE] / of_all.first_support)
        target[SessionFeature.AFTER_2] = log_share(sums[SessionColumn.AFTER_2] / of_all.second_support)
        target[SessionFeature.BEFORE_2] = log_share(sums[SessionColumn.BEFORE_2] / of_all.second_support)


@jit(fastmath=FUNCTIONS, numpy_errors=True, inline=True)
def _write_sums(scratch: Scratch, rows: _Rows, first: int, out: Matrix) -> None:
    """Write sums on a scale of their own."""
    for row in range(len(rows.slots)):
        sums = scratch.sums[rows.slots[row]]
        target = out[row, first:]
        target[SessionFeature.CO_OCCURRENCE_BY_RANK] = log_share(
            sums[SessionColumn.CO_OCCURRENCE_BY_RANK] / np.float32(40.0)
        )
        target[SessionFeature.NEWEST_SESSION] = sums[SessionColumn.NEWEST]
        target[SessionFeature.COVISIT_SHARE] = log_share(sums[SessionColumn.COVISIT_SHARE])
        target[SessionFeature.MULTI_MATCHES] = log_count(sums[SessionColumn.MULTI_MATCH], 8.0)
        target[SessionFeature.SUPPORT] = log_count(sums[SessionColumn.SUPPORT], 9.0)
        target[SessionFeature.AFTER_IN_ORDER] = log_count(sums[SessionColumn.AFTER_IN_ORDER], 6.0)


@jit(fastmath=FUNCTIONS, numpy_errors=True, inline=True)
def _write_shares_of_sum(scratch: Scratch, rows: _Rows, totals: Scores, first: int, out: Matrix) -> None:
    for row in range(len(rows.slots)):
        sums = scratch.sums[rows.slots[row]]
        target = out[row, first:]
        target[SessionFeature.CO_OCCURRENCE_OLDER] = log_share(
            sums[SessionColumn.CO_OCCURRENCE_OLDER] / totals[SessionColumn.CO_OCCURRENCE_OLDER]
        )
        target[SessionFeature.KNN_SHARE] = log_share(sums[SessionColumn.KNN] / totals[SessionColumn.KNN])
        target[SessionFeature.STAN_SHARE] = log_share(sums[SessionColumn.STAN] / totals[SessionColumn.STAN])
        target[SessionFeature.SECOND_HOP_SHARE] = log_share(
            sums[SessionColumn.SECOND_HOP] / totals[SessionColumn.SECOND_HOP]
        )
        target[SessionFeature.SECOND_HOP_NEWEST_SHARE] = log_share(
            sums[SessionColumn.SECOND_HOP_NEWEST] / totals[SessionColumn.SECOND_HOP_NEWEST]
        )
        target[SessionFeature.NEAREST_CLICKS_SHARE] = log_share(
            sums[SessionColumn.NEAREST_CLICKS] / totals[SessionColumn.NEAREST_CLICKS]
        )
        target[SessionFeature.COVISIT_RECENT_SHARE] = log_share(
            sums[SessionColumn.COVISIT_SHARE_RECENT] / totals[SessionColumn.COVISIT_SHARE_RECENT]
        )


@jit(fastmath=FUNCTIONS, numpy_errors=True, inline=True)
def _write_shares_of_max(
    scratch: Scratch, rows: _Rows, largest: Scores, largest_cosine: np.float32, first: int, out: Matrix
) -> None:
    for row in range(len(rows.slots)):
        sums = scratch.sums[rows.slots[row]]
        target = out[row, first:]
        target[SessionFeature.KNN_OF_MAX] = np.sqrt(sums[SessionColumn.KNN] / largest[SessionColumn.KNN])
        target[SessionFeature.STAN_OF_MAX] = np.sqrt(sums[SessionColumn.STAN] / largest[SessionColumn.STAN])
        target[SessionFeature.MULTI_MATCH_OF_MAX] = np.sqrt(
            sums[SessionColumn.MULTI_MATCH] / largest[SessionColumn.MULTI_MATCH]
        )
        target[SessionFeature.COVISIT_OF_MAX] = np.sqrt(
            sums[SessionColumn.COVISIT_SHARE] / largest[SessionColumn.COVISIT_SHARE]
        )
        target[SessionFeature.SECOND_HOP_OF_MAX] = np.sqrt(
            sums[SessionColumn.SECOND_HOP] / largest[SessionColumn.SECOND_HOP]
        )
        target[SessionFeature.SECOND_HOP_COSINE_OF_MAX] = np.sqrt(
            sums[SessionColumn.SECOND_HOP]
            / np.sqrt(np.float32(rows.clicks[row]) + np.float32(5.0))
            / largest_cosine
        )
        target[SessionFeature.CO_OCCURRENCE_OF_MAX] = np.sqrt(
            sums[SessionColumn.CO_OCCURRENCE] / largest[SessionColumn.CO_OCCURRENCE]
        )
        target[SessionFeature.AFTER_OF_MAX] = np.sqrt(
            sums[SessionColumn.AFTER] / largest[SessionColumn.AFTER]
        )
        target[SessionFeature.COVISIT_RECENT_ROOT_OF_MAX] = np.sqrt(
            sums[SessionColumn.COVISIT_SHARE_RECENT_ROOT] / largest[SessionColumn.COVISIT_SHARE_RECENT_ROOT]
        )
        target[SessionFeature.COVISIT_RECENT_OF_MAX] = np.sqrt(
            sums[SessionColumn.COVISIT_SHARE_RECENT] / largest[SessionColumn.COVISIT_SHARE_RECENT]
        )


@jit(fastmath=FUNCTIONS, numpy_errors=True, inline=True)
def _write_item_history(
    arrays: SessionArrays, rows: _Rows, newest_session: int, first: int, out: Matrix
) -> None:
    """Write how often and how lately the candidate was clicked, in sessions."""
    ring = arrays.posting_sessions.shape[1]
    for row in range(len(rows.items)):
        item = rows.items[row]
        n_clicks = rows.clicks[row]
        target = out[row, first:]
        target[SessionFeature.CLICKS] = log_count(np.float32(n_clicks), 16.0)
        if n_clicks == 0:
            target[SessionFeature.RATE_OF_5] = np.float32(0.0)
            target[SessionFeature.RATE_OF_30] = np.float32(0.0)
            target[SessionFeature.SESSIONS_SINCE] = np.float32(1.0)
            target[SessionFeature.SESSIONS_SINCE_FIRST] = np.float32(1.0)
            continue
        postings = arrays.posting_sessions[item]
        for each in range(2):
            n_recent = min(n_clicks, 5 if each == 0 else 30, ring)
            span = np.float32(newest_session - postings[(n_clicks - n_recent) % ring]) + np.float32(5.0)
            rate = (fast_log2(np.float32(n_recent) / span) + np.float32(18.0)) / np.float32(18.0)
            target[SessionFeature.RATE_OF_5 + each] = clip_unit(rate)
        sessions_since = np.float32(newest_session - postings[(n_clicks - 1) % ring])
        target[SessionFeature.SESSIONS_SINCE] = log_count(sessions_since, 18.0)
        target[SessionFeature.SESSIONS_SINCE_FIRST] = log_count(
            np.float32(newest_session - arrays.first_session[item]), 18.0
        )


@jit(fastmath=FUNCTIONS, numpy_errors=True, inline=True)
def _write_lift(
    scratch: Scratch, rows: _Rows, first_support: np.float32, total_clicks: int, first: int, out: Matrix
) -> None:
    for row in range(len(rows.slots)):
        lift = fast_log2(
            (scratch.sums[rows.slots[row], SessionColumn.CO_OCCURRENCE] + np.float32(0.1))
            / first_support
            * np.float32(total_clicks + 1.0)
            / np.float32(rows.clicks[row] + 1.0)
        )
        out[row, first + SessionFeature.LIFT] = clip_unit((lift + np.float32(4.0)) / np.float32(20.0))


@jit(fastmath=FUNCTIONS, numpy_errors=True, inline=True)
def _repeat_rate(postings: Integers, n_clicks: int) -> np.float32:
    """Estimate how often a click on an item is followed by another one in the same session."""
    ring = len(postings)
    n_trials = min(n_clicks, _REPEAT_TRIALS, ring)
    n_repeats = 0
    for rank in range(1, n_trials):
        if postings[(n_clicks - rank) % ring] == postings[(n_clicks - rank - 1) % ring]:
            n_repeats += 1
    return np.float32(n_repeats + 0.5) / np.float32(n_trials + 1.0)


@jit(fastmath=FUNCTIONS, numpy_errors=True, inline=True)
def _write_occurrences(
    arrays: SessionArrays, rows: _Rows, context_items: Items, first: int, out: Matrix
) -> None:
    """Write where the candidate is in the context itself."""
    length = len(context_items)
    for row in range(len(rows.items)):
        item = rows.items[row]
        target = out[row, first:]
        occurrences = 0
        clicks_back = -1
        for at in range(length - 1, -1, -1):
            if context_items[at] == item:
                occurrences += 1
                if clicks_back < 0:
                    clicks_back = length - 1 - at
        target[SessionFeature.OCCURRENCES] = min(occurrences, 4) * np.float32(0.25)
        target[SessionFeature.CLICKS_SINCE] = (
            np.float32(0.0) if clicks_back < 0 else np.float32(1.0) / np.sqrt(np.float32(1.0 + clicks_back))
        )
        target[SessionFeature.REPEAT_RATE] = (
            _repeat_rate(arrays.posting_sessions[item], rows.clicks[row]) if occurrences else np.float32(0.0)
        )


@jit(fastmath=FUNCTIONS, numpy_errors=True, inline=True)
def _repeat_share(context_items: Items) -> np.float32:
    length = len(context_items)
    share = np.float32(0.0)
    for at in range(1, length):
        for earlier in range(max(0, at - _REPEAT_WINDOW), at):
            if context_items[earlier] == context_items[at]:
                share += np.float32(1.0 / (length - 1.0))
                break
    return share


@jit(fastmath=FUNCTIONS, numpy_errors=True, inline=True)
def _write_list_features(
    context_items: Items,
    newest_clicks: int,
    of_all: _Aggregates,
    query: SessionQuery,
    first: int,
    out: Matrix,
) -> None:
    """Write the features that describe the context, the same in each row."""
    length = len(context_items)
    is_repeat = length > 1 and context_items[length - 1] == context_items[length - 2]
    repeat_share = _repeat_share(context_items)
    for row in range(len(out)):
        target = out[row, first:]
        target[SessionFeature.CONTEXT_CLICKS] = log_count(np.float32(length), 5.0)
        target[SessionFeature.CONTEXT_ITEMS] = log_count(np.float32(query.distinct - 1.0), 3.0)
        target[SessionFeature.NEWEST_SUPPORT] = log_count(of_all.first_support, 8.0)
        target[SessionFeature.SESSIONS_FOUND] = log_count(np.float32(query.n_sessions), 10.0)
        target[SessionFeature.LARGEST_SHARE] = log_share(
            of_all.largest[SessionColumn.CO_OCCURRENCE] / of_all.first_support
        )
        target[SessionFeature.LAST_REPEATED] = np.float32(1.0) if is_repeat else np.float32(0.0)
        target[SessionFeature.NEWEST_CLICKS] = log_count(np.float32(newest_clicks), 16.0)
        target[SessionFeature.CONTEXT_REPEATS] = repeat_share


@jit(fastmath=FUNCTIONS, numpy_errors=True)
def write_session_features(
    arrays: SessionArrays,
    scratch: Scratch,
    slots: Rows,
    context_items: Items,
    query: SessionQuery,
    ranks: Scores,
    first: int,
    out: Matrix,
) -> None:
    """Write the columns of `SessionFeature`.

    Parameters
    ----------
    arrays, scratch
        Of the store, after a query.
    slots : ndarray of int32, shape (n,)
        Slots of the shortlisted candidates in the store's scratch memory.
    context_items : ndarray of int32, shape (m,)
        Items of the context, oldest first: of the session and, where there is room, of earlier ones.
    query
        Of the store.
    ranks : ndarray of float32, shape (at least n,)
        Scratch memory.
    first
        Column of the first feature.
    out : ndarray of float32, shape (n, features)
        Receives the features.
    """
    arrays, scratch, query = SessionArrays(*arrays), Scratch(*scratch), SessionQuery(*query)
    n = len(slots)
    items, clicks = np.empty(n, np.int32), np.empty(n, np.int64)
    for row in range(n):
        items[row] = scratch.candidate_items[slots[row]]
        clicks[row] = _earlier_clicks(arrays.posting_sessions, arrays.clicks, items[row], query.own_session)
    rows = _Rows(slots, items, clicks)
    one = np.float32(1.0)
    largest, totals, largest_cosine = _aggregate(scratch.sums, slots, arrays.clicks, scratch.candidate_items)
    of_all = _Aggregates(
        largest,
        totals,
        largest_cosine,
        scratch.supports[0] + one if query.distinct > 0 else one,
        scratch.supports[1] + one if query.distinct > 1 else one,
    )
    ring = arrays.posting_sessions.shape[1]
    _write_support_shares(scratch, rows, of_all, query.distinct, ring, first, out)
    _write_sums(scratch, rows, first, out)
    _write_shares_of_sum(scratch, rows, totals, first, out)
    _write_shares_of_max(scratch, rows, largest, largest_cosine, first, out)
    for session_column, feature in _RANKED:
        _write_rank(scratch.sums, slots, session_column, scratch.order, ranks, first + feature, out)
    _write_lift(scratch, rows, of_all.first_support, query.total_clicks, first, out)
    _write_item_history(arrays, rows, query.newest_session, first, out)
    _write_occurrences(arrays, rows, context_items, first, out)
    newest = context_items[len(context_items) - 1] if len(context_items) else -1
    newest_clicks = _earlier_clicks(arrays.posting_sessions, arrays.clicks, newest, query.own_session)
    _write_list_features(context_items, newest_clicks, of_all, query, first, out)

"""The features of each candidate that the learned ranker goes by, each from 0 to 1.

Shares are put on a logarithmic scale, counts too, and sums are set against the largest among the candidates, so
that nothing depends on the size of the shop or on its clock: ages are counted in sessions.
"""

# ruff: noqa: C901, PLR0912, PLR0915 - one loop, one kernel: arrays are costly to pass on

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from stream_app.models import user_item_affinity as affinity
from stream_app.models.kernels.jit import FUNCTIONS, jit
from stream_app.models.kernels.sessions import Scratch, SessionArrays

SESSION_FEATURES: Final = (
    # shares of the newest four context items' sessions that hold the candidate, plain and as a cosine
    *(f"together_{n}" for n in range(1, 5)),
    *(f"cosine_{n}" for n in range(1, 5)),
    "after",
    "next",
    "before",
    "after_2",
    "older",
    "by_rank",
    "newest_session",
    # sums against the largest among the candidates
    "knn_of_max",
    "stan_of_max",
    "pairs_of_max",
    "shared_of_max",
    "hop_of_max",
    "together_of_max",
    "after_of_max",
    # sums against the total
    "knn_share",
    "stan_share",
    "shared",
    "hop_share",
    "pairs",
    "hop_cosine_of_max",
    "stan_rank",
    "knn_rank",
    "hop_rank",
    "shared_rank",
    "support",
    "lift",
    # the candidate itself
    "clicks",
    "rate_of_5",
    "rate_of_30",
    "sessions_since",
    "sessions_since_first",
    # in this session already
    "occurrences",
    "clicks_since",
    "before_2",
    # the context, the same for all candidates: they only steer the hidden units
    "session_clicks",
    "session_items",
    "newest_support",
    "sessions_found",
    "largest_share",
    "repeats",
    "hop_newest_share",
    "members_share",
    "newest_clicks",
    "recent_root_of_max",
    "recent_of_max",
    "recent_share",
    "after_both",
    "repeat_rate",
    "repeats_so_far",
)
"""Names of the features from the session store, in their order."""

VECTOR_FEATURES: Final = (
    "vector_session",
    "vector_1",
    "vector_2",
    "vector_best",
    "vector_of_max",
    "vector_rank",
)
"""Names of the features from the item vectors, where these are learned: cosines with the session, its newest and its
second newest item, another item of it that is nearest, the first against the largest, and its rank."""


def feature_names(sources: Sequence[str], *, vectors: bool) -> tuple[str, ...]:
    """Names of all features, with two for each further source: its score against its largest, and its rank.

    Examples
    --------
    >>> feature_names(["content"], vectors=False)[-2:]
    ('content_of_max', 'content_rank')
    """
    own_session = [name for source in sources for name in (f"{source}_of_max", f"{source}_rank")]
    return (
        *SESSION_FEATURES,
        *affinity.AFFINITY_FEATURES,
        *(VECTOR_FEATURES if vectors else ()),
        *own_session,
    )


@jit(fastmath=FUNCTIONS, numpy_errors=True)
def _log2(value: Any) -> Any:
    """Logarithm of a float32 above 0 to within 4e-5, at a fifth of the library's cost: exponent and a polynomial."""
    bits = np.float32(value).view(np.int32)
    m = np.int32((bits & 0x7FFFFF) | 0x3F800000).view(np.float32)
    part = np.float32(1.59392004) + m * (np.float32(-0.40487258) + m * np.float32(0.04342951))
    part = np.float32(-2.78682116) + m * (np.float32(5.04690171) + m * (np.float32(-3.49252564) + m * part))
    return np.float32((bits >> 23) - 127) + part


@jit(fastmath=FUNCTIONS, numpy_errors=True)
def _count_larger(values: Any, n: int, ranks: Any) -> None:
    """How many of the first n values are larger than each; where they are few, counting beats sorting."""
    for row in range(n):
        value = values[row]
        larger = 0
        for other in range(n):
            larger += values[other] > value
        ranks[row] = larger


@jit(fastmath=FUNCTIONS, numpy_errors=True)
def _log_share(value: Any) -> Any:
    """A share from 0 to 1 on a logarithmic scale: 0, 1/1024 is 0.1, 1/32 is 0.5, 1 is 1."""
    return _log2(
        np.float32(1.0) + np.float32(1023.0) * min(max(value, np.float32(0.0)), np.float32(1.0))
    ) * np.float32(0.1)


@jit(fastmath=FUNCTIONS, numpy_errors=True)
def _log_count(value: Any, log2_limit: Any) -> Any:
    """A count on a logarithmic scale that ends at 2 ** top - 1."""
    return min(_log2(np.float32(1.0) + max(value, np.float32(0.0))) / np.float32(log2_limit), np.float32(1.0))


@jit(fastmath=FUNCTIONS, numpy_errors=True)
def write_session_features(
    memory: SessionArrays,
    scratch: Scratch,
    shortlisted: Any,
    clicks: Any,
    distinct: int,
    touched: int,
    own_session: int,
    now: int,
    total: int,
    ranks: Any,
    out: Any,
) -> None:
    """Write the features that follow from the session store.

    Parameters
    ----------
    memory, scratch
        After a look around.
    shortlisted : ndarray of int32, shape (n,)
        Places of the shortlisted among the candidates.
    clicks : ndarray of int32
        Items of the context, oldest first: of the session and, where there is room, of earlier ones.
    distinct, touched
        What the look around found.
    own_session
        Serial of the session that asks: what it taught itself does not count; -1 for none.
    now
        Serial of the newest session.
    total
        Clicks in all.
    ranks : ndarray of float32, shape (4, at least n)
        Scratch.
    out : ndarray of float32, shape (n, features)
        Gets the features in the first columns.
    """
    together, older, after, next_to, before = 0, 4, 5, 6, 7
    knn, stan, pairs, by_rank, newest = 8, 9, 10, 11, 12
    after_second, before_second, shared, support, hop, hop_newest, members = 13, 14, 15, 16, 17, 18, 19
    recent_root, recent, after_both = 20, 21, 22
    n = len(shortlisted)
    ring = memory.posting_sessions.shape[1]
    columns = scratch.sums.shape[1]
    largest = np.full(columns, 1e-9, np.float32)
    totals = np.full(columns, 1e-9, np.float32)
    largest_cosine = np.float32(1e-9)
    for row in range(n):
        sums = scratch.sums[shortlisted[row]]
        for column in range(columns):
            totals[column] += sums[column]
            largest[column] = max(largest[column], sums[column])
        cosine = sums[hop] / np.sqrt(
            memory.clicks[scratch.candidate_items[shortlisted[row]]] + np.float32(5.0)
        )
        largest_cosine = max(largest_cosine, cosine)
    for each in range(4):
        column = (stan, knn, hop, shared)[each]
        for row in range(n):
            scratch.order[row] = scratch.sums[shortlisted[row], column]
        _count_larger(scratch.order, n, ranks[each])
        for row in range(n):
            if not scratch.order[row] > 0:
                ranks[each, row] = n
    length = len(clicks)
    last = clicks[length - 1] if length else -1
    last_clicks = 0
    if 0 <= last < len(memory.clicks):
        last_clicks = memory.clicks[last]
        while last_clicks > 0 and memory.posting_sessions[last, (last_clicks - 1) % ring] == own_session:
            last_clicks -= 1
    first_support = scratch.supports[0] + np.float32(1.0) if distinct > 0 else np.float32(1.0)
    second_support = scratch.supports[1] + np.float32(1.0) if distinct > 1 else np.float32(1.0)
    is_repeat = length > 1 and clicks[length - 1] == clicks[length - 2]
    repeat_share = np.float32(0.0)
    for at in range(1, length):
        for earlier in range(max(0, at - 12), at):
            if clicks[earlier] == clicks[at]:
                repeat_share += np.float32(1.0 / (length - 1.0))
                break
    for row in range(n):
        slot = shortlisted[row]
        sums = scratch.sums[slot]
        item = scratch.candidate_items[slot]
        n_clicks = memory.clicks[item] if item < len(memory.clicks) else 0
        while n_clicks > 0 and memory.posting_sessions[item, (n_clicks - 1) % ring] == own_session:
            n_clicks -= 1
        n_postings = np.float32(min(n_clicks, ring) + 1.0)
        target = out[row]
        for at in range(4):
            if at < distinct:
                supported = scratch.supports[at] + np.float32(1.0)
                target[at] = _log_share(sums[together + at] / supported)
                target[4 + at] = _log_share(sums[together + at] / np.sqrt(supported * n_postings))
            else:
                target[at] = 0.0
                target[4 + at] = 0.0
        target[8] = _log_share(sums[after] / first_support)
        target[9] = _log_share(sums[next_to] / first_support)
        target[10] = _log_share(sums[before] / first_support)
        target[11] = _log_share(sums[after_second] / second_support)
        target[12] = _log_share(sums[older] / totals[older])
        target[13] = _log_share(sums[by_rank] / np.float32(40.0))
        target[14] = sums[newest]
        target[15] = np.sqrt(sums[knn] / largest[knn])
        target[16] = np.sqrt(sums[stan] / largest[stan])
        target[17] = np.sqrt(sums[pairs] / largest[pairs])
        target[18] = np.sqrt(sums[shared] / largest[shared])
        target[19] = np.sqrt(sums[hop] / largest[hop])
        target[20] = np.sqrt(sums[together] / largest[together])
        target[21] = np.sqrt(sums[after] / largest[after])
        target[22] = _log_share(sums[knn] / totals[knn])
        target[23] = _log_share(sums[stan] / totals[stan])
        target[24] = _log_share(sums[shared])
        target[25] = _log_share(sums[hop] / totals[hop])
        target[26] = _log_count(sums[pairs], 8.0)
        target[27] = np.sqrt(sums[hop] / np.sqrt(np.float32(n_clicks) + np.float32(5.0)) / largest_cosine)
        for each in range(4):
            target[28 + each] = _log_count(ranks[each, row], 9.0)
        target[32] = _log_count(sums[support], 9.0)
        lift = _log2(
            (sums[together] + np.float32(0.1))
            / first_support
            * np.float32(total + 1.0)
            / np.float32(n_clicks + 1.0)
        )
        target[33] = min(max((lift + np.float32(4.0)) / np.float32(20.0), np.float32(0.0)), np.float32(1.0))
        target[34] = _log_count(np.float32(n_clicks), 16.0)
        if n_clicks > 0:
            sessions_since = np.float32(now - memory.posting_sessions[item, (n_clicks - 1) % ring])
            for each in range(2):
                n_recent = min(n_clicks, 5 if each == 0 else 30, ring)
                span = np.float32(
                    now - memory.posting_sessions[item, (n_clicks - n_recent) % ring]
                ) + np.float32(5.0)
                rate = (_log2(np.float32(n_recent) / span) + np.float32(18.0)) / np.float32(18.0)
                target[35 + each] = min(max(rate, np.float32(0.0)), np.float32(1.0))
            target[37] = _log_count(sessions_since, 18.0)
            target[38] = _log_count(np.float32(now - memory.first_session[item]), 18.0)
        else:
            target[35] = 0.0
            target[36] = 0.0
            target[37] = 1.0
            target[38] = 1.0
        occurrences = 0
        clicks_back = -1
        for at in range(length - 1, -1, -1):
            if clicks[at] == item:
                occurrences += 1
                if clicks_back < 0:
                    clicks_back = length - 1 - at
        target[39] = min(occurrences, 4) * np.float32(0.25)
        target[40] = (
            np.float32(0.0) if clicks_back < 0 else np.float32(1.0) / np.sqrt(np.float32(1.0 + clicks_back))
        )
        target[41] = _log_share(sums[before_second] / second_support)
        target[42] = _log_count(np.float32(length), 5.0)
        target[43] = _log_count(np.float32(distinct - 1.0), 3.0)
        target[44] = _log_count(first_support, 8.0)
        target[45] = _log_count(np.float32(touched), 10.0)
        target[46] = _log_share(largest[together] / first_support)
        target[47] = np.float32(1.0) if is_repeat else np.float32(0.0)
        target[48] = _log_share(sums[hop_newest] / totals[hop_newest])
        target[49] = _log_share(sums[members] / totals[members])
        target[50] = _log_count(np.float32(last_clicks), 16.0)
        target[51] = np.sqrt(sums[recent_root] / largest[recent_root])
        target[52] = np.sqrt(sums[recent] / largest[recent])
        target[53] = _log_share(sums[recent] / totals[recent])
        target[54] = _log_count(sums[after_both], 6.0)
        target[55] = 0.0
        if occurrences > 0:
            # how often a click on it was followed by another in the same session
            n_trials = min(n_clicks, 60, ring)
            n_repeats = 0
            for rank in range(1, n_trials):
                ring_slot, previous_slot = (n_clicks - rank) % ring, (n_clicks - rank - 1) % ring
                if memory.posting_sessions[item, ring_slot] == memory.posting_sessions[item, previous_slot]:
                    n_repeats += 1
            target[55] = np.float32(n_repeats + 0.5) / np.float32(n_trials + 1.0)
        target[56] = repeat_share


@jit(fastmath=FUNCTIONS, numpy_errors=True)
def write_source_features(
    slots: Any, rows: Any, shortlisted: Any, items: Any, scores: Any, column: int, out: Any
) -> None:
    """Write the score of each of a source's items against its largest, and their rank.

    Parameters
    ----------
    slots : ndarray of int32
        Place of each item among the candidates.
    rows : ndarray of int32
        Scratch, found at -1 and left so: row of each candidate among the shortlisted.
    shortlisted : ndarray of int32, shape (n,)
        Places of the shortlisted among the candidates.
    items, scores : ndarray
        The source's, best first.
    column
        Where to write.
    out : ndarray of float32, shape (n, features)
        Found at 0 in the two columns.
    """
    for row in range(len(shortlisted)):
        rows[shortlisted[row]] = row
    # scores that have faded to next to nothing would divide into infinities
    log2_limit = scores[0] if len(scores) and scores[0] > 1e-30 else np.float32(np.inf)
    for rank in range(len(items)):
        slot = slots[items[rank]]
        row = rows[slot] if slot >= 0 else -1
        if row >= 0:
            out[row, column] = np.sqrt(min(max(scores[rank] / log2_limit, np.float32(0.0)), np.float32(1.0)))
            out[row, column + 1] = np.float32(1.0) - _log_count(np.float32(rank), 8.0)
    for row in range(len(shortlisted)):
        rows[shortlisted[row]] = -1


@jit(fastmath=FUNCTIONS, numpy_errors=True)
def write_vector_features(all_cosines: Any, shortlisted: Any, with_items: Any, column: int, out: Any) -> None:
    """Write the features of the item vectors from 1 + cosines, 0 for unknown.

    Parameters
    ----------
    all_cosines : ndarray of float32
        With the session, of every candidate.
    shortlisted : ndarray of int32, shape (n,)
        Places of the shortlisted among the candidates.
    with_items : ndarray of float32, shape (context items, n)
        With each of the session's items, the newest first, of the shortlisted; 2 for the item itself.
    column
        Where to write.
    out : ndarray of float32, shape (n, features)
    """
    n = len(shortlisted)
    session_cosines = np.empty(n, np.float32)
    largest = np.float32(0.0)
    for row in range(n):
        session_cosines[row] = all_cosines[shortlisted[row]]
        largest = max(largest, session_cosines[row])
    ranks = np.empty(n, np.float32)
    _count_larger(session_cosines, n, ranks)
    for row in range(n):
        half = np.float32(0.5)
        out[row, column] = half * session_cosines[row]
        out[row, column + 1] = out[row, column + 2] = np.float32(0.0)
        best = np.float32(0.0)
        for at in range(len(with_items)):
            if with_items[at, row] < 2.0:
                best = max(best, with_items[at, row])
            if at < 2:
                out[row, column + 1 + at] = half * with_items[at, row]
        out[row, column + 3] = half * best
        out[row, column + 4] = max(
            np.float32(1.0) - np.float32(2.0) * (largest - session_cosines[row]), np.float32(0.0)
        )
        out[row, column + 5] = _log_count(ranks[row], 9.0)

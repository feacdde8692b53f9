"""Scores, evidence and selection of the candidates of a neighbor query."""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from stream_app.models.array_types import Items, Mask, Rows, Scores
from stream_app.models.kernels.jit import DIVISIONS, jit
from stream_app.models.kernels.neighbor_query import SUPPORT_PRIOR
from stream_app.models.kernels.neighbor_scratch import Scratch
from stream_app.models.kernels.session_columns import SessionColumn
from stream_app.models.kernels.topk import kth_largest

OLDER_SESSIONS, IN_CONTEXT, VIEWED_NEXT, CO_OCCURRENCE, UNATTRIBUTED = -1, -2, -3, -4, -5
"""Sources that `attribute_sources` writes."""

N_CO_OCCURRENCES = 4
"""Context items with a co-occurrence column of their own: the newest."""


class QuotaColumn(IntEnum):
    """Columns of the quotas of `shortlist`."""

    SESSION_COLUMN = 0
    """A `SessionColumn`, -1 for the vector scores."""
    QUOTA = 1
    """Candidates selected."""
    BY_CLICKS = 2
    """Whether the value is divided by the root of the clicks."""


@jit(fastmath=DIVISIONS, numpy_errors=True)
def scores_of_column(
    slots: Rows,
    sums: Scores,
    context: Items,
    ages: NDArray[np.int32],
    distinct: int,
    column: int,
    repeat: float,
    out: Scores,
) -> None:
    """Write a column as a share of its largest value, plus a bonus for the items of the context.

    Parameters
    ----------
    slots, sums, context, ages
        Of the `Scratch` after a query.
    distinct
        Number of distinct context items.
    column
        A `SessionColumn`.
    repeat
        Bonus of the newest item; falls with the root of the clicks since, counted from 1.
    out : ndarray of float32, shape (candidates,)
        Receives the scores.
    """
    largest = np.float32(1e-9)
    for at in range(len(out)):
        largest = max(largest, sums[at, column])
    for at in range(len(out)):
        out[at] = sums[at, column] / largest
    for position in range(distinct):
        slot = slots[context[position]]
        if slot >= 0:
            out[slot] += np.float32(repeat / np.sqrt(1.0 + ages[position]))


@jit(fastmath=DIVISIONS, numpy_errors=True)
def find_evidence(
    slots: Rows, sums: Scores, context: Items, supports: Scores, items: Items, out: Items
) -> None:
    """Write for each item the context item whose sessions hold it most often; the item itself if in the context.

    Parameters
    ----------
    slots, sums, supports
        Of the `Scratch` after a query.
    context : ndarray of int32, shape (distinct,)
        Distinct context items, newest first.
    items : ndarray of int32, shape (n,)
    out : ndarray of int32, shape (n,)
        Receives the evidence; -1 for an empty context.
    """
    for at in range(len(items)):
        item = items[at]
        slot = slots[item]
        out[at] = -1 if len(context) == 0 else context[0]
        largest = np.float32(0.0)
        for position in range(len(context)):
            if context[position] == item:
                out[at] = item
                break
            if slot >= 0 and position < N_CO_OCCURRENCES:
                share = sums[slot, position] / (supports[position] + SUPPORT_PRIOR)
                if share > largest:
                    largest = share
                    out[at] = context[position]


@jit(fastmath=DIVISIONS, numpy_errors=True)
def attribute_sources(
    slots: Rows,
    all_sums: Scores,
    context: Items,
    supports: Scores,
    items: Items,
    sources: NDArray[np.int64],
    evidence: Items,
    unattributed: NDArray[np.int64],
) -> int:
    """Attribute each item to the kind of sessions that support it, and to a context item.

    Returns the number of positions written to `unattributed`.

    Parameters
    ----------
    slots, all_sums, supports
        Of the `Scratch` after a query.
    context : ndarray of int32, shape (distinct,)
        Distinct context items, newest first.
    items : ndarray of int32, shape (n,)
        Candidates.
    sources : ndarray of int64, shape (n,)
        Receives `IN_CONTEXT`; `VIEWED_NEXT` if the item mostly follows the newest context item; `CO_OCCURRENCE` with
        one of the newest four; `OLDER_SESSIONS` if its sessions share an older one; else `UNATTRIBUTED`.
    evidence : ndarray of int32, shape (n,)
        Receives the context item; -1 for an empty context.
    unattributed : ndarray of int64, shape (n,)
        Receives the positions of the items that neither the first nor the second hop supports.
    """
    n = 0
    for at in range(len(items)):
        item = items[at]
        sums = all_sums[slots[item]]
        sources[at] = UNATTRIBUTED
        evidence[at] = -1 if len(context) == 0 else context[0]
        largest = np.float32(0.0)
        for position in range(len(context)):
            if context[position] == item:
                sources[at] = IN_CONTEXT
                evidence[at] = item
                break
            if position < N_CO_OCCURRENCES:
                share = sums[position] / (supports[position] + np.float32(SUPPORT_PRIOR))
                if share > largest:
                    largest = share
                    sources[at] = CO_OCCURRENCE
                    evidence[at] = context[position]
        if sources[at] == CO_OCCURRENCE and evidence[at] == context[0]:
            if sums[SessionColumn.NEXT] * 2 > sums[SessionColumn.CO_OCCURRENCE]:
                sources[at] = VIEWED_NEXT
        elif sources[at] == UNATTRIBUTED and sums[SessionColumn.SUPPORT] > 0:
            sources[at] = OLDER_SESSIONS
        elif sources[at] == UNATTRIBUTED and not sums[SessionColumn.SECOND_HOP] > 0:
            unattributed[n] = at
            n += 1
    return n


@jit(fastmath=DIVISIONS, numpy_errors=True, inline=True)
def _mark_best(order: Scores, buffer: Scores, n: int, quota: int, marks: NDArray[np.uint8]) -> None:
    """Mark the candidates with the `quota` largest values above 0, and up to 8 more in a tie."""
    n_positive = 0
    for slot in range(n):
        if order[slot] > 0:
            buffer[n_positive] = order[slot]
            n_positive += 1
    if n_positive == 0:
        return
    threshold = kth_largest(buffer, n_positive, min(quota, n_positive))
    n_selected = 0
    for slot in range(n):
        if order[slot] >= threshold and order[slot] > 0:
            marks[slot] = 1
            n_selected += 1
            if n_selected >= quota + 8:
                break


@jit(fastmath=DIVISIONS, numpy_errors=True)
def shortlist(
    scratch: Scratch,
    n: int,
    clicks: NDArray[np.int64],
    quotas: NDArray[np.int32],
    vector_scores: Scores,
    required: Items,
    allowed: Mask,
    out: Rows,
) -> int:
    """Select candidates: the best of each column and of the vector scores by quota, and required items.

    Returns the number of candidates selected.

    Parameters
    ----------
    scratch, n
        After a query, and the number of candidates.
    clicks : ndarray of int64, shape (n_items,)
        Clicks of each item.
    quotas : ndarray of int32, shape (m, len(QuotaColumn))
    vector_scores : ndarray of float32, shape (p,)
        Scores of the first candidates by item vectors.
    required : ndarray of int32, shape (r,)
        Items selected in any case if allowed; items below 0 are skipped.
    allowed : ndarray of bool, shape (n_items,)
        Whether an item may be on the list.
    out : ndarray of int32, shape (capacity,)
        Receives the indices of the selected candidates.
    """
    scratch = Scratch(*scratch)
    marks = np.zeros(n, np.uint8)
    order = scratch.order
    for at in range(len(required)):
        slot = scratch.slots[required[at]] if required[at] >= 0 else -1
        if slot >= 0:
            marks[slot] = 1
    for each in range(len(quotas)):
        column, quota = quotas[each, QuotaColumn.SESSION_COLUMN], quotas[each, QuotaColumn.QUOTA]
        n_scanned = n if column >= 0 else min(len(vector_scores), n)
        for slot in range(n_scanned):
            value = scratch.sums[slot, column] if column >= 0 else vector_scores[slot]
            if quotas[each, QuotaColumn.BY_CLICKS] > 0:
                value /= np.sqrt(clicks[scratch.candidate_items[slot]] + np.float32(5.0))
            order[slot] = value
        _mark_best(order, scratch.buffer, n_scanned, quota, marks)
    n_chosen = 0
    for slot in range(n):
        if marks[slot] and n_chosen < len(out) and allowed[scratch.candidate_items[slot]]:
            out[n_chosen] = slot
            n_chosen += 1
    return n_chosen

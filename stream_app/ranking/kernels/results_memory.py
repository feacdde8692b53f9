"""The memory of `stream_app.ranking.search.results_ranker`: columns, and kernels that record events in it."""

# ruff: noqa: C901 - one record, one kernel

from enum import IntEnum
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.models.kernels.jit import jit

MAX_RANKED: Final = 200
"""Results of a list that are ranked; the results below keep their order."""

INTERACTIONS: Final = 32
"""Items remembered per user."""

MAX_PAGES: Final = 4
"""Lists remembered per user."""

PAGE_LENGTH: Final = 32
"""Ranks remembered per list."""


class SearchAction(IntEnum):
    """Actions of a user; those below `SEARCHED` have an item."""

    BOUGHT = 0
    VIEWED = 1
    VIEWED_DETAIL = 2
    ADDED_TO_CART = 3
    LIKED = 4
    SEARCHED_ITEM = 5
    SEARCHED = 6


class ResultsMemory(NamedTuple):
    """Memory of users and items; row 0 stands for an unknown user or item, and stays 0."""

    users: NDArray[np.float64]  # shape (users, USER_COLUMNS): columns `STEP` to `FOUND_TS`
    # shape (users, INTERACTIONS, INTERACTION_COLUMNS): columns `ITEM` to `TIMES_CHOSEN`; an entry whose item
    # is 0 is free
    interactions: NDArray[np.int32]
    # shape (users, INTERACTIONS, 2): first interaction of the session and last of all, seconds since the
    # epoch
    times: NDArray[np.float64]
    # shape (users, MAX_PAGES, PAGE_LENGTH + 2): length, rank chosen (-1 for none), then the items
    pages: NDArray[np.int32]
    # shape (users, PAGE_LENGTH + 1): length, then the results of the newest search; length 0 if that event
    # had no results
    found_items: NDArray[np.int32]
    found_prices: NDArray[np.float32]  # shape (users, PAGE_LENGTH): prices of these results, 0 where unknown
    items: NDArray[np.float64]  # shape (items, ITEM_COLUMNS): columns `CHOSEN` to `USERS`
    rank_counts: NDArray[np.float64]  # shape (MAX_RANKED, 2): how often each rank was chosen, and displayed


# columns of ResultsMemory.users; the last two are the session and the time of the remembered results
STEP, SESSION, LAST_TS, PAGES_RECORDED, LAST_ACTION, LAST_ITEM = range(6)
CHOICES, RANK_SUM, PRICED, PRICE_SUM, REPEATED, REPEATABLE = range(6, 12)
FOUND_SESSION, FOUND_TS = range(12, 14)
USER_COLUMNS: Final = 14

# columns of ResultsMemory.interactions: item, session of the last interaction, steps of the last interaction, of the
# last purchase and of the last interaction closer than a view, counts in that session and in earlier ones, choices
# from lists in all of them
(
    ITEM,
    IN_SESSION,
    LAST,
    ACTION,
    BOUGHT_AT,
    DETAIL_AT,
    INTERACTION_COUNT,
    PURCHASE_COUNT,
    VIEWS,
    PAST_COUNT,
    PAST_PURCHASE_COUNT,
) = range(11)
TIMES_CHOSEN: Final = 11
INTERACTION_COLUMNS: Final = 12

# columns of ResultsMemory.items; EXPECTED is the mean number of choices at the ranks where the item was displayed
CHOSEN, IMPRESSIONS, EXPECTED, PRICE, USERS = range(5)
ITEM_COLUMNS: Final = 5


@jit(numpy_errors=True)
def record_interaction(
    users: Any,
    all_interactions: Any,
    all_times: Any,
    items: Any,
    user_row: int,
    item: int,
    action: int,
    ts: float,
    session_gap: float,
    first: bool,
    chosen: bool,
) -> None:
    """Record an interaction of a user; the item of the oldest interaction is evicted.

    Parameters
    ----------
    users, all_interactions, all_times, items
        Of a `ResultsMemory`, changed. To pass the tuple would take as long as the rest of the call.
    user_row, item
        Rows; item 0 where the action has none.
    action
        A `SearchAction`.
    first
        Whether it is the first item of its event.
    chosen
        Whether the item was chosen from a list.
    """
    profile = users[user_row]
    if first:
        if profile[SESSION] == 0 or ts > profile[LAST_TS] + session_gap:
            profile[SESSION] += 1
            profile[STEP] = 0
        profile[STEP] += 1
        profile[LAST_TS] = max(profile[LAST_TS], ts)
        profile[LAST_ACTION] = action
    if item == 0:
        return
    profile[LAST_ITEM] = item
    interactions = all_interactions[user_row]
    times = all_times[user_row]
    at = -1
    oldest = 0
    for j in range(len(interactions)):
        if interactions[j, ITEM] == item:
            at = j
            break
        if interactions[oldest, ITEM] and (not interactions[j, ITEM] or times[j, 1] < times[oldest, 1]):
            oldest = j
    if at < 0:
        at = oldest
        interactions[at, :] = 0
        interactions[at, ITEM] = item
        times[at, 1] = ts
        items[item, USERS] += 1
    record = interactions[at]
    if record[IN_SESSION] != profile[SESSION]:
        record[PAST_COUNT] += record[INTERACTION_COUNT]
        record[PAST_PURCHASE_COUNT] += record[PURCHASE_COUNT]
        record[INTERACTION_COUNT] = 0
        record[PURCHASE_COUNT] = 0
        record[VIEWS] = 0
        record[IN_SESSION] = profile[SESSION]
        record[BOUGHT_AT] = -1
        record[DETAIL_AT] = -1
        times[at, 0] = ts
    step = int(profile[STEP])
    record[INTERACTION_COUNT] += 1
    record[TIMES_CHOSEN] += 1 if chosen else 0
    record[LAST] = step
    record[ACTION] = action
    times[at, 1] = max(times[at, 1], ts)
    if action == SearchAction.BOUGHT:
        record[PURCHASE_COUNT] += 1
        record[BOUGHT_AT] = step
    if action == SearchAction.VIEWED:
        record[VIEWS] += 1
    else:
        record[DETAIL_AT] = step


@jit(numpy_errors=True)
def record_list(memory: ResultsMemory, user_row: int, shown: Any, prices: Any, chosen: int) -> None:
    """Record a list and the choice from it.

    Parameters
    ----------
    shown : ndarray of int32, shape (n,)
        Rows of the items; n is at most `MAX_RANKED`.
    prices : ndarray of float32, shape (n,)
        0 where unknown.
    chosen
        Rank of the choice, -1 for none.
    """
    n = len(shown)
    profile = memory.users[user_row]
    items = memory.items
    page = memory.pages[user_row, int(profile[PAGES_RECORDED]) % MAX_PAGES]
    profile[PAGES_RECORDED] += 1
    page[0] = min(n, PAGE_LENGTH)
    page[1] = chosen if chosen < PAGE_LENGTH else -1
    cheaper = 0
    priced = 0
    for i in range(n):
        if i < PAGE_LENGTH:
            page[2 + i] = shown[i]
        item = items[shown[i]]
        item[IMPRESSIONS] += 1
        item[EXPECTED] += (memory.rank_counts[i, 0] + 0.04) / (memory.rank_counts[i, 1] + 1.0)
        if prices[i] > 0:
            item[PRICE] = 0.7 * item[PRICE] + 0.3 * prices[i] if item[PRICE] > 0 else prices[i]
            priced += 1
            if chosen >= 0 and prices[i] < prices[chosen]:
                cheaper += 1
    for i in range(n):
        memory.rank_counts[i, 1] += 1
    if chosen < 0:
        return
    memory.rank_counts[chosen, 0] += 1
    items[shown[chosen], CHOSEN] += 1
    profile[CHOICES] += 1
    profile[RANK_SUM] += chosen
    if prices[chosen] > 0:
        profile[PRICED] += 1
        profile[PRICE_SUM] += cheaper / max(1, priced - 1)
    last = int(profile[LAST_ITEM])
    for i in range(n):
        if last > 0 and shown[i] == last:
            profile[REPEATABLE] += 1
            profile[REPEATED] += 1 if i == chosen else 0
            break

"""The memory of `stream_app.ranking.search.results_ranker`: columns, and kernels that record events in it."""

from enum import IntEnum
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.models.array_types import Floats, Items, Matrix, Times
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


class UserColumn(IntEnum):
    """Columns of `ResultsMemory.users`."""

    STEP = 0
    """Events of the session."""
    SESSION = 1
    """Number of the session, from 1; 0 for an unknown user."""
    LAST_TS = 2
    PAGES_RECORDED = 3
    LAST_ACTION = 4
    LAST_ITEM = 5
    CHOICES = 6
    """Choices from lists; the next columns are sums over them."""
    RANK_SUM = 7
    PRICED = 8
    """Choices with a price."""
    PRICE_SUM = 9
    """Sum of the shares of cheaper results."""
    REPEATED = 10
    """Choices of the last item interacted with."""
    REPEATABLE = 11
    """Choices from lists that held it."""
    FOUND_SESSION = 12
    """Session of the remembered search results."""
    FOUND_TS = 13
    """Their event time."""


class InteractionColumn(IntEnum):
    """Columns of `ResultsMemory.interactions`."""

    ITEM = 0
    IN_SESSION = 1
    """Session of the last interaction."""
    LAST = 2
    """Step of the last interaction."""
    ACTION = 3
    """The last `SearchAction`."""
    BOUGHT_AT = 4
    """Step of the last purchase in the session, -1 for none."""
    DETAIL_AT = 5
    """Step of the last interaction closer than a view, -1 for none."""
    INTERACTION_COUNT = 6
    """Interactions of that session."""
    PURCHASE_COUNT = 7
    VIEWS = 8
    PAST_COUNT = 9
    """Interactions of earlier sessions."""
    PAST_PURCHASE_COUNT = 10
    TIMES_CHOSEN = 11
    """Choices from lists, in all sessions."""


class ItemColumn(IntEnum):
    """Columns of `ResultsMemory.items`."""

    CHOSEN = 0
    IMPRESSIONS = 1
    EXPECTED = 2
    """Mean number of choices at the ranks where the item was displayed."""
    PRICE = 3
    """Running mean of the displayed prices, 0 before the first."""
    USERS = 4
    """Users who interacted with it."""


class TimeColumn(IntEnum):
    """Columns of `ResultsMemory.times`."""

    FIRST = 0
    """First interaction of the session."""
    LAST = 1
    """Last interaction."""


class PageColumn(IntEnum):
    """Columns of `ResultsMemory.pages`; the items follow from `FIRST_ITEM` on."""

    LENGTH = 0
    CHOSEN = 1
    """Rank chosen, -1 for none."""
    FIRST_ITEM = 2


class RankCount(IntEnum):
    """Columns of `ResultsMemory.rank_counts`."""

    CHOSEN = 0
    DISPLAYED = 1


class ResultsMemory(NamedTuple):
    """Memory of users and items; row 0 stands for an unknown user or item, and stays 0."""

    users: NDArray[np.float64]  # shape (users, len(UserColumn))
    # shape (users, INTERACTIONS, len(InteractionColumn)): an entry whose item is 0 is free
    interactions: NDArray[np.int32]
    times: NDArray[np.float64]  # shape (users, INTERACTIONS, len(TimeColumn))
    # one row per list, shape (users, MAX_PAGES, PageColumn.FIRST_ITEM + PAGE_LENGTH)
    pages: NDArray[np.int32]
    # shape (users, PAGE_LENGTH + 1): length, then the results of the newest search; length 0 if that event
    # had no results
    found_items: NDArray[np.int32]
    found_prices: NDArray[np.float32]  # shape (users, PAGE_LENGTH): prices of these results, 0 where unknown
    items: NDArray[np.float64]  # shape (items, len(ItemColumn))
    rank_counts: NDArray[np.float64]  # shape (MAX_RANKED, len(RankCount))


@jit(numpy_errors=True)
def record_interaction(  # noqa: C901  # one record, one kernel
    users: Floats,
    all_interactions: NDArray[np.int32],
    all_times: Times,
    items: Floats,
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
        if profile[UserColumn.SESSION] == 0 or ts > profile[UserColumn.LAST_TS] + session_gap:
            profile[UserColumn.SESSION] += 1
            profile[UserColumn.STEP] = 0
        profile[UserColumn.STEP] += 1
        profile[UserColumn.LAST_TS] = max(profile[UserColumn.LAST_TS], ts)
        profile[UserColumn.LAST_ACTION] = action
    if item == 0:
        return
    profile[UserColumn.LAST_ITEM] = item
    interactions = all_interactions[user_row]
    times = all_times[user_row]
    at = -1
    oldest = 0
    for j in range(len(interactions)):
        if interactions[j, InteractionColumn.ITEM] == item:
            at = j
            break
        if interactions[oldest, InteractionColumn.ITEM] and (
            not interactions[j, InteractionColumn.ITEM]
            or times[j, TimeColumn.LAST] < times[oldest, TimeColumn.LAST]
        ):
            oldest = j
    if at < 0:
        at = oldest
        interactions[at, :] = 0
        interactions[at, InteractionColumn.ITEM] = item
        times[at, TimeColumn.LAST] = ts
        items[item, ItemColumn.USERS] += 1
    record = interactions[at]
    if record[InteractionColumn.IN_SESSION] != profile[UserColumn.SESSION]:
        record[InteractionColumn.PAST_COUNT] += record[InteractionColumn.INTERACTION_COUNT]
        record[InteractionColumn.PAST_PURCHASE_COUNT] += record[InteractionColumn.PURCHASE_COUNT]
        record[InteractionColumn.INTERACTION_COUNT] = 0
        record[InteractionColumn.PURCHASE_COUNT] = 0
        record[InteractionColumn.VIEWS] = 0
        record[InteractionColumn.IN_SESSION] = profile[UserColumn.SESSION]
        record[InteractionColumn.BOUGHT_AT] = -1
        record[InteractionColumn.DETAIL_AT] = -1
        times[at, TimeColumn.FIRST] = ts
    step = int(profile[UserColumn.STEP])
    record[InteractionColumn.INTERACTION_COUNT] += 1
    record[InteractionColumn.TIMES_CHOSEN] += 1 if chosen else 0
    record[InteractionColumn.LAST] = step
    record[InteractionColumn.ACTION] = action
    times[at, TimeColumn.LAST] = max(times[at, TimeColumn.LAST], ts)
    if action == SearchAction.BOUGHT:
        record[InteractionColumn.PURCHASE_COUNT] += 1
        record[InteractionColumn.BOUGHT_AT] = step
    if action == SearchAction.VIEWED:
        record[InteractionColumn.VIEWS] += 1
    else:
        record[InteractionColumn.DETAIL_AT] = step


@jit(numpy_errors=True)
def count_list(items: Floats, rank_counts: Floats, displayed: Items, chosen: int) -> None:
    """Count the impressions of a list, and the choice from it, for all users.

    Parameters
    ----------
    items, rank_counts
        Of a `ResultsMemory`, changed.
    displayed : ndarray of int32, shape (n,)
        Rows of the items; n is at most `MAX_RANKED`.
    chosen
        Rank of the choice, -1 for none.
    """
    for i in range(len(displayed)):
        item = items[displayed[i]]
        item[ItemColumn.IMPRESSIONS] += 1
        item[ItemColumn.EXPECTED] += (rank_counts[i, RankCount.CHOSEN] + 0.04) / (
            rank_counts[i, RankCount.DISPLAYED] + 1.0
        )
    for i in range(len(displayed)):
        rank_counts[i, RankCount.DISPLAYED] += 1
    if chosen >= 0:
        rank_counts[chosen, RankCount.CHOSEN] += 1
        items[displayed[chosen], ItemColumn.CHOSEN] += 1


@jit(numpy_errors=True)
def record_list(memory: ResultsMemory, user_row: int, displayed: Items, prices: Matrix, chosen: int) -> None:
    """Record a list and the choice from it for its user.

    Parameters
    ----------
    displayed : ndarray of int32, shape (n,)
        Rows of the items; n is at most `MAX_RANKED`.
    prices : ndarray of float32, shape (n,)
        0 where unknown.
    chosen
        Rank of the choice, -1 for none.
    """
    n = len(displayed)
    profile = memory.users[user_row]
    items = memory.items
    page = memory.pages[user_row, int(profile[UserColumn.PAGES_RECORDED]) % MAX_PAGES]
    profile[UserColumn.PAGES_RECORDED] += 1
    page[PageColumn.LENGTH] = min(n, PAGE_LENGTH)
    page[PageColumn.CHOSEN] = chosen if chosen < PAGE_LENGTH else -1
    cheaper = 0
    priced = 0
    for i in range(n):
        if i < PAGE_LENGTH:
            page[PageColumn.FIRST_ITEM + i] = displayed[i]
        item = items[displayed[i]]
        if prices[i] > 0:
            item[ItemColumn.PRICE] = (
                0.7 * item[ItemColumn.PRICE] + 0.3 * prices[i] if item[ItemColumn.PRICE] > 0 else prices[i]
            )
            priced += 1
            if chosen >= 0 and prices[i] < prices[chosen]:
                cheaper += 1
    if chosen < 0:
        return
    profile[UserColumn.CHOICES] += 1
    profile[UserColumn.RANK_SUM] += chosen
    if prices[chosen] > 0:
        profile[UserColumn.PRICED] += 1
        profile[UserColumn.PRICE_SUM] += cheaper / max(1, priced - 1)
    last = int(profile[UserColumn.LAST_ITEM])
    for i in range(n):
        if last > 0 and displayed[i] == last:
            profile[UserColumn.REPEATABLE] += 1
            profile[UserColumn.REPEATED] += 1 if i == chosen else 0
            break

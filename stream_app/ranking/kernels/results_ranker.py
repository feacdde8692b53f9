"""Kernels of `stream_app.ranking.search.results_ranker`: a shopper's touches, and the features of a list of results.

What they share is here too, so that a change of it makes numba compile them anew.
"""

# ruff: noqa: C901, PLR0912, PLR0915 - loops over a short list that share many sums

from enum import IntEnum
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.models.kernels.jit import jit

MAX_RANKED: Final = 200
"""Places of a list that are told apart; what stands further down is not ranked."""

INTERACTIONS: Final = 32
"""Items remembered of a shopper."""

MAX_PAGES: Final = 4
"""Lists remembered of a shopper."""

PAGE_LENGTH: Final = 32
"""Places remembered of each."""


class Action(IntEnum):
    """What a shopper did; those below `SEARCHED` name an item."""

    BOUGHT = 0
    VIEWED = 1
    VIEWED_DETAIL = 2
    ADDED_TO_CART = 3
    LIKED = 4
    SEARCHED_ITEM = 5
    SEARCHED = 6


class ResultFeature(IntEnum):
    """Features, each from 0 to 1, -1 where there is nothing to say; the contexts are the same for a whole list."""

    RANK = 0
    INTERACTIONS = 1
    STEPS_SINCE = 2
    SECONDS_SINCE = 3
    RECENCY_RANK = 4
    PURCHASES = 5
    VIEWS = 6
    LAST_ACTION = 7
    STEPS_SINCE_BOUGHT = 8
    STEPS_SINCE_DETAIL = 9
    DWELL = 10
    FROM_LAST = 11
    FROM_BOUGHT = 12
    FROM_LOWEST = 13
    SCROLL_OFFSET = 14
    NEIGHBOR_STEPS = 15
    PREVIOUS_RANK = 16
    IGNORED = 17
    FROM_PREVIOUS_CHOICE = 18
    PRICE_RANK = 19
    PRICE_TO_INTERACTED = 20
    PRICE_TO_LAST = 21
    PRICE_TO_ABOVE = 22
    CHEAPEST_ABOVE = 23
    CHEAPER_ABOVE = 24
    PRICE_TO_USUAL = 25
    PRICE_PREFERENCE = 26
    RANK_PREFERENCE = 27
    PAST_INTERACTIONS = 28
    PAST_PURCHASES = 29
    INTERACTION_RATE = 30
    CHOICE_RATE = 31
    CONTEXT_SITUATION = 32
    CONTEXT_SECONDS = 33
    CONTEXT_SAME_PAGE = 34
    CONTEXT_REPEATS = 35
    CONTEXT_DIRECTION = 36
    CONTEXT_LAST_ACTION = 37
    CONTEXT_LENGTH = 38
    CONTEXT_LAST_RANK = 39
    CONTEXT_PURCHASES = 40
    CONTEXT_INTERACTED = 41


class ResultsMemory(NamedTuple):
    """What is remembered; row 0 of shoppers and of items is of those never met, and stays 0.

    Attributes
    ----------
    users : ndarray of float64, shape (shoppers, 14)
        By `STEP` and what follows it.
    interactions : ndarray of int32, shape (shoppers, TOUCHES, 12)
        By `ITEM` and what follows it; an entry whose item is 0 is free.
    times : ndarray of float64, shape (shoppers, TOUCHES, 2)
        First touch of the session and last of all, seconds since the epoch.
    pages : ndarray of int32, shape (shoppers, PAGES, PAGE + 2)
        Length, place chosen (-1 for none), then the items.
    found_items : ndarray of int32, shape (shoppers, PAGE + 1)
        Length, then the items of the newest search that said what it found; of length 0 after one that did not.
    found_prices : ndarray of float32, shape (shoppers, PAGE)
        Of these, 0 where unknown.
    items : ndarray of float64, shape (items, 5)
        By `CHOSEN` and what follows it.
    rank_counts : ndarray of float64, shape (PLACES, 2)
        How often each place was chosen, and shown.
    """

    users: NDArray[np.float64]
    interactions: NDArray[np.int32]
    times: NDArray[np.float64]
    pages: NDArray[np.int32]
    found_items: NDArray[np.int32]
    found_prices: NDArray[np.float32]
    items: NDArray[np.float64]
    rank_counts: NDArray[np.float64]


# columns of Memory.shoppers; the last two are the session and the time of what was found
STEP, SESSION, LAST_TS, PAGES_RECORDED, LAST_ACTION, LAST_ITEM = range(6)
CHOICES, RANK_SUM, PRICED, PRICE_SUM, REPEATED, REPEATABLE = range(6, 12)
FOUND_SESSION, FOUND_TS = range(12, 14)
USER_COLUMNS: Final = 14

# columns of Memory.touches: item, its session here, steps of the last touch, of the last purchase and of the last
# touch closer than a view, counts in that session and in those before, choices from lists in all of them
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

# columns of Memory.items; expected are the choices that the places it was shown at bring on average
CHOSEN, IMPRESSIONS, EXPECTED, PRICE, USERS = range(5)
ITEM_COLUMNS: Final = 5

MAX_RANK_DIFFERENCE: Final = 24
"""Places further apart are as far as this."""


@jit(numpy_errors=True)
def _log_count(value: Any, top: float) -> Any:
    """A count, or seconds, on a logarithmic scale that ends at `top`."""
    return min(1.0, np.log1p(max(value, 0.0)) / np.log1p(top))


@jit(numpy_errors=True)
def _signed(value: Any, end: float) -> Any:
    """A signed number; 0.5 is 0, -`end` and what is below it 0, `end` 1."""
    return 0.5 + 0.5 * max(-1.0, min(1.0, value / end))


@jit(numpy_errors=True)
def _rank_difference(rank_counts: Any) -> Any:
    """A difference of places; 0.5 is 0."""
    return (max(-MAX_RANK_DIFFERENCE, min(MAX_RANK_DIFFERENCE, rank_counts)) + MAX_RANK_DIFFERENCE) / (
        2.0 * MAX_RANK_DIFFERENCE
    )


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
    """Remember what a shopper did; the item touched longest ago makes room.

    Parameters
    ----------
    users, all_interactions, all_times, items
        Of a `ResultsMemory` (the tuple itself would take as long to pass as all else together); changed.
    user_row, item
        Rows; item 0 where the act names none.
    action
        An `Action`.
    ts
        Event time, seconds since the epoch.
    session_gap
        Seconds of inactivity that close a session.
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
    if action == Action.BOUGHT:
        record[PURCHASE_COUNT] += 1
        record[BOUGHT_AT] = step
    if action == Action.VIEWED:
        record[VIEWS] += 1
    else:
        record[DETAIL_AT] = step


@jit(numpy_errors=True)
def record_list(memory: ResultsMemory, user_row: int, shown: Any, prices: Any, chosen: int) -> None:
    """Remember a list and what was chosen of it.

    Parameters
    ----------
    memory
        Changed.
    user_row
        Row.
    shown : ndarray of int32, shape (n,)
        Rows of the items; n is at most `MAX_RANKED`.
    prices : ndarray of float32, shape (n,)
        0 where unknown.
    chosen
        Place, -1 for none of them.
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


@jit(numpy_errors=True)
def _price_features(shown: Any, given_prices: Any, price: Any, items: Any, out: Any) -> None:
    """Write how prices compare within a list; `price` has the remembered ones beside `given_prices`."""
    n = len(shown)
    price_change_sum = 0.0
    n_known = 0
    priced = 0
    for i in range(n):
        if given_prices[i] > 0 and items[shown[i], PRICE] > 0:
            price_change_sum += np.log(price[i]) - np.log(items[shown[i], PRICE])
            n_known += 1
        priced += 1 if price[i] > 0 else 0
    cheapest = 0.0
    for i in range(n):
        if price[i] <= 0:
            continue
        n_cheaper = 0
        n_cheaper_above = 0
        for k in range(n):
            if price[k] > 0 and (price[k] < price[i] or (price[k] == price[i] and k < i)):
                n_cheaper += 1
                n_cheaper_above += 1 if k < i and price[k] < price[i] else 0
        target = out[i]
        target[ResultFeature.PRICE_RANK] = n_cheaper / max(1, priced - 1)
        target[ResultFeature.CHEAPER_ABOVE] = _log_count(n_cheaper_above, 24.0)
        target[ResultFeature.CHEAPEST_ABOVE] = 1.0 if cheapest == 0 or price[i] < cheapest else 0.0
        if cheapest > 0:
            target[ResultFeature.PRICE_TO_ABOVE] = _signed(np.log(price[i] / cheapest), 1.0)
        cheapest = price[i] if cheapest == 0 else min(cheapest, price[i])
        if n_known > 1 and given_prices[i] > 0 and items[shown[i], PRICE] > 0:
            target[ResultFeature.PRICE_TO_USUAL] = _signed(
                np.log(price[i]) - np.log(items[shown[i], PRICE]) - price_change_sum / n_known, 0.4
            )


@jit(numpy_errors=True)
def _page_features(pages: Any, seen: int, shown: Any, out: Any) -> float:
    """Write where items stood on the shopper's last lists; return the share of places that are as they were."""
    if seen == 0:
        return 0.0
    n = len(shown)
    same = 0
    newest = pages[(seen - 1) % MAX_PAGES]
    for i in range(min(n, newest[0])):
        same += 1 if newest[2 + i] == shown[i] else 0
    for i in range(n):
        target = out[i]
        ignored = 0
        for back in range(min(seen, MAX_PAGES)):
            page = pages[(seen - 1 - back) % MAX_PAGES]
            for k in range(page[0]):
                if shown[i] > 0 and page[2 + k] == shown[i]:
                    ignored += 1 if page[1] != k else 0
                    if back == 0:
                        target[ResultFeature.PREVIOUS_RANK] = (
                            min(k, MAX_RANK_DIFFERENCE) / MAX_RANK_DIFFERENCE
                        )
                        if page[1] >= 0:
                            target[ResultFeature.FROM_PREVIOUS_CHOICE] = _rank_difference(k - page[1])
                    break
        target[ResultFeature.IGNORED] = ignored / MAX_PAGES
    return same / n


@jit(numpy_errors=True)
def features(
    memory: ResultsMemory,
    user_row: int,
    shown: Any,
    given_prices: Any,
    now: float,
    session_gap: float,
    out: Any,
) -> None:
    """Write the features of a list.

    Parameters
    ----------
    memory
        Read only.
    user_row
        Row; 0 for somebody never met.
    shown : ndarray of int32, shape (n,)
        Rows of the items in the order shown, 0 for those never met; n is at most `MAX_RANKED`.
    given_prices : ndarray of float32, shape (n,)
        Prices, 0 where unknown.
    now
        Event time, seconds since the epoch.
    session_gap
        Seconds of inactivity that close a session.
    out : ndarray of float32, shape (n, len(Column))
        Gets the features.
    """
    n = len(shown)
    profile = memory.users[user_row]
    interactions = memory.interactions[user_row]
    times = memory.times[user_row]
    items = memory.items
    out[:, :] = -1.0
    price = np.empty(n)
    for i in range(n):
        price[i] = given_prices[i] if given_prices[i] > 0 else items[shown[i], PRICE]
    _price_features(shown, given_prices, price, items, out)
    same = _page_features(memory.pages[user_row], int(profile[PAGES_RECORDED]), shown, out)

    # what the shopper touched, and where it stands in this list
    new_session = profile[SESSION] == 0 or now > profile[LAST_TS] + session_gap
    session = -1 if new_session else int(profile[SESSION])
    step = 0 if new_session else int(profile[STEP])
    entry = np.full(n, -1, np.int64)
    in_session = np.zeros(n, np.bool_)
    n_interacted = 0
    n_in_list = 0
    purchases = 0
    newest = -1
    newest_step = -1
    last = -1
    last_step = -1
    second = -1
    second_step = -1
    bought = -1
    bought_step = -1
    lowest = -1
    price_sum = 0.0
    priced = 0
    for j in range(len(interactions)):
        item = interactions[j, ITEM]
        if item == 0:
            continue
        rank = -1
        for i in range(n):
            if shown[i] == item:
                entry[i] = j
                rank = i
                break
        if interactions[j, IN_SESSION] != session:
            continue
        n_interacted += 1
        purchases += interactions[j, PURCHASE_COUNT]
        if interactions[j, LAST] > newest_step:
            newest_step = interactions[j, LAST]
            newest = item
        item_price = items[item, PRICE]
        if rank >= 0:
            item_price = price[rank]
            in_session[rank] = True
            n_in_list += 1
            lowest = max(lowest, rank)
            if interactions[j, LAST] > last_step:
                second_step = last_step
                second = last
                last_step = interactions[j, LAST]
                last = rank
            elif interactions[j, LAST] > second_step:
                second_step = interactions[j, LAST]
                second = rank
            if interactions[j, BOUGHT_AT] > bought_step:
                bought_step = interactions[j, BOUGHT_AT]
                bought = rank
        if item_price > 0:
            price_sum += np.log(item_price)
            priced += 1
    newest_in_list = last >= 0 and shown[last] == newest
    newest_price = 0.0
    if newest > 0:
        newest_price = price[last] if newest_in_list else items[newest, PRICE]

    # popularity with the others: that of this shopper is told by what was touched
    rates = np.empty(n)
    rate = 0.0
    for i in range(n):
        item = items[shown[i]]
        j = entry[i]
        own_choices = interactions[j, TIMES_CHOSEN] if j >= 0 else 0
        rates[i] = np.log((max(0.0, item[CHOSEN] - own_choices) + 1.0) / (item[EXPECTED] + 1.0))
        rate += rates[i] / n

    # the situation: what the shopper did just before
    action = -1 if new_session else int(profile[LAST_ACTION])
    situation = 5
    if n_interacted == 0:
        situation = 0 if new_session else 1
    elif n_in_list == 0:
        situation = 2
    elif action >= Action.SEARCHED:
        situation = 6
    elif not newest_in_list:
        situation = 4
    elif action == Action.BOUGHT:
        situation = 3

    for i in range(n):
        target = out[i]
        j = entry[i]
        target[ResultFeature.RANK] = min(i, MAX_RANK_DIFFERENCE) / MAX_RANK_DIFFERENCE
        target[ResultFeature.INTERACTIONS] = 0.0
        target[ResultFeature.PURCHASES] = 0.0
        target[ResultFeature.VIEWS] = 0.0
        target[ResultFeature.PAST_INTERACTIONS] = 0.0
        target[ResultFeature.PAST_PURCHASES] = 0.0
        if in_session[i]:
            target[ResultFeature.INTERACTIONS] = _log_count(interactions[j, INTERACTION_COUNT], 60.0)
            target[ResultFeature.STEPS_SINCE] = _log_count(step - interactions[j, LAST], 60.0)
            target[ResultFeature.SECONDS_SINCE] = _log_count(now - times[j, 1], 7200.0)
            more_recent = 0
            for k in range(n):
                if in_session[k] and interactions[entry[k], LAST] > interactions[j, LAST]:
                    more_recent += 1
            target[ResultFeature.RECENCY_RANK] = min(more_recent, 8) / 8.0
            target[ResultFeature.PURCHASES] = min(interactions[j, PURCHASE_COUNT], 4) / 4.0
            target[ResultFeature.VIEWS] = _log_count(interactions[j, VIEWS], 60.0)
            target[ResultFeature.LAST_ACTION] = interactions[j, ACTION] / 5.0
            if interactions[j, BOUGHT_AT] >= 0:
                target[ResultFeature.STEPS_SINCE_BOUGHT] = _log_count(step - interactions[j, BOUGHT_AT], 60.0)
            if interactions[j, DETAIL_AT] >= 0:
                target[ResultFeature.STEPS_SINCE_DETAIL] = _log_count(step - interactions[j, DETAIL_AT], 60.0)
            target[ResultFeature.DWELL] = _log_count(times[j, 1] - times[j, 0], 3600.0)
            target[ResultFeature.PAST_INTERACTIONS] = _log_count(interactions[j, PAST_COUNT], 20.0)
            target[ResultFeature.PAST_PURCHASES] = min(interactions[j, PAST_PURCHASE_COUNT], 4) / 4.0
        elif j >= 0:
            target[ResultFeature.PAST_INTERACTIONS] = _log_count(
                interactions[j, PAST_COUNT] + interactions[j, INTERACTION_COUNT], 20.0
            )
            target[ResultFeature.PAST_PURCHASES] = (
                min(interactions[j, PAST_PURCHASE_COUNT] + interactions[j, PURCHASE_COUNT], 4) / 4.0
            )
        if last >= 0:
            target[ResultFeature.FROM_LAST] = _rank_difference(i - last)
            target[ResultFeature.FROM_LOWEST] = _rank_difference(i - lowest)
        if bought >= 0:
            target[ResultFeature.FROM_BOUGHT] = _rank_difference(i - bought)
        if second >= 0:
            target[ResultFeature.SCROLL_OFFSET] = (
                _rank_difference(i - last) if last > second else _rank_difference(last - i)
            )
        neighbor_steps = 1 << 30
        if i > 0 and in_session[i - 1]:
            neighbor_steps = step - interactions[entry[i - 1], LAST]
        if i + 1 < n and in_session[i + 1]:
            neighbor_steps = min(neighbor_steps, step - interactions[entry[i + 1], LAST])
        if neighbor_steps < 1 << 30:
            target[ResultFeature.NEIGHBOR_STEPS] = _log_count(neighbor_steps, 60.0)
        if price[i] > 0:
            if priced > 0:
                target[ResultFeature.PRICE_TO_INTERACTED] = _signed(
                    np.log(price[i]) - price_sum / priced, 1.5
                )
            if newest_price > 0:
                target[ResultFeature.PRICE_TO_LAST] = _signed(np.log(price[i] / newest_price), 1.5)
            if profile[PRICED] > 0:
                target[ResultFeature.PRICE_PREFERENCE] = _signed(
                    target[ResultFeature.PRICE_RANK] - profile[PRICE_SUM] / profile[PRICED], 1.0
                )
        if profile[CHOICES] > 0:
            target[ResultFeature.RANK_PREFERENCE] = _signed(i - profile[RANK_SUM] / profile[CHOICES], 24.0)
        item = items[shown[i]]
        other_users = max(0.0, item[USERS] - (1.0 if j >= 0 else 0.0))
        target[ResultFeature.INTERACTION_RATE] = _signed(
            np.log((other_users + 1.0) / (0.1 * item[IMPRESSIONS] + 1.0)), 2.0
        )
        target[ResultFeature.CHOICE_RATE] = _signed(rates[i] - rate, 2.0)

        target[ResultFeature.CONTEXT_SITUATION] = situation / 6.0
        if not new_session:
            target[ResultFeature.CONTEXT_SECONDS] = _log_count(now - profile[LAST_TS], 3600.0)
        target[ResultFeature.CONTEXT_SAME_PAGE] = same
        target[ResultFeature.CONTEXT_REPEATS] = (profile[REPEATED] + 0.4) / (profile[REPEATABLE] + 1.0)
        if second >= 0:
            target[ResultFeature.CONTEXT_DIRECTION] = _rank_difference(last - second)
        target[ResultFeature.CONTEXT_LAST_ACTION] = (action + 1) / 7.0
        target[ResultFeature.CONTEXT_LENGTH] = min(1.0, n / 25.0)
        if last >= 0:
            target[ResultFeature.CONTEXT_LAST_RANK] = min(last, MAX_RANK_DIFFERENCE) / MAX_RANK_DIFFERENCE
        target[ResultFeature.CONTEXT_PURCHASES] = min(purchases, 4) / 4.0
        target[ResultFeature.CONTEXT_INTERACTED] = _log_count(n_in_list, 10.0)

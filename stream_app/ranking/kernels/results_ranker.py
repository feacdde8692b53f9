"""Kernels of `stream_app.ranking.search.results_ranker`: a shopper's touches, and the features of a list of results.

What they share is here too, so that a change of it makes numba compile them anew.
"""

# ruff: noqa: C901, PLR0912, PLR0915 - loops over a short list that share many sums

from enum import IntEnum
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.models.kernels.jit import jit

PLACES: Final = 200
"""Places of a list that are told apart; what stands further down is not ranked."""

TOUCHES: Final = 32
"""Items remembered of a shopper."""

PAGES: Final = 4
"""Lists remembered of a shopper."""

PAGE: Final = 32
"""Places remembered of each."""


class Act(IntEnum):
    """What a shopper did; those below `SEARCHED` name an item."""

    BOUGHT = 0
    VIEWED = 1
    LOOKED_CLOSER = 2
    PUT_IN_CART = 3
    LIKED = 4
    SEARCHED_ITEM = 5
    SEARCHED = 6


class Column(IntEnum):
    """Features, each from 0 to 1, -1 where there is nothing to say; the contexts are the same for a whole list."""

    PLACE = 0
    TOUCHES = 1
    STEPS_SINCE = 2
    SECONDS_SINCE = 3
    TOUCH_RANK = 4
    PURCHASES = 5
    VIEWS = 6
    LAST_ACT = 7
    STEPS_SINCE_BOUGHT = 8
    STEPS_SINCE_CLOSER = 9
    DWELL = 10
    FROM_LAST = 11
    FROM_BOUGHT = 12
    FROM_LOWEST = 13
    ONWARD = 14
    NEIGHBOUR_STEPS = 15
    PAGE_PLACE = 16
    PASSED_OVER = 17
    FROM_PAGE_CHOICE = 18
    PRICE_RANK = 19
    PRICE_TO_TOUCHED = 20
    PRICE_TO_LAST = 21
    PRICE_TO_ABOVE = 22
    CHEAPEST_ABOVE = 23
    CHEAPER_ABOVE = 24
    PRICE_TO_OWN = 25
    PRICE_HABIT = 26
    PLACE_HABIT = 27
    TOUCHES_BEFORE = 28
    PURCHASES_BEFORE = 29
    TOUCH_RATE = 30
    CHOICE_RATE = 31
    CONTEXT_SITUATION = 32
    CONTEXT_SECONDS = 33
    CONTEXT_SAME_PAGE = 34
    CONTEXT_REPEATS = 35
    CONTEXT_DIRECTION = 36
    CONTEXT_LAST_ACT = 37
    CONTEXT_LENGTH = 38
    CONTEXT_LAST_PLACE = 39
    CONTEXT_PURCHASES = 40
    CONTEXT_TOUCHED = 41


class Memory(NamedTuple):
    """What is remembered; row 0 of shoppers and of items is of those never met, and stays 0.

    Attributes
    ----------
    shoppers : ndarray of float64, shape (shoppers, 14)
        By `STEP` and what follows it.
    touches : ndarray of int32, shape (shoppers, TOUCHES, 12)
        By `ITEM` and what follows it; an entry whose item is 0 is free.
    times : ndarray of float64, shape (shoppers, TOUCHES, 2)
        First touch of the session and last of all, seconds since the epoch.
    pages : ndarray of int32, shape (shoppers, PAGES, PAGE + 2)
        Length, place chosen (-1 for none), then the items.
    found : ndarray of int32, shape (shoppers, PAGE + 1)
        Length, then the items of the newest search that said what it found; of length 0 after one that did not.
    found_prices : ndarray of float32, shape (shoppers, PAGE)
        Of these, 0 where unknown.
    items : ndarray of float64, shape (items, 5)
        By `CHOSEN` and what follows it.
    places : ndarray of float64, shape (PLACES, 2)
        How often each place was chosen, and shown.
    """

    shoppers: NDArray[np.float64]
    touches: NDArray[np.int32]
    times: NDArray[np.float64]
    pages: NDArray[np.int32]
    found: NDArray[np.int32]
    found_prices: NDArray[np.float32]
    items: NDArray[np.float64]
    places: NDArray[np.float64]


# columns of Memory.shoppers; the last two are the session and the time of what was found
STEP, SESSION, LAST_TS, PAGES_SEEN, LAST_ACT, LAST_ITEM = range(6)
CHOICES, PLACE_SUM, PRICED, PRICE_SUM, REPEATED, REPEATABLE = range(6, 12)
FOUND_IN, FOUND_AT = range(12, 14)
SHOPPER_COLUMNS: Final = 14

# columns of Memory.touches: item, its session here, steps of the last touch, of the last purchase and of the last
# touch closer than a view, counts in that session and in those before, choices from lists in all of them
ITEM, IN_SESSION, LAST, ACT, BOUGHT_AT, CLOSER_AT, COUNT, BUYS, VIEWS, COUNT_BEFORE, BUYS_BEFORE = range(11)
TIMES_CHOSEN: Final = 11
TOUCH_COLUMNS: Final = 12

# columns of Memory.items; expected are the choices that the places it was shown at bring on average
CHOSEN, SHOWN, EXPECTED, PRICE, SHOPPERS = range(5)
ITEM_COLUMNS: Final = 5

FAR: Final = 24
"""Places further apart are as far as this."""


@jit(numpy_errors=True)
def _count(value: Any, top: float) -> Any:
    """A count, or seconds, on a logarithmic scale that ends at `top`."""
    return min(1.0, np.log1p(max(value, 0.0)) / np.log1p(top))


@jit(numpy_errors=True)
def _signed(value: Any, end: float) -> Any:
    """A signed number; 0.5 is 0, -`end` and what is below it 0, `end` 1."""
    return 0.5 + 0.5 * max(-1.0, min(1.0, value / end))


@jit(numpy_errors=True)
def _apart(places: Any) -> Any:
    """A difference of places; 0.5 is 0."""
    return (max(-FAR, min(FAR, places)) + FAR) / (2.0 * FAR)


@jit(numpy_errors=True)
def touch(
    shoppers: Any,
    all_touches: Any,
    all_times: Any,
    items: Any,
    shopper: int,
    item: int,
    act: int,
    ts: float,
    gap: float,
    first: bool,
    chosen: bool,
) -> None:
    """Remember what a shopper did; the item touched longest ago makes room.

    Parameters
    ----------
    shoppers, all_touches, all_times, items
        Of a `Memory` (the tuple itself would take as long to pass as all else together); changed.
    shopper, item
        Rows; item 0 where the act names none.
    act
        An `Act`.
    ts
        Event time, seconds since the epoch.
    gap
        Seconds of inactivity that close a session.
    first
        Whether it is the first item of its event.
    chosen
        Whether the item was chosen from a list.
    """
    own = shoppers[shopper]
    if first:
        if own[SESSION] == 0 or ts > own[LAST_TS] + gap:
            own[SESSION] += 1
            own[STEP] = 0
        own[STEP] += 1
        own[LAST_TS] = max(own[LAST_TS], ts)
        own[LAST_ACT] = act
    if item == 0:
        return
    own[LAST_ITEM] = item
    touches = all_touches[shopper]
    times = all_times[shopper]
    at = -1
    oldest = 0
    for j in range(len(touches)):
        if touches[j, ITEM] == item:
            at = j
            break
        if touches[oldest, ITEM] and (not touches[j, ITEM] or times[j, 1] < times[oldest, 1]):
            oldest = j
    if at < 0:
        at = oldest
        touches[at, :] = 0
        touches[at, ITEM] = item
        times[at, 1] = ts
        items[item, SHOPPERS] += 1
    held = touches[at]
    if held[IN_SESSION] != own[SESSION]:
        held[COUNT_BEFORE] += held[COUNT]
        held[BUYS_BEFORE] += held[BUYS]
        held[COUNT] = 0
        held[BUYS] = 0
        held[VIEWS] = 0
        held[IN_SESSION] = own[SESSION]
        held[BOUGHT_AT] = -1
        held[CLOSER_AT] = -1
        times[at, 0] = ts
    step = int(own[STEP])
    held[COUNT] += 1
    held[TIMES_CHOSEN] += 1 if chosen else 0
    held[LAST] = step
    held[ACT] = act
    times[at, 1] = max(times[at, 1], ts)
    if act == Act.BOUGHT:
        held[BUYS] += 1
        held[BOUGHT_AT] = step
    if act == Act.VIEWED:
        held[VIEWS] += 1
    else:
        held[CLOSER_AT] = step


@jit(numpy_errors=True)
def note_list(memory: Memory, shopper: int, shown: Any, prices: Any, chosen: int) -> None:
    """Remember a list and what was chosen of it.

    Parameters
    ----------
    memory
        Changed.
    shopper
        Row.
    shown : ndarray of int32, shape (n,)
        Rows of the items; n is at most `PLACES`.
    prices : ndarray of float32, shape (n,)
        0 where unknown.
    chosen
        Place, -1 for none of them.
    """
    n = len(shown)
    own = memory.shoppers[shopper]
    items = memory.items
    page = memory.pages[shopper, int(own[PAGES_SEEN]) % PAGES]
    own[PAGES_SEEN] += 1
    page[0] = min(n, PAGE)
    page[1] = chosen if chosen < PAGE else -1
    cheaper = 0
    priced = 0
    for i in range(n):
        if i < PAGE:
            page[2 + i] = shown[i]
        item = items[shown[i]]
        item[SHOWN] += 1
        item[EXPECTED] += (memory.places[i, 0] + 0.04) / (memory.places[i, 1] + 1.0)
        if prices[i] > 0:
            item[PRICE] = 0.7 * item[PRICE] + 0.3 * prices[i] if item[PRICE] > 0 else prices[i]
            priced += 1
            if chosen >= 0 and prices[i] < prices[chosen]:
                cheaper += 1
    for i in range(n):
        memory.places[i, 1] += 1
    if chosen < 0:
        return
    memory.places[chosen, 0] += 1
    items[shown[chosen], CHOSEN] += 1
    own[CHOICES] += 1
    own[PLACE_SUM] += chosen
    if prices[chosen] > 0:
        own[PRICED] += 1
        own[PRICE_SUM] += cheaper / max(1, priced - 1)
    last = int(own[LAST_ITEM])
    for i in range(n):
        if last > 0 and shown[i] == last:
            own[REPEATABLE] += 1
            own[REPEATED] += 1 if i == chosen else 0
            break


@jit(numpy_errors=True)
def _price_features(shown: Any, given: Any, price: Any, items: Any, out: Any) -> None:
    """Write how prices compare within a list; `given` are those told, `price` those too that are remembered."""
    n = len(shown)
    from_own = 0.0
    known = 0
    priced = 0
    for i in range(n):
        if given[i] > 0 and items[shown[i], PRICE] > 0:
            from_own += np.log(price[i]) - np.log(items[shown[i], PRICE])
            known += 1
        priced += 1 if price[i] > 0 else 0
    cheapest = 0.0
    for i in range(n):
        if price[i] <= 0:
            continue
        below = 0
        above = 0
        for k in range(n):
            if price[k] > 0 and (price[k] < price[i] or (price[k] == price[i] and k < i)):
                below += 1
                above += 1 if k < i and price[k] < price[i] else 0
        to = out[i]
        to[Column.PRICE_RANK] = below / max(1, priced - 1)
        to[Column.CHEAPER_ABOVE] = _count(above, 24.0)
        to[Column.CHEAPEST_ABOVE] = 1.0 if cheapest == 0 or price[i] < cheapest else 0.0
        if cheapest > 0:
            to[Column.PRICE_TO_ABOVE] = _signed(np.log(price[i] / cheapest), 1.0)
        cheapest = price[i] if cheapest == 0 else min(cheapest, price[i])
        if known > 1 and given[i] > 0 and items[shown[i], PRICE] > 0:
            to[Column.PRICE_TO_OWN] = _signed(
                np.log(price[i]) - np.log(items[shown[i], PRICE]) - from_own / known, 0.4
            )


@jit(numpy_errors=True)
def _page_features(pages: Any, seen: int, shown: Any, out: Any) -> float:
    """Write where items stood on the shopper's last lists; return the share of places that are as they were."""
    if seen == 0:
        return 0.0
    n = len(shown)
    same = 0
    newest = pages[(seen - 1) % PAGES]
    for i in range(min(n, newest[0])):
        same += 1 if newest[2 + i] == shown[i] else 0
    for i in range(n):
        to = out[i]
        passed = 0
        for back in range(min(seen, PAGES)):
            page = pages[(seen - 1 - back) % PAGES]
            for k in range(page[0]):
                if shown[i] > 0 and page[2 + k] == shown[i]:
                    passed += 1 if page[1] != k else 0
                    if back == 0:
                        to[Column.PAGE_PLACE] = min(k, FAR) / FAR
                        if page[1] >= 0:
                            to[Column.FROM_PAGE_CHOICE] = _apart(k - page[1])
                    break
        to[Column.PASSED_OVER] = passed / PAGES
    return same / n


@jit(numpy_errors=True)
def features(memory: Memory, shopper: int, shown: Any, given: Any, now: float, gap: float, out: Any) -> None:
    """Write the features of a list.

    Parameters
    ----------
    memory
        Read only.
    shopper
        Row; 0 for somebody never met.
    shown : ndarray of int32, shape (n,)
        Rows of the items in the order shown, 0 for those never met; n is at most `PLACES`.
    given : ndarray of float32, shape (n,)
        Prices, 0 where unknown.
    now
        Event time, seconds since the epoch.
    gap
        Seconds of inactivity that close a session.
    out : ndarray of float32, shape (n, len(Column))
        Gets the features.
    """
    n = len(shown)
    own = memory.shoppers[shopper]
    touches = memory.touches[shopper]
    times = memory.times[shopper]
    items = memory.items
    out[:, :] = -1.0
    price = np.empty(n)
    for i in range(n):
        price[i] = given[i] if given[i] > 0 else items[shown[i], PRICE]
    _price_features(shown, given, price, items, out)
    same = _page_features(memory.pages[shopper], int(own[PAGES_SEEN]), shown, out)

    # what the shopper touched, and where it stands in this list
    fresh = own[SESSION] == 0 or now > own[LAST_TS] + gap
    session = -1 if fresh else int(own[SESSION])
    step = 0 if fresh else int(own[STEP])
    entry = np.full(n, -1, np.int64)
    current = np.zeros(n, np.bool_)
    touched = 0
    listed = 0
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
    for j in range(len(touches)):
        item = touches[j, ITEM]
        if item == 0:
            continue
        place = -1
        for i in range(n):
            if shown[i] == item:
                entry[i] = j
                place = i
                break
        if touches[j, IN_SESSION] != session:
            continue
        touched += 1
        purchases += touches[j, BUYS]
        if touches[j, LAST] > newest_step:
            newest_step = touches[j, LAST]
            newest = item
        paid = items[item, PRICE]
        if place >= 0:
            paid = price[place]
            current[place] = True
            listed += 1
            lowest = max(lowest, place)
            if touches[j, LAST] > last_step:
                second_step = last_step
                second = last
                last_step = touches[j, LAST]
                last = place
            elif touches[j, LAST] > second_step:
                second_step = touches[j, LAST]
                second = place
            if touches[j, BOUGHT_AT] > bought_step:
                bought_step = touches[j, BOUGHT_AT]
                bought = place
        if paid > 0:
            price_sum += np.log(paid)
            priced += 1
    newest_listed = last >= 0 and shown[last] == newest
    newest_price = 0.0
    if newest > 0:
        newest_price = price[last] if newest_listed else items[newest, PRICE]

    # popularity with the others: that of this shopper is told by what was touched
    rates = np.empty(n)
    rate = 0.0
    for i in range(n):
        item = items[shown[i]]
        j = entry[i]
        mine = touches[j, TIMES_CHOSEN] if j >= 0 else 0
        rates[i] = np.log((max(0.0, item[CHOSEN] - mine) + 1.0) / (item[EXPECTED] + 1.0))
        rate += rates[i] / n

    # the situation: what the shopper did just before
    act = -1 if fresh else int(own[LAST_ACT])
    situation = 5
    if touched == 0:
        situation = 0 if fresh else 1
    elif listed == 0:
        situation = 2
    elif act >= Act.SEARCHED:
        situation = 6
    elif not newest_listed:
        situation = 4
    elif act == Act.BOUGHT:
        situation = 3

    for i in range(n):
        to = out[i]
        j = entry[i]
        to[Column.PLACE] = min(i, FAR) / FAR
        to[Column.TOUCHES] = 0.0
        to[Column.PURCHASES] = 0.0
        to[Column.VIEWS] = 0.0
        to[Column.TOUCHES_BEFORE] = 0.0
        to[Column.PURCHASES_BEFORE] = 0.0
        if current[i]:
            to[Column.TOUCHES] = _count(touches[j, COUNT], 60.0)
            to[Column.STEPS_SINCE] = _count(step - touches[j, LAST], 60.0)
            to[Column.SECONDS_SINCE] = _count(now - times[j, 1], 7200.0)
            later = 0
            for k in range(n):
                if current[k] and touches[entry[k], LAST] > touches[j, LAST]:
                    later += 1
            to[Column.TOUCH_RANK] = min(later, 8) / 8.0
            to[Column.PURCHASES] = min(touches[j, BUYS], 4) / 4.0
            to[Column.VIEWS] = _count(touches[j, VIEWS], 60.0)
            to[Column.LAST_ACT] = touches[j, ACT] / 5.0
            if touches[j, BOUGHT_AT] >= 0:
                to[Column.STEPS_SINCE_BOUGHT] = _count(step - touches[j, BOUGHT_AT], 60.0)
            if touches[j, CLOSER_AT] >= 0:
                to[Column.STEPS_SINCE_CLOSER] = _count(step - touches[j, CLOSER_AT], 60.0)
            to[Column.DWELL] = _count(times[j, 1] - times[j, 0], 3600.0)
            to[Column.TOUCHES_BEFORE] = _count(touches[j, COUNT_BEFORE], 20.0)
            to[Column.PURCHASES_BEFORE] = min(touches[j, BUYS_BEFORE], 4) / 4.0
        elif j >= 0:
            to[Column.TOUCHES_BEFORE] = _count(touches[j, COUNT_BEFORE] + touches[j, COUNT], 20.0)
            to[Column.PURCHASES_BEFORE] = min(touches[j, BUYS_BEFORE] + touches[j, BUYS], 4) / 4.0
        if last >= 0:
            to[Column.FROM_LAST] = _apart(i - last)
            to[Column.FROM_LOWEST] = _apart(i - lowest)
        if bought >= 0:
            to[Column.FROM_BOUGHT] = _apart(i - bought)
        if second >= 0:
            to[Column.ONWARD] = _apart(i - last) if last > second else _apart(last - i)
        beside = 1 << 30
        if i > 0 and current[i - 1]:
            beside = step - touches[entry[i - 1], LAST]
        if i + 1 < n and current[i + 1]:
            beside = min(beside, step - touches[entry[i + 1], LAST])
        if beside < 1 << 30:
            to[Column.NEIGHBOUR_STEPS] = _count(beside, 60.0)
        if price[i] > 0:
            if priced > 0:
                to[Column.PRICE_TO_TOUCHED] = _signed(np.log(price[i]) - price_sum / priced, 1.5)
            if newest_price > 0:
                to[Column.PRICE_TO_LAST] = _signed(np.log(price[i] / newest_price), 1.5)
            if own[PRICED] > 0:
                to[Column.PRICE_HABIT] = _signed(to[Column.PRICE_RANK] - own[PRICE_SUM] / own[PRICED], 1.0)
        if own[CHOICES] > 0:
            to[Column.PLACE_HABIT] = _signed(i - own[PLACE_SUM] / own[CHOICES], 24.0)
        item = items[shown[i]]
        others = max(0.0, item[SHOPPERS] - (1.0 if j >= 0 else 0.0))
        to[Column.TOUCH_RATE] = _signed(np.log((others + 1.0) / (0.1 * item[SHOWN] + 1.0)), 2.0)
        to[Column.CHOICE_RATE] = _signed(rates[i] - rate, 2.0)

        to[Column.CONTEXT_SITUATION] = situation / 6.0
        if not fresh:
            to[Column.CONTEXT_SECONDS] = _count(now - own[LAST_TS], 3600.0)
        to[Column.CONTEXT_SAME_PAGE] = same
        to[Column.CONTEXT_REPEATS] = (own[REPEATED] + 0.4) / (own[REPEATABLE] + 1.0)
        if second >= 0:
            to[Column.CONTEXT_DIRECTION] = _apart(last - second)
        to[Column.CONTEXT_LAST_ACT] = (act + 1) / 7.0
        to[Column.CONTEXT_LENGTH] = min(1.0, n / 25.0)
        if last >= 0:
            to[Column.CONTEXT_LAST_PLACE] = min(last, FAR) / FAR
        to[Column.CONTEXT_PURCHASES] = min(purchases, 4) / 4.0
        to[Column.CONTEXT_TOUCHED] = _count(listed, 10.0)

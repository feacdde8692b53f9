"""The features of a list of search results, for `stream_app.ranking.search.results_ranker`."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.models.array_types import Floats, Integers, Items, Mask, Matrix, Times
from stream_app.models.kernels.jit import jit
from stream_app.ranking.kernels.feature_table import ResultFeature
from stream_app.ranking.kernels.results_list_features import (
    MAX_RANK_DIFFERENCE,
    log_scale,
    rank_difference,
    signed,
    write_pages,
    write_prices,
)
from stream_app.ranking.kernels.results_memory import (
    InteractionColumn,
    ItemColumn,
    ResultsMemory,
    SearchAction,
    TimeColumn,
    UserColumn,
)

_FAR: Final = 1 << 30


class _Interacted(NamedTuple):
    """The user's interactions of the session; ranks on the list are -1 for none."""

    # n, n_in_list: items interacted with, and those of them on the list
    n: int
    n_in_list: int
    purchases: int  # over all items
    newest: int  # row of the item of the last interaction, -1 for none
    # last, second, lowest, bought: ranks of the last, the second last and the lowest item interacted with,
    # and of the last one bought
    last: int
    second: int
    lowest: int
    bought: int
    # log_price_sum, priced: sum of the logarithms of the known prices, and their number
    log_price_sum: float
    priced: int


class _Situation(NamedTuple):
    """The user's session as the features need it: is it new, its number, step and last action; the event time."""

    is_new: bool
    session: int
    step: int
    action: int
    now: float


@jit(numpy_errors=True)
def _match_interactions(  # noqa: C901  # one pass over the interactions
    interactions: NDArray[np.int32],
    displayed: Items,
    price: Floats,
    item_prices: Floats,
    session: int,
    entry: Integers,
    in_session: Mask,
) -> _Interacted:
    """Find the items of the list that the user interacted with.

    `entry` (int64) receives the entry of each result among the interactions, -1 for none, and `in_session` (bool)
    whether it is of the session.
    """
    n = n_in_list = purchases = priced = 0
    newest = last = second = lowest = bought = -1
    newest_step = last_step = second_step = bought_step = -1
    log_price_sum = 0.0
    for j in range(len(interactions)):
        item = interactions[j, InteractionColumn.ITEM]
        if item == 0:
            continue
        rank = -1
        for i in range(len(displayed)):
            if displayed[i] == item:
                entry[i] = j
                rank = i
                break
        if interactions[j, InteractionColumn.IN_SESSION] != session:
            continue
        n += 1
        purchases += interactions[j, InteractionColumn.PURCHASE_COUNT]
        if interactions[j, InteractionColumn.LAST] > newest_step:
            newest_step = interactions[j, InteractionColumn.LAST]
            newest = item
        item_price = item_prices[item]
        if rank >= 0:
            item_price = price[rank]
            in_session[rank] = True
            n_in_list += 1
            lowest = max(lowest, rank)
            if interactions[j, InteractionColumn.LAST] > last_step:
                second_step, second = last_step, last
                last_step, last = interactions[j, InteractionColumn.LAST], rank
            elif interactions[j, InteractionColumn.LAST] > second_step:
                second_step, second = interactions[j, InteractionColumn.LAST], rank
            if interactions[j, InteractionColumn.BOUGHT_AT] > bought_step:
                bought_step, bought = interactions[j, InteractionColumn.BOUGHT_AT], rank
        if item_price > 0:
            log_price_sum += np.log(item_price)
            priced += 1
    return _Interacted(n, n_in_list, purchases, newest, last, second, lowest, bought, log_price_sum, priced)


@jit(numpy_errors=True)
def _write_interactions(
    interactions: NDArray[np.int32],
    times: Times,
    entry: Integers,
    in_session: Mask,
    situation: _Situation,
    out: Matrix,
) -> None:
    """Write how the user interacted with each result, in the session and before."""
    step, now = situation.step, situation.now
    for i in range(len(entry)):
        target = out[i]
        j = entry[i]
        target[ResultFeature.INTERACTIONS] = 0.0
        target[ResultFeature.PURCHASES] = 0.0
        target[ResultFeature.VIEWS] = 0.0
        target[ResultFeature.PAST_INTERACTIONS] = 0.0
        target[ResultFeature.PAST_PURCHASES] = 0.0
        if j < 0:
            continue
        past_count, past_purchases = (
            interactions[j, InteractionColumn.PAST_COUNT],
            interactions[j, InteractionColumn.PAST_PURCHASE_COUNT],
        )
        if not in_session[i]:
            past_count += interactions[j, InteractionColumn.INTERACTION_COUNT]
            past_purchases += interactions[j, InteractionColumn.PURCHASE_COUNT]
        target[ResultFeature.PAST_INTERACTIONS] = log_scale(past_count, 20.0)
        target[ResultFeature.PAST_PURCHASES] = min(past_purchases, 4) / 4.0
        if not in_session[i]:
            continue
        target[ResultFeature.INTERACTIONS] = log_scale(
            interactions[j, InteractionColumn.INTERACTION_COUNT], 60.0
        )
        target[ResultFeature.STEPS_SINCE] = log_scale(step - interactions[j, InteractionColumn.LAST], 60.0)
        target[ResultFeature.SECONDS_SINCE] = log_scale(now - times[j, TimeColumn.LAST], 7200.0)
        more_recent = 0
        for k in range(len(entry)):
            if (
                in_session[k]
                and interactions[entry[k], InteractionColumn.LAST] > interactions[j, InteractionColumn.LAST]
            ):
                more_recent += 1
        target[ResultFeature.RECENCY_RANK] = min(more_recent, 8) / 8.0
        target[ResultFeature.PURCHASES] = min(interactions[j, InteractionColumn.PURCHASE_COUNT], 4) / 4.0
        target[ResultFeature.VIEWS] = log_scale(interactions[j, InteractionColumn.VIEWS], 60.0)
        target[ResultFeature.LAST_ACTION] = interactions[j, InteractionColumn.ACTION] / 5.0
        if interactions[j, InteractionColumn.BOUGHT_AT] >= 0:
            target[ResultFeature.STEPS_SINCE_BOUGHT] = log_scale(
                step - interactions[j, InteractionColumn.BOUGHT_AT], 60.0
            )
        if interactions[j, InteractionColumn.DETAIL_AT] >= 0:
            target[ResultFeature.STEPS_SINCE_DETAIL] = log_scale(
                step - interactions[j, InteractionColumn.DETAIL_AT], 60.0
            )
        target[ResultFeature.DWELL] = log_scale(
            times[j, TimeColumn.LAST] - times[j, TimeColumn.FIRST], 3600.0
        )


@jit(numpy_errors=True)
def _write_rank_features(
    interactions: NDArray[np.int32],
    entry: Integers,
    in_session: Mask,
    interacted: _Interacted,
    step: int,
    profile: Floats,
    out: Matrix,
) -> None:
    """Write where each result is on the list, relative to those that the user interacted with."""
    n = len(entry)
    last, second, lowest, bought = interacted.last, interacted.second, interacted.lowest, interacted.bought
    for i in range(n):
        target = out[i]
        target[ResultFeature.RANK] = min(i, MAX_RANK_DIFFERENCE) / MAX_RANK_DIFFERENCE
        if last >= 0:
            target[ResultFeature.FROM_LAST] = rank_difference(i - last)
            target[ResultFeature.FROM_LOWEST] = rank_difference(i - lowest)
        if bought >= 0:
            target[ResultFeature.FROM_BOUGHT] = rank_difference(i - bought)
        if second >= 0:
            target[ResultFeature.SCROLL_OFFSET] = (
                rank_difference(i - last) if last > second else rank_difference(last - i)
            )
        neighbor_steps = _FAR
        if i > 0 and in_session[i - 1]:
            neighbor_steps = step - interactions[entry[i - 1], InteractionColumn.LAST]
        if i + 1 < n and in_session[i + 1]:
            neighbor_steps = min(neighbor_steps, step - interactions[entry[i + 1], InteractionColumn.LAST])
        if neighbor_steps < _FAR:
            target[ResultFeature.NEIGHBOR_STEPS] = log_scale(neighbor_steps, 60.0)
        if profile[UserColumn.CHOICES] > 0:
            target[ResultFeature.RANK_PREFERENCE] = signed(
                i - profile[UserColumn.RANK_SUM] / profile[UserColumn.CHOICES], 24.0
            )


@jit(numpy_errors=True)
def _write_price_preferences(
    price: Floats, interacted: _Interacted, newest_price: float, profile: Floats, out: Matrix
) -> None:
    """Write how prices compare with those of earlier interactions and choices; after `_write_prices`."""
    for i in range(len(price)):
        if price[i] <= 0:
            continue
        target = out[i]
        if interacted.priced > 0:
            target[ResultFeature.PRICE_TO_INTERACTED] = signed(
                np.log(price[i]) - interacted.log_price_sum / interacted.priced, 1.5
            )
        if newest_price > 0:
            target[ResultFeature.PRICE_TO_LAST] = signed(np.log(price[i] / newest_price), 1.5)
        if profile[UserColumn.PRICED] > 0:
            target[ResultFeature.PRICE_PREFERENCE] = signed(
                target[ResultFeature.PRICE_RANK] - profile[UserColumn.PRICE_SUM] / profile[UserColumn.PRICED],
                1.0,
            )


@jit(numpy_errors=True)
def _write_popularity(
    items: Floats, displayed: Items, interactions: NDArray[np.int32], entry: Integers, out: Matrix
) -> None:
    """Write popularity with other users; the user's own interactions have features of their own."""
    n = len(displayed)
    rates = np.empty(n)
    mean_rate = 0.0
    for i in range(n):
        item = items[displayed[i]]
        j = entry[i]
        own_choices = interactions[j, InteractionColumn.TIMES_CHOSEN] if j >= 0 else 0
        rates[i] = np.log(
            (max(0.0, item[ItemColumn.CHOSEN] - own_choices) + 1.0) / (item[ItemColumn.EXPECTED] + 1.0)
        )
        mean_rate += rates[i] / n
    for i in range(n):
        item = items[displayed[i]]
        other_users = max(0.0, item[ItemColumn.USERS] - (1.0 if entry[i] >= 0 else 0.0))
        out[i, ResultFeature.INTERACTION_RATE] = signed(
            np.log((other_users + 1.0) / (0.1 * item[ItemColumn.IMPRESSIONS] + 1.0)), 2.0
        )
        out[i, ResultFeature.CHOICE_RATE] = signed(rates[i] - mean_rate, 2.0)


@jit(numpy_errors=True)
def _classify(interacted: _Interacted, situation: _Situation, newest_in_list: bool) -> int:
    """Number the situation: what the user did just before."""
    code = 5
    if interacted.n == 0:
        code = 0 if situation.is_new else 1
    elif interacted.n_in_list == 0:
        code = 2
    elif situation.action >= SearchAction.SEARCHED:
        code = 6
    elif not newest_in_list:
        code = 4
    elif situation.action == SearchAction.BOUGHT:
        code = 3
    return code


@jit(numpy_errors=True)
def _write_context(
    interacted: _Interacted, situation: _Situation, code: int, same_page: float, profile: Floats, out: Matrix
) -> None:
    """Write the features that describe the list and the session, the same in each row."""
    last, second = interacted.last, interacted.second
    n = len(out)
    for i in range(n):
        target = out[i]
        target[ResultFeature.CONTEXT_SITUATION] = code / 6.0
        if not situation.is_new:
            target[ResultFeature.CONTEXT_SECONDS] = log_scale(
                situation.now - profile[UserColumn.LAST_TS], 3600.0
            )
        target[ResultFeature.CONTEXT_SAME_PAGE] = same_page
        target[ResultFeature.CONTEXT_REPEATS] = (profile[UserColumn.REPEATED] + 0.4) / (
            profile[UserColumn.REPEATABLE] + 1.0
        )
        if second >= 0:
            target[ResultFeature.CONTEXT_DIRECTION] = rank_difference(last - second)
        target[ResultFeature.CONTEXT_LAST_ACTION] = (situation.action + 1) / 7.0
        target[ResultFeature.CONTEXT_LENGTH] = min(1.0, n / 25.0)
        if last >= 0:
            target[ResultFeature.CONTEXT_LAST_RANK] = min(last, MAX_RANK_DIFFERENCE) / MAX_RANK_DIFFERENCE
        target[ResultFeature.CONTEXT_PURCHASES] = min(interacted.purchases, 4) / 4.0
        target[ResultFeature.CONTEXT_INTERACTED] = log_scale(interacted.n_in_list, 10.0)


@jit(numpy_errors=True)
def _read_situation(profile: Floats, now: float, session_gap: float) -> _Situation:
    is_new = profile[UserColumn.SESSION] == 0 or now > profile[UserColumn.LAST_TS] + session_gap
    if is_new:
        return _Situation(True, -1, 0, -1, now)
    return _Situation(
        False,
        int(profile[UserColumn.SESSION]),
        int(profile[UserColumn.STEP]),
        int(profile[UserColumn.LAST_ACTION]),
        now,
    )


@jit(numpy_errors=True)
def write_features(
    memory: ResultsMemory,
    user_row: int,
    displayed: Items,
    given_prices: Matrix,
    now: float,
    session_gap: float,
    out: Matrix,
) -> None:
    """Write the features of a list, the columns of `ResultFeature`.

    Parameters
    ----------
    user_row
        Row of the user; 0 for an unknown one.
    displayed : ndarray of int32, shape (n,)
        Rows of the items in the order of the list, 0 for unknown ones; n is at most `MAX_RANKED`.
    given_prices : ndarray of float32, shape (n,)
        Prices, 0 where unknown.
    out : ndarray of float32, shape (n, len(ResultFeature))
        Receives the features.
    """
    n = len(displayed)
    profile, items = memory.users[user_row], memory.items
    interactions, times = memory.interactions[user_row], memory.times[user_row]
    item_prices = items[:, ItemColumn.PRICE]
    out[:, :] = -1.0
    price = np.empty(n)
    for i in range(n):
        price[i] = given_prices[i] if given_prices[i] > 0 else item_prices[displayed[i]]
    situation = _read_situation(profile, now, session_gap)
    entry, in_session = np.full(n, -1, np.int64), np.zeros(n, np.bool_)
    interacted = _match_interactions(
        interactions, displayed, price, item_prices, situation.session, entry, in_session
    )
    last, newest = interacted.last, interacted.newest
    newest_in_list = last >= 0 and displayed[last] == newest
    newest_price = 0.0
    if newest > 0:
        newest_price = price[last] if newest_in_list else item_prices[newest]

    write_prices(displayed, given_prices, price, items, out)
    same_page = write_pages(memory.pages[user_row], int(profile[UserColumn.PAGES_RECORDED]), displayed, out)
    _write_interactions(interactions, times, entry, in_session, situation, out)
    _write_rank_features(interactions, entry, in_session, interacted, situation.step, profile, out)
    _write_price_preferences(price, interacted, newest_price, profile, out)
    _write_popularity(items, displayed, interactions, entry, out)
    code = _classify(interacted, situation, newest_in_list)
    _write_context(interacted, situation, code, same_page, profile, out)

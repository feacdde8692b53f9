"""Many events of many shoppers, for measurements."""

from collections.abc import Callable, Iterator

import numpy as np

from stream_app.simulator.items import CATEGORIES, Catalogue
from stream_app.simulator.shop import ShopEvent
from topics.events import Action, Click, OrderLine, Purchase, Search

_CART_SHARE, _SEARCH_SHARE, _PURCHASE_SHARE = 0.06, 0.05, 0.03


def benchmark_events(
    count: int,
    *,
    clock: Callable[[], float],
    users: int = 5_000,
    items: int = 2_000,
    seed: int = 7,
    run: str = "",
) -> Iterator[ShopEvent]:
    """Events, mostly clicks, spread evenly over shoppers.

    Every round visits all shoppers once, in an order of its own, so that neighbouring events belong to
    different shoppers; a shopper stays near the item looked at last.

    Parameters
    ----------
    count
        How many.
    clock
        Gives the time of each event, seconds since the epoch.
    users, items
        How many shoppers and items there are.
    seed
        Of everything that chance plays a part in.
    run
        Told apart in event ids, so that a second run is not taken for a repeat of the first.

    Examples
    --------
    >>> events = list(benchmark_events(1_000, clock=lambda: 0.0, users=100, items=50))
    >>> len(events), len({event.user_id for event in events}), len({event.event_id for event in events})
    (1000, 100, 1000)
    """
    rng = np.random.default_rng(seed)
    catalogue = Catalogue(items, rng)
    last = [-1] * users
    order: list[int] = []
    for number in range(count):
        order = order or rng.permutation(users).tolist()
        user = order.pop()
        item = last[user] = catalogue.near(last[user]) if last[user] >= 0 else catalogue.popular()
        yield _event(
            f"load-{seed}-{run}-{number}",
            f"user-{user}",
            round(clock() * 1_000),
            item=item,
            catalogue=catalogue,
            chance=rng.random(),
        )


def _event(
    event_id: str, user_id: str, ts: int, *, item: int, catalogue: Catalogue, chance: float
) -> ShopEvent:
    if chance < _SEARCH_SHARE:
        query = CATEGORIES[int(catalogue.category_of[item])]
        return Search(event_id=event_id, user_id=user_id, ts=ts, channel="web", query=query)
    if chance < _SEARCH_SHARE + _PURCHASE_SHARE:
        line = OrderLine(item_id=catalogue.ids[item], price=catalogue.prices[item])
        return Purchase(
            event_id=event_id,
            user_id=user_id,
            ts=ts,
            channel="web",
            order_id=f"order-{event_id}",
            items=[line],
        )
    action = Action.CART if chance > 1 - _CART_SHARE else Action.VIEW
    return Click(
        event_id=event_id,
        user_id=user_id,
        ts=ts,
        channel="web",
        item_id=catalogue.ids[item],
        action=action,
        context={"country": "FR"},
    )

"""Shoppers who wander through the generated catalogue, one event after the other."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from stream_app.simulator.items import CATEGORIES, Catalogue
from topics.events import (
    Action,
    CatalogItem,
    Click,
    Context,
    OrderLine,
    Purchase,
    Search,
)

Clock = Callable[[], float]
"""Seconds since the epoch."""

ShopEvent = Click | Search | Purchase
"""What the generated shoppers do."""

_COUNTRIES: Final = ("FR", "DE", "IT", "ES", "PL")
_CHANNELS: Final = ("web", "app")
_RESULTS: Final = 10  # items a search shows

_SEARCH, _CART, _BUY = 0.08, 0.06, 0.35  # of a step; a step; buying once something is in the cart
_NEAR, _TASTE = 0.72, 0.2  # of a click's next item: alike, of a favourite category; else popular
_LEAVE: Final = 0.1  # of a step: sessions have ten events on average


@dataclass(slots=True)
class _Visit:
    """One shopper's session."""

    shopper: int
    session_id: str
    favourites: tuple[int, ...]
    item: int | None = None
    query: str | None = None
    cart: list[int] = field(default_factory=list)


class Shop:
    """A small shop: a catalogue, shoppers with tastes, and their sessions, several open at a time.

    The same seed and the same clock give the same events. A fresh session is opened by a shopper drawn
    anew; each has two favourite categories for life.

    Parameters
    ----------
    items, shoppers
        How many there are.
    open_sessions
        Shoppers in the shop at a time.
    seed
        Of everything that chance plays a part in.
    run
        Told apart in event ids, so that a second run against the same topics is not taken for a repeat of the
        first.

    Examples
    --------
    >>> shop = Shop(items=50, shoppers=20, seed=7)
    >>> [event.item_id for event in shop.catalogue(lambda: 0.0)][:2]
    ['item-0000', 'item-0001']
    >>> event = next(shop.events(lambda: 1_700_000_000.0))
    >>> event.event_id, event.ts
    ('shop-7--0', 1700000000000)
    """

    def __init__(
        self, *, items: int = 500, shoppers: int = 400, open_sessions: int = 30, seed: int = 7, run: str = ""
    ) -> None:
        self._rng = np.random.default_rng(seed)
        self._items = Catalogue(items, self._rng)
        self._shoppers = shoppers
        self._open = min(open_sessions, shoppers)
        self._prefix = f"shop-{seed}-{run}"
        self._favourites = [
            tuple(int(one) for one in self._rng.choice(len(CATEGORIES), 2, replace=False))
            for _ in range(shoppers)
        ]
        self._countries = [_COUNTRIES[one] for one in self._rng.integers(len(_COUNTRIES), size=shoppers)]
        self._channels = [_CHANNELS[one] for one in self._rng.integers(len(_CHANNELS), size=shoppers)]

    @property
    def titles(self) -> dict[str, str]:
        """Title by item id."""
        return dict(zip(self._items.ids, self._items.titles, strict=True))

    def catalogue(self, clock: Clock) -> Iterator[CatalogItem]:
        """Describe every item once.

        Parameters
        ----------
        clock
            Gives the time of each description.
        """
        for index in range(len(self._items)):
            yield self._items.item(index, round(clock() * 1_000))

    def events(self, clock: Clock) -> Iterator[ShopEvent]:
        """What shoppers do, without end.

        Parameters
        ----------
        clock
            Gives the time of each event.
        """
        visits: list[_Visit] = []
        opened = number = 0
        while True:
            if len(visits) < self._open:
                visits.append(self._visit(opened, visits))
                opened += 1
            place = int(self._rng.integers(len(visits)))
            visit = visits[place]
            yield self._step(visit, f"{self._prefix}-{number}", round(clock() * 1_000))
            number += 1
            if self._rng.random() < _LEAVE:
                visits.pop(place)

    def _visit(self, number: int, others: list[_Visit]) -> _Visit:
        here = {other.shopper for other in others}
        shopper = int(self._rng.integers(self._shoppers))
        while shopper in here:
            shopper = (shopper + 1) % self._shoppers
        return _Visit(shopper, f"{self._prefix}-s{number}", self._favourites[shopper])

    def _step(self, visit: _Visit, event_id: str, ts: int) -> ShopEvent:
        chance = self._rng.random()
        if visit.cart and chance < _BUY:
            return self._purchase(visit, event_id, ts)
        if visit.item is not None and chance > 1 - _CART:
            if visit.item not in visit.cart:
                visit.cart.append(visit.item)
            return self._click(visit, event_id, ts, visit.item, Action.CART)
        if self._rng.random() < _SEARCH:
            return self._search(visit, event_id, ts)
        visit.item = self._next_item(visit)
        return self._click(visit, event_id, ts, visit.item, Action.DETAIL if chance < 0.5 else Action.VIEW)

    def _next_item(self, visit: _Visit) -> int:
        chance = self._rng.random()
        if visit.item is not None and chance < _NEAR:
            return self._items.near(visit.item)
        if visit.item is None or chance < _NEAR + _TASTE:
            return self._items.popular_in(visit.favourites[int(self._rng.integers(len(visit.favourites)))])
        return self._items.popular()

    def _context(self, visit: _Visit) -> Context:
        return {"country": self._countries[visit.shopper]}

    def _click(self, visit: _Visit, event_id: str, ts: int, item: int, action: Action) -> Click:
        query, visit.query = visit.query, None
        return Click(
            event_id=event_id,
            user_id=f"shopper-{visit.shopper}",
            ts=ts,
            session_id=visit.session_id,
            channel=self._channels[visit.shopper],
            context=self._context(visit),
            item_id=self._items.ids[item],
            action=action,
            query=query,
        )

    def _search(self, visit: _Visit, event_id: str, ts: int) -> Search:
        category = visit.favourites[int(self._rng.integers(len(visit.favourites)))]
        results = self._items.top(category, _RESULTS)
        visit.query = CATEGORIES[category]
        visit.item = results[int(self._rng.integers(len(results)))]
        return Search(
            event_id=event_id,
            user_id=f"shopper-{visit.shopper}",
            ts=ts,
            session_id=visit.session_id,
            channel=self._channels[visit.shopper],
            context=self._context(visit),
            query=visit.query,
            results=[self._items.ids[item] for item in results],
        )

    def _purchase(self, visit: _Visit, event_id: str, ts: int) -> Purchase:
        lines = [
            OrderLine(item_id=self._items.ids[item], quantity=1, price=self._items.prices[item])
            for item in visit.cart
        ]
        visit.cart = []
        return Purchase(
            event_id=event_id,
            user_id=f"shopper-{visit.shopper}",
            ts=ts,
            session_id=visit.session_id,
            channel=self._channels[visit.shopper],
            context=self._context(visit),
            order_id=f"order-{event_id}",
            items=lines,
            currency="EUR",
        )

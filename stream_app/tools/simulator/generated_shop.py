"""The generated shop as one stream: shoppers by turns, one event after the other."""

from collections.abc import Callable, Iterator

import numpy as np

from stream_app.tools.simulator.generated_user import GeneratedShopper
from stream_app.tools.simulator.preference_world import World
from stream_app.tools.simulator.simulated_user import ShopEvent
from topics.events import CatalogItem
from topics.records import RecommendationList

Clock = Callable[[], float]
"""Seconds since the epoch."""

ReadList = Callable[[GeneratedShopper], RecommendationList | None]
"""The list on a shopper's page."""


class Shop:
    """A small shop: a catalogue, shoppers with tastes, and their visits, several open at a time.

    The same seed, the same clock and the same lists give the same events. A fresh visit is opened by a shopper drawn
    anew.

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
    >>> event.event_id.startswith("shop-7--"), event.ts
    (True, 1700000000000)
    """

    def __init__(
        self, *, items: int = 500, shoppers: int = 400, open_sessions: int = 30, seed: int = 7, run: str = ""
    ) -> None:
        self._world = World(items, seed)
        self._open = min(open_sessions, shoppers)
        self._seed = seed
        prefix = f"shop-{seed}-{run}-"
        self._shoppers = [GeneratedShopper(self._world, number, prefix=prefix) for number in range(shoppers)]

    @property
    def titles(self) -> dict[str, str]:
        """Title by item id."""
        goods = self._world.catalogue
        return dict(zip(goods.ids, goods.titles, strict=True))

    def catalogue(self, clock: Clock) -> Iterator[CatalogItem]:
        """Describe every item once.

        Parameters
        ----------
        clock
            Gives the time of each description.
        """
        for index in range(len(self._world.catalogue)):
            yield self._world.catalogue.item(index, round(clock() * 1_000))

    def events(self, clock: Clock, read: ReadList = lambda _: None) -> Iterator[ShopEvent]:
        """What shoppers do, without end.

        Parameters
        ----------
        clock
            Gives the time of each event.
        read
            Gives the list that a shopper is shown; without it they find everything by themselves.
        """
        rng = np.random.default_rng((self._seed, 4))
        here: list[GeneratedShopper] = []
        while True:
            now = clock()
            if len(here) < self._open:
                shopper = self._shoppers[int(rng.integers(len(self._shoppers)))]
                if not shopper.in_visit:
                    shopper.open_visit(now)
                    here.append(shopper)
                elif not here:
                    here.append(shopper)
                    continue
            place = int(rng.integers(len(here)))
            shopper = here[place]
            yield from shopper.act(read(shopper), round(now * 1_000)).events
            if not shopper.in_visit:
                here[place] = here[-1]
                here.pop()

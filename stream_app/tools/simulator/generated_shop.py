"""The generated shop as one stream of events: active users take turns."""

from collections.abc import Callable, Iterator

import numpy as np

from stream_app.tools.simulator.generated_user import GeneratedUser
from stream_app.tools.simulator.preference_world import PreferenceWorld
from stream_app.tools.simulator.simulated_user import ShopEvent
from topics.events import CatalogItem
from topics.records import RecommendationList

Clock = Callable[[], float]
"""Seconds since the epoch."""

PageListReader = Callable[[GeneratedUser], RecommendationList | None]
"""Reads the list of a user's page; None for a page without a list."""


class GeneratedShop:
    """A small shop: a catalog, users with tastes, and their sessions, several open at a time.

    The same seed, clock and lists give the same events. A new session belongs to a randomly drawn user.

    Parameters
    ----------
    max_open_sessions
        Number of concurrent sessions.
    run
        Part of the event ids, so that a second run's events are no duplicates of the first.

    Examples
    --------
    >>> shop = GeneratedShop(items=50, users=20, seed=7)
    >>> [event.item_id for event in shop.catalog(lambda: 0.0)][:2]
    ['item-0000', 'item-0001']
    >>> event = next(shop.events(lambda: 1_700_000_000.0))
    >>> event.event_id.startswith("shop-7--"), event.ts
    (True, 1700000000000)
    """

    def __init__(
        self, *, items: int = 500, users: int = 400, max_open_sessions: int = 30, seed: int = 7, run: str = ""
    ) -> None:
        self._world = PreferenceWorld(items, seed)
        self._max_open_sessions = min(max_open_sessions, users)
        self._seed = seed
        prefix = f"shop-{seed}-{run}-"
        self._users = [GeneratedUser(self._world, number, prefix=prefix) for number in range(users)]

    @property
    def titles(self) -> dict[str, str]:
        """Titles by item id."""
        catalog = self._world.catalog
        return dict(zip(catalog.ids, catalog.titles, strict=True))

    def catalog(self, clock: Clock) -> Iterator[CatalogItem]:
        """Catalog events, one per item."""
        for index in range(len(self._world.catalog)):
            yield self._world.catalog.item(index, round(clock() * 1_000))

    def events(self, clock: Clock, read: PageListReader = lambda _: None) -> Iterator[ShopEvent]:
        """An endless stream of the users' events.

        Parameters
        ----------
        read
            Reads the list of a user's page; by default pages have no list.
        """
        rng = np.random.default_rng((self._seed, 4))
        active: list[GeneratedUser] = []
        while True:
            now = clock()
            if len(active) < self._max_open_sessions:
                user = self._users[int(rng.integers(len(self._users)))]
                if not user.in_session:
                    user.start_session(now)
                    active.append(user)
                elif not active:
                    active.append(user)
                    continue
            slot = int(rng.integers(len(active)))
            user = active[slot]
            yield from user.act(read(user), round(now * 1_000)).events
            if not user.in_session:
                active[slot] = active[-1]
                active.pop()

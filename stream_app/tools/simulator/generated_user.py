"""Generated shoppers: one model, whether they are shown lists or find everything by themselves.

A visit is for one category. At each step a shopper looks at what they are shown and may click it; if nothing is
clicked they search, or pick something of the category by themselves, each item in proportion to the odds of a
click on it. What they click may go to the cart, what is in the cart is bought before long. With every list that
brings nothing they are likelier to leave.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stream_app.tools.simulator.examination_model import click_chance, look_down
from stream_app.tools.simulator.generated_catalog import CATEGORIES
from stream_app.tools.simulator.preference_world import BOUGHT, CLICKED, SEEN, World
from stream_app.tools.simulator.simulated_user import Look, Sale, ShopEvent, Step
from topics.events import Action, Click, Impression, OrderLine, Purchase, Search
from topics.records import RecommendationList

COUNTRIES: Final = ("FR", "DE", "IT", "ES", "PL")
CHANNELS: Final = ("web", "app")

SEARCH: Final = 0.1
"""Chance that a shopper who clicked nothing on a list searches."""

CART: Final = (0.05, 0.15)
"""Chance that what was clicked goes to the cart: the first, and the second times the chance of the click."""

BUY: Final = 0.4
"""Chance, at each step with something in the cart, that it is bought."""

LEAVE: Final = 0.1
"""Chance to leave after a step."""

TIRE: Final = 0.03
"""How much it grows with each list in a row that brought nothing, up to `TIRED`."""

TIRED: Final = 0.4

_REMEMBERED: Final = 200  # bought items a shopper remembers
_RECENT: Final = 3


class GeneratedShopper:
    """One generated shopper; whoever runs it opens visits and asks for steps.

    Parameters
    ----------
    world
        What they like, and the shop.
    number
        Theirs, from 0: with the seed of the world it decides everything about them.
    prefix
        Put before ids of events.
    user_id
        Who they are to the shop.
    country, channel
        Where from; by default drawn.

    Attributes
    ----------
    in_visit
        Whether a visit is open.
    at
        The item they are looking at.

    Examples
    --------
    >>> shopper = GeneratedShopper(World(50, seed=7), 3)
    >>> shopper.open_visit(0.0)
    >>> [event] = shopper.act(None, 0).events
    >>> event.user_id, type(event).__name__
    ('shopper-3', 'Click')
    """

    def __init__(
        self,
        world: World,
        number: int,
        *,
        prefix: str = "",
        user_id: str | None = None,
        country: str | None = None,
        channel: str | None = None,
    ) -> None:
        self._world = world
        self._number = number
        self._rng = np.random.default_rng((world.seed, 2, number))
        self.user_id: Final = f"shopper-{number}" if user_id is None else user_id
        self._prefix = f"{prefix}{number}"
        country = country or COUNTRIES[int(self._rng.integers(len(COUNTRIES)))]
        self._channel = channel or CHANNELS[int(self._rng.integers(len(CHANNELS)))]
        self._context: dict[str, Any] = {"country": country}
        self.segments: Final[Sequence[str]] = (f"country:{country}",)
        self._epoch = -1
        self._bought: dict[int, None] = {}
        self._events = self._visits = 0
        self.in_visit = False
        self.at: str | None = None

    @property
    def session_items(self) -> Sequence[str]:
        """The last items of the visit."""
        ids = self._world.catalogue.ids
        return [ids[item] for item in list(self._clicked)[-_RECENT:]]

    def open_visit(self, now: float) -> None:
        """Begin a visit.

        Parameters
        ----------
        now
            The shop's time, seconds.
        """
        world, rng = self._world, self._rng
        epoch = world.epoch(now)
        if epoch != self._epoch:
            self._tastes, self._epoch = world.tastes(self._number, epoch), epoch
        self._intent = _drawn(world.demand(self._tastes, now).cumsum(), rng.random())
        self._here = world.catalogue.members(self._intent)
        odds = np.exp(world.pull(self._tastes, self._intent, now, self._here))
        self._own = odds.cumsum()
        self._now = now
        self._pull: NDArray[np.float64] | None = None
        self._seen: dict[int, int] = {}
        self._clicked: dict[int, None] = {}
        self._cart: dict[int, tuple[str, list[str]]] = {}
        self._chosen_from: tuple[str, list[str]] = ("", [])
        self._to_cart: int | None = None
        self._results: list[int] = []
        self._query: str | None = None
        self._in_vain = 0
        self._visits += 1
        self.at, self.in_visit = None, True

    def act(self, shown: RecommendationList | None, ts: int) -> Step:
        """Do one thing.

        Parameters
        ----------
        shown
            The list on the page.
        ts
            When, milliseconds since the epoch.

        Returns
        -------
        Step
            One event; before it an impression, if the list was looked at.
        """
        rng = self._rng
        events: list[ShopEvent] = []
        look: Look | None = None
        sales: list[Sale] = []
        if self._cart and rng.random() < BUY:
            bought, sales = self._purchase(ts)
            events.append(bought)
        elif self._to_cart is not None:
            events.append(self._click(self._to_cart, ts, Action.CART))
            self._cart[self._to_cart] = self._chosen_from
            self._to_cart = None
        else:
            clicked = None
            if shown is not None:
                look, clicked = self._look(shown, ts, events)
            events.append(self._by_oneself(ts) if clicked is None else clicked)
        if rng.random() < min(TIRED, LEAVE + TIRE * self._in_vain) and not self._cart:
            self.in_visit = False
        return Step(events, look, sales)

    def chances(self) -> NDArray[np.float64]:
        """The chance of a click on each item of the catalogue, if it is looked at now."""
        if self._pull is None:
            self._pull = self._world.pull(self._tastes, self._intent, self._now)
        pull = self._pull.copy()
        for item, times in self._seen.items():
            pull[item] -= SEEN * times
        for item in self._clicked:
            pull[item] -= CLICKED
        for item in self._bought:
            pull[item] -= BOUGHT
        chances: NDArray[np.float64] = 1.0 / (1.0 + np.exp(-pull))
        return chances

    def _look(self, shown: RecommendationList, ts: int, events: list[ShopEvent]) -> tuple[Look, Click | None]:
        chances = self.chances()
        number_of, rng = self._world.catalogue.number_of, self._rng
        items = [item.id for item in shown.items]
        numbers = [number_of.get(item, -1) for item in items]
        wanted = np.array([chances[number] if number >= 0 else 0.0 for number in numbers])
        best = chances.copy()
        if self.at is not None:
            best[number_of[self.at]] = 0.0
        best = np.sort(best)[::-1][: len(items)]
        glance = look_down(items, rng.random(), lambda item: rng.random() < wanted[items.index(item)])
        look = Look(
            len(items), len(glance.examined), glance.clicked >= 0, click_chance(wanted), click_chance(best)
        )
        events.append(Impression(**self._said(ts), list_id=shown.list_id, items=list(glance.examined)))
        for number in numbers[: len(glance.examined)]:
            if number >= 0:
                self._seen[number] = self._seen.get(number, 0) + 1
        if glance.clicked < 0:
            self._in_vain += 1
            return look, None
        self._in_vain = 0
        self._chosen_from = (shown.list_id, items)
        number = numbers[glance.clicked]
        self._seen.pop(number, None)
        click = self._click(number, ts, Action.DETAIL, list_id=shown.list_id, position=glance.clicked)
        self._consider(number, wanted[glance.clicked])
        return look, click

    def _by_oneself(self, ts: int) -> Click | Search:
        rng, goods = self._rng, self._world.catalogue
        results, self._results = self._results, []
        if not results and rng.random() < SEARCH:
            self._results = self._world.page(self._intent, self._now)
            self._query = CATEGORIES[self._intent]
            found = [goods.ids[item] for item in self._results]
            return Search(**self._said(ts), query=self._query, results=found)
        if results:
            pulls = np.exp(self._world.pull(self._tastes, self._intent, self._now, self._here))
            odds = np.cumsum(pulls[np.array(results) - self._here.start])
            item = results[_drawn(odds, rng.random())]
            page = results
        else:
            item = self._here.start + _drawn(self._own, rng.random())
            page = [item]
        self._chosen_from = ("", [goods.ids[one] for one in page] if len(page) > 1 else [])
        click = self._click(item, ts, Action.VIEW, query=self._query)
        self._query = None
        place = item - self._here.start
        odd = self._own[place] - (self._own[place - 1] if place else 0.0)
        self._consider(item, odd / (1.0 + odd))
        return click

    def _consider(self, item: int, chance: float) -> None:
        """Whether what was clicked goes to the cart."""
        low, slope = CART
        if self._rng.random() < low + slope * chance and item not in self._cart:
            self._to_cart = item

    def _purchase(self, ts: int) -> tuple[Purchase, list[Sale]]:
        goods = self._world.catalogue
        lines, sales = [], []
        for item, (list_id, _) in self._cart.items():
            lines.append(OrderLine(item_id=goods.ids[item], quantity=1, price=goods.prices[item]))
            sales.append(Sale(list_id, goods.prices[item]))
            self._bought[item] = None
        while len(self._bought) > _REMEMBERED:
            del self._bought[next(iter(self._bought))]
        list_id, shown = next(iter(self._cart.values()))
        if not shown:
            page = self._world.page(self._intent, self._now, next(iter(self._cart)))
            shown = [goods.ids[item] for item in page]
        self._cart = {}
        said = self._said(ts)
        purchase = Purchase(
            **said, order_id=f"order-{said['event_id']}", items=lines, currency="EUR",
            list_id=list_id or None, shown=shown,
            shown_prices=[goods.prices[goods.number_of[item]] for item in shown if item in goods.number_of],
        )  # fmt: skip
        return purchase, sales

    def _click(
        self,
        item: int,
        ts: int,
        action: Action,
        *,
        list_id: str | None = None,
        position: int | None = None,
        query: str | None = None,
    ) -> Click:
        self.at = self._world.catalogue.ids[item]
        self._clicked.pop(item, None)
        self._clicked[item] = None
        if action is Action.CART:
            list_id = self._chosen_from[0] or None
        return Click(
            **self._said(ts), item_id=self.at, action=action, list_id=list_id, position=position, query=query
        )

    def _said(self, ts: int) -> dict[str, Any]:
        """What every event carries."""
        self._events += 1
        return {
            "event_id": f"{self._prefix}-{self._events}",
            "user_id": self.user_id,
            "ts": ts,
            "session_id": f"{self._prefix}-v{self._visits}",
            "channel": self._channel,
            "context": self._context,
        }


def _drawn(odds: NDArray[np.float64], chance: float) -> int:
    """A place drawn in proportion to odds, which are summed up."""
    return min(int(odds.searchsorted(chance * odds[-1], side="right")), len(odds) - 1)

"""Generated users: one behavior model, with or without lists.

A session has one category as intent. At each step a user examines the displayed list and may click an item. Without a
click they search, or choose an item of the category organically, with probability proportional to its click odds. A
clicked item may be added to the cart; cart items are bought within a few steps. Each list without a click raises the
probability of leaving.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stream_app.tools.simulator.examination_model import click_probability, examine_list
from stream_app.tools.simulator.generated_catalog import CATEGORIES
from stream_app.tools.simulator.preference_world import (
    BOUGHT_PENALTY,
    CLICKED_PENALTY,
    IGNORED_PENALTY,
    PreferenceWorld,
)
from stream_app.tools.simulator.simulated_user import AttributedLine, ListExamination, ShopEvent, Step
from topics.events import Action, Click, Impression, OrderLine, Purchase, Search
from topics.records import RecommendationList

COUNTRIES: Final = ("FR", "DE", "IT", "ES", "PL")
CHANNELS: Final = ("web", "app")

SEARCH_PROBABILITY: Final = 0.1
"""Probability of a search in a step without a click on a list."""

CART_PROBABILITY: Final = (0.05, 0.15)
"""Probability that a clicked item is added to the cart: intercept, and slope over its click probability."""

BUY_PROBABILITY: Final = 0.4
"""Probability of a purchase in each step with a non-empty cart."""

LEAVE_PROBABILITY: Final = 0.1
"""Probability that the session ends after a step."""

LEAVE_INCREMENT: Final = 0.03
"""Increase of it per consecutive list without a click, up to `MAX_LEAVE_PROBABILITY`."""

MAX_LEAVE_PROBABILITY: Final = 0.4

_MAX_BOUGHT: Final = 200  # bought items with a penalty, per user
_SESSION_ITEMS: Final = 3


class GeneratedUser:
    """A generated user; the caller starts sessions and calls `act` for each step.

    Parameters
    ----------
    world
        The shop and the users' preferences.
    number
        Number of the user from 0; with the seed of the world it seeds all random numbers of the user.
    prefix
        Prefix of event ids.
    user_id
        User id in events; by default derived from the number.
    country, channel
        Country and channel of events; by default random.

    Attributes
    ----------
    in_session
        Whether a session is open.
    current_item
        The item of the current page.

    Examples
    --------
    >>> user = GeneratedUser(PreferenceWorld(50, seed=7), 3)
    >>> user.start_session(0.0)
    >>> [event] = user.act(None, 0).events
    >>> event.user_id, type(event).__name__
    ('user-3', 'Click')
    """

    def __init__(
        self,
        world: PreferenceWorld,
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
        self.user_id: Final = f"user-{number}" if user_id is None else user_id
        self._prefix = f"{prefix}{number}"
        country = country or COUNTRIES[int(self._rng.integers(len(COUNTRIES)))]
        self._channel = channel or CHANNELS[int(self._rng.integers(len(CHANNELS)))]
        self._context: dict[str, Any] = {"country": country}
        self.segments: Final[Sequence[str]] = (f"country:{country}",)
        self._epoch = -1
        self._bought: dict[int, None] = {}
        self._n_events = self._n_sessions = 0
        self.in_session = False
        self.current_item: str | None = None

    @property
    def session_items(self) -> Sequence[str]:
        """The last items of the session."""
        ids = self._world.catalog.ids
        return [ids[item] for item in list(self._clicked)[-_SESSION_ITEMS:]]

    def start_session(self, now: float) -> None:
        """Start a session.

        Parameters
        ----------
        now
            Simulated time, seconds since the epoch.
        """
        world, rng = self._world, self._rng
        epoch = world.epoch(now)
        if epoch != self._epoch:
            self._tastes, self._epoch = world.tastes(self._number, epoch), epoch
        self._intent = _sample_index(world.demand(self._tastes, now).cumsum(), rng.random())
        self._category_slice = world.catalog.members(self._intent)
        odds = np.exp(world.click_logits(self._tastes, self._intent, now, self._category_slice))
        self._cumulative_odds = odds.cumsum()
        self._now = now
        self._logits: NDArray[np.float64] | None = None
        self._ignored_counts: dict[int, int] = {}
        self._clicked: dict[int, None] = {}
        self._cart: dict[int, tuple[str, list[str]]] = {}
        self._source_list: tuple[str, list[str]] = ("", [])
        self._to_cart: int | None = None
        self._results: list[int] = []
        self._query: str | None = None
        self._n_lists_without_click = 0
        self._n_sessions += 1
        self.current_item, self.in_session = None, True

    def act(self, displayed: RecommendationList | None, ts: int) -> Step:
        """Take one step.

        Parameters
        ----------
        displayed
            The list on the page, if any.
        ts
            Timestamp of the events, milliseconds since the epoch.

        Returns
        -------
        Step
            One event, preceded by an impression if a list was examined.
        """
        rng = self._rng
        events: list[ShopEvent] = []
        list_examination: ListExamination | None = None
        sales: list[AttributedLine] = []
        if self._cart and rng.random() < BUY_PROBABILITY:
            purchase_event, sales = self._purchase(ts)
            events.append(purchase_event)
        elif self._to_cart is not None:
            events.append(self._click(self._to_cart, ts, Action.CART))
            self._cart[self._to_cart] = self._source_list
            self._to_cart = None
        else:
            clicked = None
            if displayed is not None:
                list_examination, clicked = self._examine_list(displayed, ts, events)
            events.append(self._organic_step(ts) if clicked is None else clicked)
        if (
            rng.random()
            < min(MAX_LEAVE_PROBABILITY, LEAVE_PROBABILITY + LEAVE_INCREMENT * self._n_lists_without_click)
            and not self._cart
        ):
            self.in_session = False
        return Step(events, list_examination, sales)

    def click_probabilities(self) -> NDArray[np.float64]:
        """Click probability of each item of the catalog if it is examined now, shape (items,)."""
        if self._logits is None:
            self._logits = self._world.click_logits(self._tastes, self._intent, self._now)
        click_logits = self._logits.copy()
        for item, times in self._ignored_counts.items():
            click_logits[item] -= IGNORED_PENALTY * times
        for item in self._clicked:
            click_logits[item] -= CLICKED_PENALTY
        for item in self._bought:
            click_logits[item] -= BOUGHT_PENALTY
        click_probabilities: NDArray[np.float64] = 1.0 / (1.0 + np.exp(-click_logits))
        return click_probabilities

    def _examine_list(
        self, displayed: RecommendationList, ts: int, events: list[ShopEvent]
    ) -> tuple[ListExamination, Click | None]:
        click_probabilities = self.click_probabilities()
        number_of, rng = self._world.catalog.number_of, self._rng
        items = [item.id for item in displayed.items]
        numbers = [number_of.get(item, -1) for item in items]
        item_probabilities = np.array(
            [click_probabilities[number] if number >= 0 else 0.0 for number in numbers]
        )
        best = click_probabilities.copy()
        if self.current_item is not None:
            best[number_of[self.current_item]] = 0.0
        best = np.sort(best)[::-1][: len(items)]
        examination = examine_list(
            items, rng.random(), lambda item: rng.random() < item_probabilities[items.index(item)]
        )
        list_examination = ListExamination(
            len(items),
            len(examination.examined),
            examination.clicked >= 0,
            click_probability(item_probabilities),
            click_probability(best),
        )
        events.append(
            Impression(**self._common_fields(ts), list_id=displayed.list_id, items=list(examination.examined))
        )
        for number in numbers[: len(examination.examined)]:
            if number >= 0:
                self._ignored_counts[number] = self._ignored_counts.get(number, 0) + 1
        if examination.clicked < 0:
            self._n_lists_without_click += 1
            return list_examination, None
        self._n_lists_without_click = 0
        self._source_list = (displayed.list_id, items)
        number = numbers[examination.clicked]
        self._ignored_counts.pop(number, None)
        click = self._click(
            number, ts, Action.DETAIL, list_id=displayed.list_id, position=examination.clicked
        )
        self._maybe_add_to_cart(number, item_probabilities[examination.clicked])
        return list_examination, click

    def _organic_step(self, ts: int) -> Click | Search:
        rng, catalog = self._rng, self._world.catalog
        results, self._results = self._results, []
        if not results and rng.random() < SEARCH_PROBABILITY:
            self._results = self._world.page(self._intent, self._now)
            self._query = CATEGORIES[self._intent]
            result_ids = [catalog.ids[item] for item in self._results]
            return Search(**self._common_fields(ts), query=self._query, results=result_ids)
        if results:
            weights = np.exp(
                self._world.click_logits(self._tastes, self._intent, self._now, self._category_slice)
            )
            odds = np.cumsum(weights[np.array(results) - self._category_slice.start])
            item = results[_sample_index(odds, rng.random())]
            page = results
        else:
            item = self._category_slice.start + _sample_index(self._cumulative_odds, rng.random())
            page = [item]
        self._source_list = ("", [catalog.ids[each] for each in page] if len(page) > 1 else [])
        click = self._click(item, ts, Action.VIEW, query=self._query)
        self._query = None
        offset = item - self._category_slice.start
        odds_of_item = self._cumulative_odds[offset] - (self._cumulative_odds[offset - 1] if offset else 0.0)
        self._maybe_add_to_cart(item, odds_of_item / (1.0 + odds_of_item))
        return click

    def _maybe_add_to_cart(self, item: int, probability: float) -> None:
        """Draw whether a clicked item is to be added to the cart."""
        low, slope = CART_PROBABILITY
        if self._rng.random() < low + slope * probability and item not in self._cart:
            self._to_cart = item

    def _purchase(self, ts: int) -> tuple[Purchase, list[AttributedLine]]:
        catalog = self._world.catalog
        lines, sales = [], []
        for item, (list_id, _) in self._cart.items():
            lines.append(OrderLine(item_id=catalog.ids[item], quantity=1, price=catalog.prices[item]))
            sales.append(AttributedLine(list_id, catalog.prices[item]))
            self._bought[item] = None
        while len(self._bought) > _MAX_BOUGHT:
            del self._bought[next(iter(self._bought))]
        list_id, shown = next(iter(self._cart.values()))
        if not shown:
            page = self._world.page(self._intent, self._now, next(iter(self._cart)))
            shown = [catalog.ids[item] for item in page]
        self._cart = {}
        common_fields = self._common_fields(ts)
        purchase = Purchase(
            **common_fields, order_id=f"order-{common_fields['event_id']}", items=lines, currency="EUR",
            list_id=list_id or None, shown=shown,
            shown_prices=[catalog.prices[catalog.number_of[item]] for item in shown if item in catalog.number_of],
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
        self.current_item = self._world.catalog.ids[item]
        self._clicked.pop(item, None)
        self._clicked[item] = None
        if action is Action.CART:
            list_id = self._source_list[0] or None
        return Click(
            **self._common_fields(ts),
            item_id=self.current_item,
            action=action,
            list_id=list_id,
            position=position,
            query=query,
        )

    def _common_fields(self, ts: int) -> dict[str, Any]:
        """Fields of all events."""
        self._n_events += 1
        return {
            "event_id": f"{self._prefix}-{self._n_events}",
            "user_id": self.user_id,
            "ts": ts,
            "session_id": f"{self._prefix}-v{self._n_sessions}",
            "channel": self._channel,
            "context": self._context,
        }


def _sample_index(odds: NDArray[np.float64], probability: float) -> int:
    """Draw an index with probability proportional to odds, given their cumulative sums."""
    return min(int(odds.searchsorted(probability * odds[-1], side="right")), len(odds) - 1)

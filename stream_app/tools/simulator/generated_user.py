"""Generated users: one behavior model, with or without lists.

A session has one category as intent. At each step a user examines the displayed list and may click an item. Without a
click they search, or choose an item of the category organically, with probability proportional to its click odds. A
clicked item may be added to the cart; cart items are bought within a few steps. Each list without a click raises the
probability of leaving.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
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


@dataclass(slots=True)
class _Session:
    """State of an open session; items are indices into the catalog."""

    now: float
    intent: int
    category_slice: slice
    cumulative_odds: NDArray[np.float64]
    """Cumulative click odds of the items of the intent category."""
    logits: NDArray[np.float64] | None = None
    """Click logits of all items, computed at the first list."""
    ignored_counts: dict[int, int] = field(default_factory=dict)
    clicked: dict[int, None] = field(default_factory=dict)
    """Clicked items in order; a repeated click moves an item to the end."""
    cart: dict[int, tuple[str, list[str]]] = field(default_factory=dict)
    """Items in the cart, with the list id and the displayed items of their click."""
    source_list: tuple[str, list[str]] = ("", [])
    """List id and displayed items of the last click; an empty id for a click without a list."""
    to_cart: int | None = None
    """Clicked item that the next step adds to the cart."""
    results: list[int] = field(default_factory=list)
    """Results of the search in the previous step."""
    query: str | None = None
    n_lists_without_click: int = 0


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
        return [ids[item] for item in list(self._session.clicked)[-_SESSION_ITEMS:]]

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
        intent = _sample_index(world.demand(self._tastes, now).cumsum(), rng.random())
        category_slice = world.catalog.members(intent)
        odds = np.exp(world.click_logits(self._tastes, intent, now, category_slice))
        self._session = _Session(now, intent, category_slice, odds.cumsum())
        self._n_sessions += 1
        self.current_item, self.in_session = None, True

    def act(self, displayed: RecommendationList | None, ts: int) -> Step:
        """Take one step: one event, preceded by an impression if a list was examined.

        Parameters
        ----------
        displayed
            The list on the page, if any.
        ts
            Timestamp of the events, milliseconds since the epoch.
        """
        rng, session = self._rng, self._session
        events: list[ShopEvent] = []
        list_examination: ListExamination | None = None
        sales: list[AttributedLine] = []
        if session.cart and rng.random() < BUY_PROBABILITY:
            purchase_event, sales = self._purchase(ts)
            events.append(purchase_event)
        elif session.to_cart is not None:
            events.append(self._click(session.to_cart, ts, Action.CART))
            session.cart[session.to_cart] = session.source_list
            session.to_cart = None
        else:
            clicked = None
            if displayed is not None:
                list_examination, clicked = self._examine_list(displayed, ts, events)
            events.append(self._organic_step(ts) if clicked is None else clicked)
        leave_probability = LEAVE_PROBABILITY + LEAVE_INCREMENT * session.n_lists_without_click
        if rng.random() < min(MAX_LEAVE_PROBABILITY, leave_probability) and not session.cart:
            self.in_session = False
        return Step(events, list_examination, sales)

    def click_probabilities(self) -> NDArray[np.float64]:
        """Click probability of each item of the catalog if it is examined now, shape (items,)."""
        session = self._session
        if session.logits is None:
            session.logits = self._world.click_logits(self._tastes, session.intent, session.now)
        click_logits = session.logits.copy()
        for item, times in session.ignored_counts.items():
            click_logits[item] -= IGNORED_PENALTY * times
        for item in session.clicked:
            click_logits[item] -= CLICKED_PENALTY
        for item in self._bought:
            click_logits[item] -= BOUGHT_PENALTY
        click_probabilities: NDArray[np.float64] = 1.0 / (1.0 + np.exp(-click_logits))
        return click_probabilities

    def _examine_list(
        self, displayed: RecommendationList, ts: int, events: list[ShopEvent]
    ) -> tuple[ListExamination, Click | None]:
        session = self._session
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
                session.ignored_counts[number] = session.ignored_counts.get(number, 0) + 1
        if examination.clicked < 0:
            session.n_lists_without_click += 1
            return list_examination, None
        session.n_lists_without_click = 0
        session.source_list = (displayed.list_id, items)
        number = numbers[examination.clicked]
        session.ignored_counts.pop(number, None)
        click = self._click(
            number, ts, Action.DETAIL, list_id=displayed.list_id, position=examination.clicked
        )
        self._maybe_add_to_cart(number, item_probabilities[examination.clicked])
        return list_examination, click

    def _organic_step(self, ts: int) -> Click | Search:
        rng, session, catalog = self._rng, self._session, self._world.catalog
        results, session.results = session.results, []
        if not results and rng.random() < SEARCH_PROBABILITY:
            session.results = self._world.page(session.intent, session.now)
            session.query = CATEGORIES[session.intent]
            result_ids = [catalog.ids[item] for item in session.results]
            return Search(**self._common_fields(ts), query=session.query, results=result_ids)
        if results:
            weights = np.exp(
                self._world.click_logits(self._tastes, session.intent, session.now, session.category_slice)
            )
            odds = np.cumsum(weights[np.array(results) - session.category_slice.start])
            item = results[_sample_index(odds, rng.random())]
            page = results
        else:
            item = session.category_slice.start + _sample_index(session.cumulative_odds, rng.random())
            page = [item]
        session.source_list = ("", [catalog.ids[each] for each in page] if len(page) > 1 else [])
        click = self._click(item, ts, Action.VIEW, query=session.query)
        session.query = None
        offset = item - session.category_slice.start
        odds_of_item = session.cumulative_odds[offset] - (
            session.cumulative_odds[offset - 1] if offset else 0.0
        )
        self._maybe_add_to_cart(item, odds_of_item / (1.0 + odds_of_item))
        return click

    def _maybe_add_to_cart(self, item: int, probability: float) -> None:
        """Draw whether a clicked item is to be added to the cart."""
        low, slope = CART_PROBABILITY
        if self._rng.random() < low + slope * probability and item not in self._session.cart:
            self._session.to_cart = item

    def _purchase(self, ts: int) -> tuple[Purchase, list[AttributedLine]]:
        session, catalog = self._session, self._world.catalog
        lines, sales = [], []
        for item, (list_id, _) in session.cart.items():
            lines.append(OrderLine(item_id=catalog.ids[item], quantity=1, price=catalog.prices[item]))
            sales.append(AttributedLine(list_id, catalog.prices[item]))
            self._bought[item] = None
        while len(self._bought) > _MAX_BOUGHT:
            del self._bought[next(iter(self._bought))]
        list_id, displayed = next(iter(session.cart.values()))
        if not displayed:
            page = self._world.page(session.intent, session.now, next(iter(session.cart)))
            displayed = [catalog.ids[item] for item in page]
        session.cart = {}
        common_fields = self._common_fields(ts)
        purchase = Purchase(
            **common_fields, order_id=f"order-{common_fields['event_id']}", items=lines, currency="EUR",
            list_id=list_id or None, shown=displayed,
            shown_prices=[catalog.prices[catalog.number_of[item]] for item in displayed if item in catalog.number_of],
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
        session = self._session
        self.current_item = self._world.catalog.ids[item]
        session.clicked.pop(item, None)
        session.clicked[item] = None
        if action is Action.CART:
            list_id = session.source_list[0] or None
        return Click(
            **self._common_fields(ts),
            item_id=self.current_item,
            action=action,
            list_id=list_id,
            position=position,
            query=query,
        )

    def _common_fields(self, ts: int) -> dict[str, Any]:
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

"""What shoppers did with the lists they were shown, list by list."""

from array import array
from collections import Counter
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.tools.simulator.simulated_user import Sale, ShopEvent, Step
from topics.records import RecommendationList

FALLBACK: Final = "(fallback)"
"""Put after the policy of lists that were not the shopper's own: popular items, those that go with an item."""

_LISTS_KEPT: Final = 64
"""Lists of a shopper whose policy is remembered, for the sales that come from them."""


class Shown(NamedTuple):
    """All lists that were looked at, one row each, as columns.

    Attributes
    ----------
    time
        Of the shop, seconds.
    user, policy
        Numbers into `Tally.users` and `Tally.policies`.
    examined, clicked
        Items looked at; 1 for a click.
    expected, best
        The chance of a click on the list, on the best list; NaN where nobody can know.
    """

    time: NDArray[np.float64]
    user: NDArray[np.int64]
    policy: NDArray[np.int64]
    examined: NDArray[np.float64]
    clicked: NDArray[np.float64]
    expected: NDArray[np.float64]
    best: NDArray[np.float64]


class Sold(NamedTuple):
    """All order lines that came from a list, as columns; see `Shown`."""

    user: NDArray[np.int64]
    policy: NDArray[np.int64]
    revenue: NDArray[np.float64]


class Tally:
    """Counts.

    Attributes
    ----------
    users, policies
        Their numbers by name.
    finished
        Shoppers who have done all they will do.
    late
        Lists that did not come in time.
    unlisted
        Steps without any list.
    unled_lines, unled_revenue
        Order lines that came from no list.
    at
        The shop's time, seconds.
    """

    def __init__(self) -> None:
        self.users: dict[str, int] = {}
        self.policies: dict[str, int] = {}
        self._sent: Counter[type[ShopEvent]] = Counter()
        self.finished = self.late = self.unlisted = self.unled_lines = 0
        self.unled_revenue = 0.0
        self.clicked = 0
        self.at = float("-inf")
        self._policy_of: dict[int, dict[str, int]] = {}
        self._shown: tuple[array[Any], ...] = tuple(array(code) for code in "dqqdddd")
        self._sold: tuple[array[Any], ...] = tuple(array(code) for code in "qqd")

    def reached(self, due: float, *, left: bool) -> None:
        """Note the shop's time, and whether a shopper is through."""
        self.at = max(self.at, due)
        self.finished += left

    def add(
        self, user_id: str, due: float, shown: RecommendationList | None, step: Step, *, own: bool
    ) -> None:
        """Take in one step.

        Parameters
        ----------
        user_id
            Whose.
        due
            The shop's time.
        shown
            The list on their page.
        step
            What they did.
        own
            Whether the list was theirs, and no fallback.
        """
        user = self.users.setdefault(user_id, len(self.users))
        for event in step.events:
            self._sent[type(event)] += 1
        look = step.look
        if shown is None:
            self.unlisted += 1
        elif look is not None:
            name = shown.policy if own else f"{shown.policy} {FALLBACK}"
            policy = self.policies.setdefault(name, len(self.policies))
            row = (due, user, policy, look.examined, look.clicked, look.expected, look.best)
            for column, value in zip(self._shown, row, strict=True):
                column.append(value)
            if look.clicked:
                self.clicked += 1
                lists = self._policy_of.setdefault(user, {})
                lists[shown.list_id] = policy
                if len(lists) > _LISTS_KEPT:
                    del lists[next(iter(lists))]
        for sale in step.sales:
            self._sell(user, sale)

    def _sell(self, user: int, sale: Sale) -> None:
        policy = self._policy_of.get(user, {}).get(sale.list_id)
        if policy is None:
            self.unled_lines += 1
            self.unled_revenue += sale.revenue
            return
        for column, value in zip(self._sold, (user, policy, sale.revenue), strict=True):
            column.append(value)

    @property
    def lists(self) -> int:
        """Lists looked at."""
        return len(self._shown[0])

    @property
    def events(self) -> int:
        """Events sent."""
        return self._sent.total()

    def sent(self, kind: type[ShopEvent]) -> int:
        """Events of a kind sent."""
        return self._sent[kind]

    def shown(self) -> Shown:
        """Every list looked at."""
        return Shown(*(np.array(column) for column in self._shown))

    def sold(self) -> Sold:
        """Every order line that came from a list."""
        return Sold(*(np.array(column) for column in self._sold))

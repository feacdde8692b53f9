"""What shoppers did with the lists they were shown, list by list."""

from array import array
from collections import Counter
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.tools.simulator.simulated_user import AttributedLine, ShopEvent, Step
from topics.records import RecommendationList

FALLBACK: Final = "(fallback)"
"""Put after the policy of lists that were not the shopper's own: popular items, those that go with an item."""

_MAX_LISTS_PER_USER: Final = 64
"""Lists of a shopper whose policy is remembered, for the sales that come from them."""


class ExaminedLists(NamedTuple):
    """All lists that were looked at, one row each, as columns.

    Attributes
    ----------
    time
        Of the shop, seconds.
    user, policy
        Numbers into `SimulationTally.users` and `SimulationTally.policies`.
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


class AttributedSales(NamedTuple):
    """All order lines that came from a list, as columns; see `ExaminedLists`."""

    user: NDArray[np.int64]
    policy: NDArray[np.int64]
    revenue: NDArray[np.float64]


class SimulationTally:
    """Counts.

    Attributes
    ----------
    users, policies
        Their numbers by name.
    finished
        Shoppers who have done all they will do.
    late_lists
        Lists that did not come in time.
    steps_without_list
        Steps without any list.
    unattributed_lines, unattributed_revenue
        Order lines that came from no list.
    shop_time
        The shop's time, seconds.
    """

    def __init__(self) -> None:
        self.users: dict[str, int] = {}
        self.policies: dict[str, int] = {}
        self._n_sent: Counter[type[ShopEvent]] = Counter()
        self.finished = self.late_lists = self.steps_without_list = self.unattributed_lines = 0
        self.unattributed_revenue = 0.0
        self.clicked = 0
        self.shop_time = float("-inf")
        self._policy_of: dict[int, dict[str, int]] = {}
        self._examined_lists: tuple[array[Any], ...] = tuple(array(typecode) for typecode in "dqqdddd")
        self._attributed_sales: tuple[array[Any], ...] = tuple(array(typecode) for typecode in "qqd")

    def advance(self, shop_time: float, *, finished_user: bool) -> None:
        """Note the shop's time, and whether a shopper is through."""
        self.shop_time = max(self.shop_time, shop_time)
        self.finished += finished_user

    def add(
        self,
        user_id: str,
        shop_time: float,
        displayed: RecommendationList | None,
        step: Step,
        *,
        is_user_list: bool,
    ) -> None:
        """Take in one step.

        Parameters
        ----------
        user_id
            Whose.
        shop_time
            The shop's time.
        displayed
            The list on their page.
        step
            What they did.
        is_user_list
            Whether the list was theirs, and no fallback.
        """
        user = self.users.setdefault(user_id, len(self.users))
        for event in step.events:
            self._n_sent[type(event)] += 1
        list_examination = step.list_examination
        if displayed is None:
            self.steps_without_list += 1
        elif list_examination is not None:
            name = displayed.policy if is_user_list else f"{displayed.policy} {FALLBACK}"
            policy = self.policies.setdefault(name, len(self.policies))
            row = (
                shop_time,
                user,
                policy,
                list_examination.examined,
                list_examination.clicked,
                list_examination.expected,
                list_examination.best,
            )
            for column, value in zip(self._examined_lists, row, strict=True):
                column.append(value)
            if list_examination.clicked:
                self.clicked += 1
                lists = self._policy_of.setdefault(user, {})
                lists[displayed.list_id] = policy
                if len(lists) > _MAX_LISTS_PER_USER:
                    del lists[next(iter(lists))]
        for sale in step.sales:
            self._add_sale(user, sale)

    def _add_sale(self, user: int, sale: AttributedLine) -> None:
        policy = self._policy_of.get(user, {}).get(sale.list_id)
        if policy is None:
            self.unattributed_lines += 1
            self.unattributed_revenue += sale.revenue
            return
        for column, value in zip(self._attributed_sales, (user, policy, sale.revenue), strict=True):
            column.append(value)

    @property
    def lists(self) -> int:
        """Lists looked at."""
        return len(self._examined_lists[0])

    @property
    def events(self) -> int:
        """Events sent."""
        return self._n_sent.total()

    def sent(self, kind: type[ShopEvent]) -> int:
        """Events of a kind sent."""
        return self._n_sent[kind]

    def displayed(self) -> ExaminedLists:
        """Every list looked at."""
        return ExaminedLists(*(np.array(column) for column in self._examined_lists))

    def attributed_sales(self) -> AttributedSales:
        """Every order line that came from a list."""
        return AttributedSales(*(np.array(column) for column in self._attributed_sales))

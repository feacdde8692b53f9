"""Results of simulated users, per examined list."""

from array import array
from collections import Counter
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.tools.simulator.simulated_user import AttributedLine, ShopEvent, Step
from topics.records import RecommendationList

FALLBACK: Final = "(fallback)"
"""Suffix of the policy of lists that are not personal: popular items, related items."""

_MAX_LISTS_PER_USER: Final = 64
"""Clicked lists per user whose policy is kept for the attribution of sales."""


class ExaminedLists(NamedTuple):
    """All examined lists as columns of shape (lists,).

    Attributes
    ----------
    time
        Simulated time, seconds.
    user, policy
        Indices into `SimulationTally.users` and `SimulationTally.policies`.
    examined, clicked
        Number of examined items; 1 for a click.
    expected, best
        Click probability of the list, and of the best list; NaN if unknown.
    """

    time: NDArray[np.float64]
    user: NDArray[np.int64]
    policy: NDArray[np.int64]
    examined: NDArray[np.float64]
    clicked: NDArray[np.float64]
    expected: NDArray[np.float64]
    best: NDArray[np.float64]


class AttributedSales(NamedTuple):
    """All attributed order lines as columns of shape (lines,); see `ExaminedLists`."""

    user: NDArray[np.int64]
    policy: NDArray[np.int64]
    revenue: NDArray[np.float64]


class SimulationTally:
    """Collects the results of all steps.

    Attributes
    ----------
    users, policies
        Indices by name.
    finished
        Users who took all their steps.
    late_lists
        Steps whose new list was not published in time.
    steps_without_list
        Steps without any list.
    unattributed_lines, unattributed_revenue
        Number and revenue of order lines that are not attributed to a list.
    shop_time
        Simulated time, seconds.
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
        """Advance simulated time, and count a finished user."""
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
        """Add the result of a step.

        Parameters
        ----------
        shop_time
            Simulated time, seconds.
        displayed
            The displayed list, if any.
        is_user_list
            Whether the list is personal, not a fallback.
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
        """Number of examined lists."""
        return len(self._examined_lists[0])

    @property
    def events(self) -> int:
        """Number of events sent."""
        return self._n_sent.total()

    def sent(self, kind: type[ShopEvent]) -> int:
        """Number of events of a type sent."""
        return self._n_sent[kind]

    def displayed(self) -> ExaminedLists:
        """All examined lists."""
        return ExaminedLists(*(np.array(column) for column in self._examined_lists))

    def attributed_sales(self) -> AttributedSales:
        """All attributed order lines."""
        return AttributedSales(*(np.array(column) for column in self._attributed_sales))

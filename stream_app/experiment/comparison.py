"""Metrics of the lists of each policy, with intervals over users."""

from collections import OrderedDict
from collections.abc import Mapping
from enum import IntEnum
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from stream_app.experiment.confidence_sequence import CONFIDENCE_LEVEL, AnytimeInterval, half_width
from stream_app.models.base import Items
from stream_app.models.model_state import Restorable, State
from topics.records import Interaction, Reward, RewardKind

_CLICK_KINDS: Final = frozenset({RewardKind.CLICK, RewardKind.CART, RewardKind.WISHLIST, RewardKind.SHARE})


class ListMetric(IntEnum):
    """Metrics per displayed list."""

    CLICKS = 0
    """Items whose first positive reaction was a click, a cart, a wishlist or a share, each once a list.

    A shop that reports carts without the clicks before them thus has clicks, too; a like or a purchase without an
    earlier reaction is not a click.
    """
    PURCHASES = 1
    """Order lines attributed to lists."""
    REVENUE = 2
    """Price times quantity of these order lines."""
    VALUE = 3
    """Rewards, weighted by the settings."""


_N_METRICS: Final = len(ListMetric)


class PolicyMetrics:
    """Sums over the lists of a policy, and sums of squares over users.

    Attributes
    ----------
    lists
        Displayed lists.
    lists_with_impression
        Those with an impression event; the others are known to be seen from a reaction alone.
    users
        Users who saw a list.
    sums : ndarray of float64, shape (len(ListMetric),)
        Sum of each metric.
    """

    def __init__(self) -> None:
        self.lists = 0.0
        self.lists_with_impression = 0
        self.users = 0
        self.sums: NDArray[np.float64] = np.zeros(_N_METRICS)
        self._squared_lists = 0.0
        self._squared_sums: NDArray[np.float64] = np.zeros(_N_METRICS)
        self._cross_sums: NDArray[np.float64] = np.zeros(_N_METRICS)

    def replace(self, previous: NDArray[np.float64], updated: NDArray[np.float64]) -> None:
        """Replace the sums of a user: displayed lists, then each metric."""
        lists, previous_lists = updated[0], previous[0]
        self.users += int(previous_lists == 0 and lists > 0)
        self.lists += lists - previous_lists
        self._squared_lists += lists * lists - previous_lists * previous_lists
        self.sums += updated[1:] - previous[1:]
        self._squared_sums += updated[1:] ** 2 - previous[1:] ** 2
        self._cross_sums += lists * updated[1:] - previous_lists * previous[1:]

    def mean(self, metric: ListMetric) -> float:
        """Mean of a metric per displayed list; 0 without lists."""
        return float(self.sums[metric] / self.lists) if self.lists else 0.0

    def deviation(self, metric: ListMetric) -> float:
        """Standard deviation of a metric per displayed list, over users.

        Lists of a user are not independent: the variance is that of a ratio of sums over users (linearized). One
        additional user with one reaction of the typical size is included, so that rare reactions that have not come
        yet do not give a deviation of 0.
        """
        mean, n = self.mean(metric), self.users
        if not n:
            return 0.0
        residual = (
            self._squared_sums[metric] - 2 * mean * self._cross_sums[metric] + mean**2 * self._squared_lists
        )
        total = abs(self.sums[metric])
        typical_size = self._squared_sums[metric] / total if total > 0 else 1.0
        return float(np.sqrt((max(0.0, residual) + typical_size**2) / n) / (self.lists / n))

    def interval(
        self, metric: ListMetric, level: float = CONFIDENCE_LEVEL, min_deviation: float = 0.0
    ) -> AnytimeInterval:
        """Mean of a metric per displayed list, with a confidence sequence over users.

        Parameters
        ----------
        level
            Probability that the interval covers the true mean at all times.
        min_deviation
            Lower bound of the standard deviation.
        """
        mean = self.mean(metric)
        width = half_width(self.users, level)
        if not np.isfinite(width):
            return AnytimeInterval(mean, -np.inf, np.inf)
        deviation = max(min_deviation, self.deviation(metric))
        return AnytimeInterval(mean, float(mean - width * deviation), float(mean + width * deviation))

    def state(self) -> State:
        """All sums as plain data."""
        return {
            "lists": self.lists,
            "lists_with_impression": self.lists_with_impression,
            "users": self.users,
            "squared_lists": self._squared_lists,
            "sums": self.sums.copy(),
            "squared": self._squared_sums.copy(),
            "cross_sums": self._cross_sums.copy(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore a `state`."""
        self.lists, self.users = float(state["lists"]), int(state["users"])
        self.lists_with_impression = int(state["lists_with_impression"])
        self._squared_lists = float(state["squared_lists"])
        self.sums, self._squared_sums = np.array(state["sums"]), np.array(state["squared"])
        self._cross_sums = np.array(state["cross_sums"])


class PolicyComparison(Restorable):
    """Metrics of every policy, from rewards; a learner of the models.

    They are of one period with a constant split of the users: if the split changes, the policies' lists are of
    different times, and a policy with most of its lists in a bad week looks worse than it is (Simpson's paradox). A
    change of the split therefore calls `start_period`. A list belongs to the period in which it was published, not to
    that of the reaction: otherwise a policy that lost its users would continue to collect purchases from old lists,
    without the lists.

    Parameters
    ----------
    max_users
        Maximum number of users with sums of their own; the least recent ones are evicted. Their share of the metrics
        stays, and if they return they count as new users.

    Attributes
    ----------
    policies
        Metrics by policy.
    since
        Start of the period, seconds since the epoch by the broker's clock: lists published before are ignored. 0 for
        no start.

    Examples
    --------
    >>> from topics.records import Source
    >>> comparison = PolicyComparison()
    >>> for n in range(100):
    ...     click = Reward(source=Source.CLICK, partition=0, offset=n, line=0, ts=float(n), user_id=f"u{n % 50}",
    ...                    list_id=f"l{n}", policy="fixed", kind=RewardKind.CLICK if n % 4 == 0
    ...                    else RewardKind.IMPRESSION, item_id="a", position=0, first_exposure=True)
    ...     comparison.on_reward(click)
    >>> comparison.policies["fixed"].mean(ListMetric.CLICKS)
    0.25
    >>> comparison.start_period(1_000.0), comparison.start_period(500.0), comparison.policies
    (True, False, {})
    """

    name: ClassVar[str] = "comparison"

    def __init__(self, max_users: int = 200_000) -> None:
        self._limit = max_users
        self.since = 0.0
        self._reset()

    def start_period(self, ts: float) -> bool:
        """Drop all metrics and start a period.

        Parameters
        ----------
        ts
            Seconds since the epoch.

        Returns
        -------
        bool
            False, without any change, if `ts` is not after `since`: an assignment that is read again after a restart
            must not drop the metrics of the snapshot.
        """
        if ts <= self.since:
            return False
        self.since = ts
        self._reset()
        return True

    def _reset(self) -> None:
        self.policies: dict[str, PolicyMetrics] = {}
        self._users: OrderedDict[tuple[str, str], NDArray[np.float64]] = OrderedDict()

    def on_interaction(self, interaction: Interaction) -> None:
        """Ignore interactions: they belong to no list."""

    def on_reward(self, reward: Reward) -> None:
        """Count a reward, unless its list was published before `since`."""
        if reward.ts - reward.delay < self.since:
            return
        metrics = self.policies.get(reward.policy)
        if metrics is None:
            metrics = self.policies[reward.policy] = PolicyMetrics()
        key = (reward.user_id, reward.policy)
        previous = self._users.get(key)
        if previous is None:
            previous = np.zeros(1 + _N_METRICS)
            if len(self._users) >= self._limit:
                self._users.popitem(last=False)
        else:
            self._users.move_to_end(key)
        updated = previous.copy()
        updated[0] += reward.first_exposure
        metrics.lists_with_impression += reward.first_exposure and reward.kind is RewardKind.IMPRESSION
        if reward.kind in _CLICK_KINDS and reward.first_positive:
            updated[1 + ListMetric.CLICKS] += 1
        if reward.kind is RewardKind.PURCHASE:
            updated[1 + ListMetric.PURCHASES] += 1
            updated[1 + ListMetric.REVENUE] += reward.revenue
        updated[1 + ListMetric.VALUE] += reward.value
        metrics.replace(previous, updated)
        self._users[key] = updated

    def forget_user(self, user: str) -> None:
        """Drop the sums of a user; the metrics stay."""
        for policy in self.policies:
            self._users.pop((user, policy), None)

    def forget_items(self, items: Items) -> None:
        """Do nothing: there is no data of single items."""

    def _state_header(self) -> tuple[str, Mapping[str, Any]]:
        return self.name, {"max_users": self._limit}

    def _get_state(self) -> State:
        return {
            "since": self.since,
            "policies": {name: metrics.state() for name, metrics in self.policies.items()},
            "users": [list(key) for key in self._users],
            "sums": np.array(list(self._users.values())).reshape(-1, 1 + _N_METRICS),
        }

    def _set_state(self, state: Mapping[str, Any]) -> None:
        self.since = float(state["since"])
        for name, saved in state["policies"].items():
            self.policies[name] = PolicyMetrics()
            self.policies[name].restore(saved)
        for (user, policy), row in zip(state["users"], np.array(state["sums"]), strict=True):
            self._users[str(user), str(policy)] = row

    def memory(self) -> int:
        """Memory in bytes, to within a few percent."""
        return 400 * len(self._users)

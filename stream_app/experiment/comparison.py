"""What each policy's lists have come to, with intervals by shopper."""

from collections import OrderedDict
from collections.abc import Mapping
from enum import IntEnum
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from stream_app.experiment.confidence_sequence import CONFIDENCE_LEVEL, AnytimeInterval, half_width
from stream_app.models.base import Items
from stream_app.models.model_state import State, verify_state, versioned_state
from topics.records import Interaction, Reward, RewardKind

_CLICK_KINDS: Final = frozenset({RewardKind.CLICK, RewardKind.CART, RewardKind.WISHLIST, RewardKind.SHARE})


class ListMetric(IntEnum):
    """What is counted for each list that was seen."""

    CLICKS = 0
    """Items whose first good reaction was a click, a cart, a wishlist or a share, each once a list.

    So a shop that tells of carts and not of the clicks before them has clicks too; a like or a purchase with nothing
    before it counts for none.
    """
    PURCHASES = 1
    """Lines bought from lists."""
    REVENUE = 2
    """Price times quantity of these."""
    VALUE = 3
    """Rewards, by the settings' weights."""


_N_METRICS: Final = len(ListMetric)


class PolicyMetrics:
    """Sums over the lists of one policy, and their squares by shopper.

    Attributes
    ----------
    lists
        Lists that were seen.
    lists_with_impression
        Of them, those that are known to have been seen from an impression event, and not from a reaction.
    users
        Shoppers who saw one.
    sums : ndarray of float64, shape (figures,)
        Of each `ListMetric`.
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
        """Put what a shopper has come to in place of what they had: lists, and each figure."""
        lists, previous_lists = updated[0], previous[0]
        self.users += int(previous_lists == 0 and lists > 0)
        self.lists += lists - previous_lists
        self._squared_lists += lists * lists - previous_lists * previous_lists
        self.sums += updated[1:] - previous[1:]
        self._squared_sums += updated[1:] ** 2 - previous[1:] ** 2
        self._cross_sums += lists * updated[1:] - previous_lists * previous[1:]

    def mean(self, metric: ListMetric) -> float:
        """A figure per list seen; 0 before the first."""
        return float(self.sums[metric] / self.lists) if self.lists else 0.0

    def deviation(self, metric: ListMetric) -> float:
        """Standard deviation of a figure per list seen, over shoppers.

        Lists of one shopper are not independent: the variance is that of a ratio of sums over shoppers (linearised).
        One shopper more than there were, with one reaction of the usual size, is counted in: of rare reactions none
        may have come yet, and that they have no spread is not to be concluded.
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
        """A figure per list seen, with an interval that holds whenever one looks; what it counts is shoppers.

        Parameters
        ----------
        metric
            Which.
        level
            Chance that it holds the truth at all times.
        min_deviation
            A deviation that is taken at the least.
        """
        mean = self.mean(metric)
        width = half_width(self.users, level)
        if not np.isfinite(width):
            return AnytimeInterval(mean, -np.inf, np.inf)
        deviation = max(min_deviation, self.deviation(metric))
        return AnytimeInterval(mean, float(mean - width * deviation), float(mean + width * deviation))

    def state(self) -> State:
        """All sums."""
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
        """Become what `state` was taken from."""
        self.lists, self.users = float(state["lists"]), int(state["users"])
        self.lists_with_impression = int(state["lists_with_impression"])
        self._squared_lists = float(state["squared_lists"])
        self.sums, self._squared_sums = np.array(state["sums"]), np.array(state["squared"])
        self._cross_sums = np.array(state["cross_sums"])


class PolicyComparison:
    """Keeps the figures of every policy, from the rewards; a listener of the models.

    They are of one period, in which shoppers were split alike: where shares change on the way, policies have their
    lists at different times, and one that got most of them in a bad week looks worse than it is (Simpson's paradox).
    So whoever changes the split calls `start_period`. What counts is when a list was made, not when somebody reacted
    to it: else a policy that lost its shoppers would go on to collect the purchases of its old lists, without the
    lists.

    Parameters
    ----------
    max_users
        Shoppers whose own sums are held, the latest; what older ones have come to stays in the figures, and if they
        return they count as someone else.

    Attributes
    ----------
    policies
        Figures by policy.
    since
        Lists published before it are left out; seconds since the epoch by the broker's clock, 0 for none.

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
        self._clear()

    def start_period(self, ts: float) -> bool:
        """Begin anew with the lists published from a time on.

        Parameters
        ----------
        ts
            Seconds since the epoch.

        Returns
        -------
        bool
            False if it is not after `since`: nothing has changed then, so that what is said once more, as after a
            restart with a snapshot, costs no figures.
        """
        if ts <= self.since:
            return False
        self.since = ts
        self._clear()
        return True

    def _clear(self) -> None:
        self.policies: dict[str, PolicyMetrics] = {}
        self._users: OrderedDict[tuple[str, str], NDArray[np.float64]] = OrderedDict()

    def on_interaction(self, interaction: Interaction) -> None:
        """What was done without a list counts for no policy."""

    def on_reward(self, reward: Reward) -> None:
        """Count a reward, unless its list is of before `since`."""
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
        """Drop what is held of a shopper by name; the sums stay."""
        for policy in self.policies:
            self._users.pop((user, policy), None)

    def forget_items(self, items: Items) -> None:
        """Nothing is held of single items."""

    def state(self) -> State:
        """All figures, as plain data."""
        return versioned_state(
            self.name,
            {"max_shoppers": self._limit},
            since=self.since,
            policies={name: metrics.state() for name, metrics in self.policies.items()},
            users=[list(key) for key in self._users],
            sums=np.array(list(self._users.values())).reshape(-1, 1 + _N_METRICS),
        )

    def restore(self, state: Mapping[str, Any]) -> None:
        """Become what `state` was taken from.

        Raises
        ------
        ValueError
            If it was taken with another bound.
        """
        verify_state(state, self.name, {"max_shoppers": self._limit})
        self.since = float(state["since"])
        self._clear()
        for name, saved in state["policies"].items():
            self.policies[name] = PolicyMetrics()
            self.policies[name].restore(saved)
        for (user, policy), row in zip(state["users"], np.array(state["sums"]), strict=True):
            self._users[str(user), str(policy)] = row

    def memory(self) -> int:
        """Bytes held, to within a few percent."""
        return 400 * len(self._users)

"""What each policy's lists have come to, with intervals by shopper."""

from collections import OrderedDict
from collections.abc import Mapping
from enum import IntEnum
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from stream_app.experiment.confidence_sequence import LEVEL, Interval, half_width
from stream_app.models.base import Items
from stream_app.models.model_state import State, stamped, verify
from topics.records import Interaction, Reward, RewardKind

_CLICKS: Final = frozenset({RewardKind.CLICK, RewardKind.CART, RewardKind.WISHLIST, RewardKind.SHARE})


class Figure(IntEnum):
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


_N: Final = len(Figure)


class PolicyFigures:
    """Sums over the lists of one policy, and their squares by shopper.

    Attributes
    ----------
    lists
        Lists that were seen.
    shown
        Of them, those that are known to have been seen from an impression event, and not from a reaction.
    shoppers
        Shoppers who saw one.
    sums : ndarray of float64, shape (figures,)
        Of each `Figure`.
    """

    def __init__(self) -> None:
        self.lists = 0.0
        self.shown = 0
        self.shoppers = 0
        self.sums: NDArray[np.float64] = np.zeros(_N)
        self._lists_squared = 0.0
        self._squared: NDArray[np.float64] = np.zeros(_N)
        self._crossed: NDArray[np.float64] = np.zeros(_N)

    def replace(self, before: NDArray[np.float64], after: NDArray[np.float64]) -> None:
        """Put what a shopper has come to in place of what they had: lists, and each figure."""
        lists, was = after[0], before[0]
        self.shoppers += int(was == 0 and lists > 0)
        self.lists += lists - was
        self._lists_squared += lists * lists - was * was
        self.sums += after[1:] - before[1:]
        self._squared += after[1:] ** 2 - before[1:] ** 2
        self._crossed += lists * after[1:] - was * before[1:]

    def mean(self, figure: Figure) -> float:
        """A figure per list seen; 0 before the first."""
        return float(self.sums[figure] / self.lists) if self.lists else 0.0

    def deviation(self, figure: Figure) -> float:
        """Standard deviation of a figure per list seen, over shoppers.

        Lists of one shopper are not independent: the variance is that of a ratio of sums over shoppers (linearised).
        One shopper more than there were, with one reaction of the usual size, is counted in: of rare reactions none
        may have come yet, and that they have no spread is not to be concluded.
        """
        mean, n = self.mean(figure), self.shoppers
        if not n:
            return 0.0
        residual = self._squared[figure] - 2 * mean * self._crossed[figure] + mean**2 * self._lists_squared
        total = abs(self.sums[figure])
        usual = self._squared[figure] / total if total > 0 else 1.0
        return float(np.sqrt((max(0.0, residual) + usual**2) / n) / (self.lists / n))

    def interval(self, figure: Figure, level: float = LEVEL, least: float = 0.0) -> Interval:
        """A figure per list seen, with an interval that holds whenever one looks; what it counts is shoppers.

        Parameters
        ----------
        figure
            Which.
        level
            Chance that it holds the truth at all times.
        least
            A deviation that is taken at the least.
        """
        mean = self.mean(figure)
        width = half_width(self.shoppers, level)
        if not np.isfinite(width):
            return Interval(mean, -np.inf, np.inf)
        deviation = max(least, self.deviation(figure))
        return Interval(mean, float(mean - width * deviation), float(mean + width * deviation))

    def state(self) -> State:
        """All sums."""
        return {
            "lists": self.lists,
            "shown": self.shown,
            "shoppers": self.shoppers,
            "lists_squared": self._lists_squared,
            "sums": self.sums.copy(),
            "squared": self._squared.copy(),
            "crossed": self._crossed.copy(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Become what `state` was taken from."""
        self.lists, self.shoppers = float(state["lists"]), int(state["shoppers"])
        self.shown = int(state["shown"])
        self._lists_squared = float(state["lists_squared"])
        self.sums, self._squared = np.array(state["sums"]), np.array(state["squared"])
        self._crossed = np.array(state["crossed"])


class Comparison:
    """Keeps the figures of every policy, from the rewards; a listener of the models.

    They are of one period, in which shoppers were split alike: where shares change on the way, policies have their
    lists at different times, and one that got most of them in a bad week looks worse than it is (Simpson's paradox).
    So whoever changes the split calls `begin`. What counts is when a list was made, not when somebody reacted to it:
    else a policy that lost its shoppers would go on to collect the purchases of its old lists, without the lists.

    Parameters
    ----------
    max_shoppers
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
    >>> comparison = Comparison()
    >>> for n in range(100):
    ...     click = Reward(source=Source.CLICK, partition=0, offset=n, line=0, ts=float(n), user_id=f"u{n % 50}",
    ...                    list_id=f"l{n}", policy="fixed", kind=RewardKind.CLICK if n % 4 == 0
    ...                    else RewardKind.IMPRESSION, item_id="a", position=0, opens=True)
    ...     comparison.hear_reward(click)
    >>> comparison.policies["fixed"].mean(Figure.CLICKS)
    0.25
    >>> comparison.begin(1_000.0), comparison.begin(500.0), comparison.policies
    (True, False, {})
    """

    name: ClassVar[str] = "comparison"

    def __init__(self, max_shoppers: int = 200_000) -> None:
        self._limit = max_shoppers
        self.since = 0.0
        self._clear()

    def begin(self, ts: float) -> bool:
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
        self.policies: dict[str, PolicyFigures] = {}
        self._shoppers: OrderedDict[tuple[str, str], NDArray[np.float64]] = OrderedDict()

    def hear(self, interaction: Interaction) -> None:
        """What was done without a list counts for no policy."""

    def hear_reward(self, reward: Reward) -> None:
        """Count a reward, unless its list is of before `since`."""
        if reward.ts - reward.delay < self.since:
            return
        figures = self.policies.get(reward.policy)
        if figures is None:
            figures = self.policies[reward.policy] = PolicyFigures()
        key = (reward.user_id, reward.policy)
        before = self._shoppers.get(key)
        if before is None:
            before = np.zeros(1 + _N)
            if len(self._shoppers) >= self._limit:
                self._shoppers.popitem(last=False)
        else:
            self._shoppers.move_to_end(key)
        after = before.copy()
        after[0] += reward.opens
        figures.shown += reward.opens and reward.kind is RewardKind.IMPRESSION
        if reward.kind in _CLICKS and reward.first:
            after[1 + Figure.CLICKS] += 1
        if reward.kind is RewardKind.PURCHASE:
            after[1 + Figure.PURCHASES] += 1
            after[1 + Figure.REVENUE] += reward.revenue
        after[1 + Figure.VALUE] += reward.value
        figures.replace(before, after)
        self._shoppers[key] = after

    def forget_user(self, user: str) -> None:
        """Drop what is held of a shopper by name; the sums stay."""
        for policy in self.policies:
            self._shoppers.pop((user, policy), None)

    def forget_items(self, items: Items) -> None:
        """Nothing is held of single items."""

    def state(self) -> State:
        """All figures, as plain data."""
        return stamped(
            self.name,
            {"max_shoppers": self._limit},
            since=self.since,
            policies={name: figures.state() for name, figures in self.policies.items()},
            shoppers=[list(key) for key in self._shoppers],
            sums=np.array(list(self._shoppers.values())).reshape(-1, 1 + _N),
        )

    def restore(self, state: Mapping[str, Any]) -> None:
        """Become what `state` was taken from.

        One that does not say since when it counts is of before figures had a period, and counts all: taking it keeps
        what the models beside it have learned, and the first `begin` drops the figures.

        Raises
        ------
        ValueError
            If it was taken with another bound.
        """
        verify(state, self.name, {"max_shoppers": self._limit})
        self.since = float(state.get("since", 0.0))
        self._clear()
        for name, held in state["policies"].items():
            self.policies[name] = PolicyFigures()
            self.policies[name].restore(held)
        for (user, policy), row in zip(state["shoppers"], np.array(state["sums"]), strict=True):
            self._shoppers[str(user), str(policy)] = row

    def memory(self) -> int:
        """Bytes held, to within a few percent."""
        return 400 * len(self._shoppers)

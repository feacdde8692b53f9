"""Preferences of generated users, and how tastes, popularity and catalog change; see `docs/simulator.md`.

The click probability of an examined item is logistic in a sum of effects: the intent of the session, the user's
interest in the category, the distance on the style ring, the item's appeal, its price, and penalties for items that
the user has ignored, clicked or bought.
"""

from bisect import bisect_right
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.tools.simulator.generated_catalog import CATEGORIES, GeneratedCatalog

DAY: Final = 86_400.0
SEASON_PERIOD: Final = 7 * DAY
"""Period in seconds of the seasonal demand of each category; the phases of the categories differ."""

BASE_LOGIT: Final = -5.0
"""Logit of an item without any effect: a click probability of 1 in 150."""

INTENT_WEIGHT, INTEREST_WEIGHT, STYLE_WEIGHT, APPEAL_WEIGHT, SEASON_AMPLITUDE = 2.2, 0.8, 1.2, 0.8, 0.7
"""Effects of the intent category, of the favorite category otherwise, of style, of appeal, and of the season."""

IGNORED_PENALTY, CLICKED_PENALTY, BOUGHT_PENALTY = 0.5, 1.5, 3.0
"""Logit penalties: per ignored impression in the session, for a click in the session, for any purchase."""

SHIFTED_FRACTION: Final = 0.5
"""Share of users whose tastes are redrawn at a shift, and of items whose appeal is permuted."""

NEW_ITEM_FRACTION: Final = 0.15
"""Share of items that arrive during the run."""

PAGE_SIZE: Final = 10
"""Items on a page of search results or of a category."""

Values = NDArray[np.float64]

_PHASES: Final = 2 * np.pi * np.arange(len(CATEGORIES)) / len(CATEGORIES)


class Tastes(NamedTuple):
    """Tastes of a user between two shifts.

    Attributes
    ----------
    categories : ndarray of float64, shape (len(CATEGORIES),)
        Interest in each category, sums to 1.
    style
        Angle on the style ring in radians.
    price_sensitivity
        Coefficient of the relative log price.
    """

    categories: Values
    style: float
    price_sensitivity: float


class PreferenceWorld:
    """The catalog and the users' preferences, over time.

    Parameters
    ----------
    begin, end
        Simulated time span in seconds, in which new items arrive; without an end, all items exist from the start.
    shifts
        Times at which tastes change, ascending.

    Examples
    --------
    >>> world = PreferenceWorld(50, seed=7, begin=0.0, end=100.0, shifts=(40.0,))
    >>> [world.epoch(now) for now in (0.0, 40.0, 99.0)]
    [0, 1, 1]
    """

    def __init__(
        self,
        items: int,
        seed: int,
        begin: float = 0.0,
        end: float | None = None,
        shifts: tuple[float, ...] = (),
    ) -> None:
        rng = np.random.default_rng((seed, 0))
        self.catalog: Final = GeneratedCatalog(items, rng)
        self.seed: Final = seed
        self.shifts: Final = shifts
        log_popularity = np.log(self.catalog.popularity)
        appeal = APPEAL_WEIGHT * (log_popularity - log_popularity.mean()) / log_popularity.std()
        self._appeal = [appeal]
        for _ in shifts:
            appeal = appeal.copy()
            shifted_items = rng.permutation(items)[: round(SHIFTED_FRACTION * items)]
            appeal[shifted_items] = rng.permutation(appeal[shifted_items])
            self._appeal.append(appeal)
        self.arrival_times: Values = np.full(items, -np.inf)
        if end is not None:
            # The first item of each category is always available: no category is ever empty.
            _, always_available = np.unique(self.catalog.category_of, return_index=True)
            new_items = np.setdiff1d(
                rng.permutation(items)[: round(NEW_ITEM_FRACTION * items)], always_available
            )
            self.arrival_times[new_items] = rng.uniform(begin, end, len(new_items))
        self._appeal_order: dict[tuple[int, int], NDArray[np.int64]] = {}
        self._cos, self._sin = np.cos(self.catalog.angle), np.sin(self.catalog.angle)

    def epoch(self, now: float) -> int:
        """Number of shifts until `now`."""
        return bisect_right(self.shifts, now)

    def tastes(self, user: int, epoch: int) -> Tastes:
        """Tastes of a user after `epoch` shifts; deterministic."""
        while epoch:
            rng = np.random.default_rng((self.seed, 1, user, epoch))
            if rng.random() < SHIFTED_FRACTION:
                return _sample_tastes(rng)
            epoch -= 1
        return _sample_tastes(np.random.default_rng((self.seed, 1, user, 0)))

    def demand(self, tastes: Tastes, now: float) -> Values:
        """Probability of each category as the intent of a session, shape (len(CATEGORIES),)."""
        weights = tastes.categories * np.exp(
            SEASON_AMPLITUDE * np.sin(_PHASES + 2 * np.pi * now / SEASON_PERIOD)
        )
        share: Values = weights / weights.sum()
        return share

    def page(self, category: int, now: float, item: int | None = None) -> list[int]:
        """Items of a category's first page by appeal, or of the page that contains `item`."""
        key = (self.epoch(now), category)
        order = self._appeal_order.get(key)
        if order is None:
            category_slice = self.catalog.members(category)
            order = category_slice.start + np.argsort(-self._appeal[key[0]][category_slice], kind="stable")
            self._appeal_order[key] = order
        available = order[self.arrival_times[order] <= now]
        first = 0 if item is None else int((available == item).argmax()) // PAGE_SIZE * PAGE_SIZE
        page: list[int] = available[first : first + PAGE_SIZE].tolist()
        return page

    def click_logits(self, tastes: Tastes, intent: int, now: float, where: slice = slice(None)) -> Values:
        """Logits of a click on each item if it is examined; -inf for items that have not arrived.

        Parameters
        ----------
        intent
            Intent category of the session.
        now
            Simulated time in seconds.
        where
            Slice of the items.

        Returns
        -------
        ndarray of float64, shape (number of items in `where`,)
        """
        catalog = self.catalog
        interest = INTEREST_WEIGHT * tastes.categories / tastes.categories.max()
        interest[intent] = INTENT_WEIGHT
        style = np.cos(tastes.style) * self._cos[where] + np.sin(tastes.style) * self._sin[where]
        appeal = self._appeal[self.epoch(now)][where]
        category = catalog.category_of[where]
        logit = (
            BASE_LOGIT
            + interest[category]
            + STYLE_WEIGHT * style
            + appeal
            - tastes.price_sensitivity * catalog.relative_log_price[where]
        )
        available: Values = np.where(self.arrival_times[where] <= now, logit, -np.inf)
        return available


def _sample_tastes(rng: np.random.Generator) -> Tastes:
    categories = rng.dirichlet(np.full(len(CATEGORIES), 0.3)) + 1e-6
    return Tastes(categories / categories.sum(), rng.uniform(0, 2 * np.pi), float(rng.lognormal(0, 0.5)))

"""What generated shoppers want: tastes, and a shop that changes under them. `docs/simulator.md` describes both.

The chance that a shopper clicks an item they look at is logistic in what speaks for it: the category they came for,
its place on the style ring beside their own, its appeal to everybody, its price against their purse, and what they
have seen of it already.
"""

from bisect import bisect_right
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.tools.simulator.generated_catalog import CATEGORIES, GeneratedCatalog

DAY: Final = 86_400.0
SEASON_PERIOD: Final = 7 * DAY
"""Demand for each category rises and falls once in so many seconds, one category after the other."""

BASE_LOGIT: Final = -5.0
"""What speaks for an item of no interest, so that one in 150 is clicked."""

INTENT_WEIGHT, INTEREST_WEIGHT, STYLE_WEIGHT, APPEAL_WEIGHT, SEASON_AMPLITUDE = 2.2, 0.8, 1.2, 0.8, 0.7
"""Weights: of the category they came for, of the category otherwise favoured most, of style, of appeal, of season."""

IGNORED_PENALTY, CLICKED_PENALTY, BOUGHT_PENALTY = 0.5, 1.5, 3.0
"""What speaks against an item that was passed over in this visit (each time), clicked in it, ever bought."""

SHIFTED_FRACTION: Final = 0.5
"""Share of shoppers who get new tastes at a shift, and of items that get another's appeal."""

NEW_ITEM_FRACTION: Final = 0.15
"""Share of items that arrive while the shop is open."""

PAGE_SIZE: Final = 10
"""Items on a page of the shop's own: of search results, or of a category."""

Values = NDArray[np.float64]


_PHASES: Final = 2 * np.pi * np.arange(len(CATEGORIES)) / len(CATEGORIES)


class Tastes(NamedTuple):
    """What a shopper likes for as long as tastes do not change.

    Attributes
    ----------
    categories : ndarray of float64, shape (len(CATEGORIES),)
        How much of their shopping is in each, sums to 1.
    style
        An angle, in radians.
    price_sensitivity
        How much a high price speaks against an item.
    """

    categories: Values
    style: float
    price_sensitivity: float


class PreferenceWorld:
    """The catalog, who likes what, and how that changes.

    Parameters
    ----------
    items
        How many there will be.
    seed
        Of everything that chance plays a part in.
    begin, end
        When the shop opens and closes, seconds; new items arrive in between. Without an end none do.
    shifts
        When tastes change, rising.

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
            always_available = np.unique(self.catalog.category_of, return_index=True)[
                1
            ]  # no category is ever empty
            new_items = np.setdiff1d(
                rng.permutation(items)[: round(NEW_ITEM_FRACTION * items)], always_available
            )
            self.arrival_times[new_items] = rng.uniform(begin, end, len(new_items))
        self._appeal_order: dict[tuple[int, int], NDArray[np.int64]] = {}
        self._cos, self._sin = np.cos(self.catalog.angle), np.sin(self.catalog.angle)

    def epoch(self, now: float) -> int:
        """How many shifts there have been."""
        return bisect_right(self.shifts, now)

    def tastes(self, user: int, epoch: int) -> Tastes:
        """What a shopper likes after so many shifts; the same whenever it is asked."""
        while epoch:
            rng = np.random.default_rng((self.seed, 1, user, epoch))
            if rng.random() < SHIFTED_FRACTION:
                return _sample_tastes(rng)
            epoch -= 1
        return _sample_tastes(np.random.default_rng((self.seed, 1, user, 0)))

    def demand(self, tastes: Tastes, now: float) -> Values:
        """The chance of each category to be what a visit is for."""
        weights = tastes.categories * np.exp(
            SEASON_AMPLITUDE * np.sin(_PHASES + 2 * np.pi * now / SEASON_PERIOD)
        )
        share: Values = weights / weights.sum()
        return share

    def page(self, category: int, now: float, item: int | None = None) -> list[int]:
        """A page of the shop's own: the items of a category that appeal most, or the page that an item is on."""
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
        """What speaks for each item (the logit of a click on it when it is looked at), -inf for those not there yet.

        Parameters
        ----------
        tastes
            Of the shopper.
        intent
            The category they came for.
        now
            Seconds.
        where
            Of these items.
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

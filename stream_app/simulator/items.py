"""The generated catalogue: items in categories, popular and less so, each with its neighbours."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from topics.events import CatalogItem

CATEGORIES: Final = (
    "tents", "boots", "jackets", "backpacks", "stoves", "lamps", "ropes", "maps", "bottles", "sleeping bags",
)  # fmt: skip
_BRANDS: Final = ("Alder", "Birch", "Cedar", "Dogwood", "Elm", "Fir", "Hazel", "Juniper")
_STYLES: Final = ("light", "classic", "alpine", "trail", "winter", "family", "racing", "city")
_REACH: Final = 6  # neighbours on either side that a shopper may wander to


class Catalogue:
    """Items on a line within their category: near on the line is alike.

    Parameters
    ----------
    count
        Items, at least as many as there are categories.
    rng
        Draws prices, brands and popularity.
    skew
        Exponent of the Zipf popularity.

    Attributes
    ----------
    ids
        Item ids by index.
    category_of
        Index into `CATEGORIES` by item index, shape (count,).
    popularity
        Share of attention by item index, shape (count,), float64, sums to 1.

    Examples
    --------
    >>> Catalogue(50, np.random.default_rng(7)).titles[0]
    'light tent 1'
    """

    def __init__(self, count: int, rng: np.random.Generator, *, skew: float = 1.0) -> None:
        if count < len(CATEGORIES):
            raise ValueError(f"a shop needs at least {len(CATEGORIES)} items, not {count}")
        self._rng = rng
        self.category_of: NDArray[np.int64] = np.arange(count) * len(CATEGORIES) // count
        self.ids = [f"item-{index:04d}" for index in range(count)]
        ranks = rng.permutation(count) + 1.0
        weights = ranks**-skew
        self.popularity: NDArray[np.float64] = weights / weights.sum()
        self._cumulative = np.cumsum(self.popularity)
        firsts = np.searchsorted(self.category_of, np.arange(len(CATEGORIES)))
        self._bounds: list[int] = [*firsts.tolist(), count]
        levels = rng.uniform(15, 250, len(CATEGORIES))
        self.prices = [
            float(price) for price in np.round(levels[self.category_of] * rng.lognormal(0, 0.35, count), 2)
        ]
        self.brands = [_BRANDS[brand] for brand in rng.integers(len(_BRANDS), size=count)]
        self.titles = [self._title(index) for index in range(count)]

    def __len__(self) -> int:
        return len(self.ids)

    def _title(self, index: int) -> str:
        category = int(self.category_of[index])
        first, last = self._bounds[category], self._bounds[category + 1]
        style = _STYLES[(index - first) * len(_STYLES) // (last - first)]
        return f"{style} {CATEGORIES[category].removesuffix('s')} {index - first + 1}"

    def popular(self) -> int:
        """An item drawn by popularity."""
        return min(int(np.searchsorted(self._cumulative, self._rng.random())), len(self) - 1)

    def popular_in(self, category: int) -> int:
        """An item of a category drawn by popularity."""
        first, last = self._bounds[category], self._bounds[category + 1]
        before = self._cumulative[first - 1] if first else 0.0
        at = before + self._rng.random() * (self._cumulative[last - 1] - before)
        return min(max(int(np.searchsorted(self._cumulative, at)), first), last - 1)

    def near(self, index: int) -> int:
        """Another item of the same category, alike: at most `_REACH` places away on the line.

        The more popular of two drawn, so that popularity tells among like items too.
        """
        category = int(self.category_of[index])
        first, last = self._bounds[category], self._bounds[category + 1]
        steps = self._rng.integers(1, _REACH + 1, 2) * self._rng.choice((-1, 1), 2)
        one, other = (first + (index - first + int(step)) % (last - first) for step in steps)
        return one if self.popularity[one] >= self.popularity[other] else other

    def top(self, category: int, count: int) -> list[int]:
        """The most popular items of a category, best first."""
        first, last = self._bounds[category], self._bounds[category + 1]
        order = np.argsort(-self.popularity[first:last], kind="stable")[:count]
        return [first + int(place) for place in order]

    def item(self, index: int, ts: int) -> CatalogItem:
        """The event that describes an item, dated `ts` (epoch milliseconds)."""
        return CatalogItem(
            ts=ts,
            item_id=self.ids[index],
            title=self.titles[index],
            categories=[CATEGORIES[int(self.category_of[index])]],
            brand=self.brands[index],
            price=self.prices[index],
            created=ts,
        )

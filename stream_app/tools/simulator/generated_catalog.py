"""The generated catalog: items with categories, prices, brands and Zipf popularity."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from topics.events import CatalogItem

CATEGORIES: Final = (
    "tents", "boots", "jackets", "backpacks", "stoves", "lamps", "ropes", "maps", "bottles", "sleeping bags",
)  # fmt: skip
_BRANDS: Final = ("Alder", "Birch", "Cedar", "Dogwood", "Elm", "Fir", "Hazel", "Juniper")
_STYLES: Final = ("light", "classic", "alpine", "trail", "winter", "family", "racing", "city")


class GeneratedCatalog:
    """Items on a style ring within their category: items with close angles are similar.

    Parameters
    ----------
    count
        Number of items, at least the number of categories.
    rng
        Draws prices, brands and popularity.
    skew
        Exponent of the Zipf popularity.

    Attributes
    ----------
    ids
        Item ids by index.
    number_of
        Index by item id.
    category_of
        Index into `CATEGORIES` by item index, shape (count,).
    popularity
        Popularity by item index, shape (count,), float64, sums to 1.
    angle
        Angle on the style ring of the category in radians, shape (count,), float64.
    relative_log_price
        Logarithm of the price divided by the category's price level, shape (count,), float64.

    Examples
    --------
    >>> GeneratedCatalog(50, np.random.default_rng(7)).titles[0]
    'light tent 1'
    """

    def __init__(self, count: int, rng: np.random.Generator, *, skew: float = 1.0) -> None:
        if count < len(CATEGORIES):
            raise ValueError(f"a shop needs at least {len(CATEGORIES)} items, not {count}")
        self.category_of: NDArray[np.int64] = np.arange(count) * len(CATEGORIES) // count
        self.ids = [f"item-{index:04d}" for index in range(count)]
        self.number_of = {item: index for index, item in enumerate(self.ids)}
        ranks = rng.permutation(count) + 1.0
        weights = ranks**-skew
        self.popularity: NDArray[np.float64] = weights / weights.sum()
        firsts = np.searchsorted(self.category_of, np.arange(len(CATEGORIES)))
        self._bounds: list[int] = [*firsts.tolist(), count]
        sizes = np.diff(self._bounds)[self.category_of]
        positions = np.arange(count) - firsts[self.category_of]
        self.angle: NDArray[np.float64] = 2 * np.pi * positions / sizes
        levels = rng.uniform(15, 250, len(CATEGORIES))
        usual = levels[self.category_of]
        prices = np.round(usual * rng.lognormal(0, 0.35, count), 2)
        self.prices: list[float] = prices.tolist()
        self.relative_log_price: NDArray[np.float64] = np.log(prices / usual)
        self.brands = [_BRANDS[brand] for brand in rng.integers(len(_BRANDS), size=count)]
        self.titles = [self._title(index) for index in range(count)]

    def __len__(self) -> int:
        return len(self.ids)

    def _title(self, index: int) -> str:
        category = int(self.category_of[index])
        first, last = self._bounds[category], self._bounds[category + 1]
        style = _STYLES[(index - first) * len(_STYLES) // (last - first)]
        return f"{style} {CATEGORIES[category].removesuffix('s')} {index - first + 1}"

    def members(self, category: int) -> slice:
        """Indices of the items of a category."""
        return slice(self._bounds[category], self._bounds[category + 1])

    def item(self, index: int, ts: int) -> CatalogItem:
        """The catalog event of an item with timestamp `ts` (epoch milliseconds)."""
        return CatalogItem(
            ts=ts,
            item_id=self.ids[index],
            title=self.titles[index],
            categories=[CATEGORIES[int(self.category_of[index])]],
            brand=self.brands[index],
            price=self.prices[index],
            created=ts,
        )

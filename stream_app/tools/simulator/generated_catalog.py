"""The generated catalog: items in categories, popular and less so, each with its neighbors."""

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
    number_of
        The index of an id.
    category_of
        Index into `CATEGORIES` by item index, shape (count,).
    popularity
        Share of attention by item index, shape (count,), float64, sums to 1.
    angle
        Where an item stands on the line of its category, which is closed to a ring, as an angle in radians.
    relative_log_price
        Logarithm of its price over the usual one of its category.

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
        places = np.arange(count) - firsts[self.category_of]
        self.angle: NDArray[np.float64] = 2 * np.pi * places / sizes
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

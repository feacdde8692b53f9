"""A generated shop whose items are described in words, with synonyms, and choices of items without interactions."""

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

from stream_app.models.array_types import Matrix
from stream_app.tools.bench.drawn_pictures import draw_picture
from topics.events import CatalogItem

DEPARTMENTS: Final[dict[str, tuple[str, ...]]] = {
    "furniture": (
        "sofa, couch, settee, loveseat",
        "wardrobe, closet, armoire",
        "rug, carpet, floor mat",
        "lamp, light fixture, lantern",
        "desk, writing table, bureau",
        "cupboard, cabinet, sideboard",
    ),
    "clothing": (
        "trousers, pants, slacks, chinos",
        "sweater, jumper, pullover, cardigan",
        "sneakers, trainers, running shoes",
        "jacket, coat, parka, anorak",
        "handbag, purse, clutch, tote",
        "hat, cap, beanie, bonnet",
    ),
    "kitchen": (
        "frying pan, skillet, wok",
        "kettle, teapot, water boiler",
        "knife, cleaver, blade",
        "mug, cup, beaker",
        "blender, mixer, food processor",
        "bottle, flask, thermos",
    ),
    "electronics": (
        "laptop, notebook computer, ultrabook",
        "phone, smartphone, handset, mobile",
        "headphones, earbuds, headset, earphones",
        "television, TV, flat screen",
        "camera, camcorder, photo recorder",
        "speaker, loudspeaker, soundbar",
    ),
    "outdoor": (
        "tent, camping shelter, bivouac",
        "bicycle, bike, cycle",
        "rucksack, backpack, knapsack",
        "torch, flashlight, headlamp",
        "fishing rod, angling pole, spinning rod",
        "barbecue, grill, smoker",
    ),
}
"""Types of products by department, each with its names; the first one is the usual one."""

STYLES: Final = (
    "kids, children, junior, toddler",
    "luxury, premium, deluxe, exclusive",
    "budget, cheap, affordable, basic",
    "vintage, retro, antique, nostalgic",
    "waterproof, rainproof, watertight",
    "lightweight, ultralight, featherweight",
    "wooden, oak, timber, pine",
    "black, dark, charcoal, ebony",
)
"""Styles of products, each with its names."""

_SYLLABLES: Final = ("ka", "ro", "vin", "tel", "mi", "zu", "per", "lo", "dan", "fex")
_SAME_STYLE: Final = 0.6
_SAME_TYPE: Final = 0.8


class ColdChoice(NamedTuple):
    """A choice of an item that no one has clicked before."""

    context: tuple[int, ...]  # items of the session so far, the newest first
    chosen: int


class WordedShop:
    """Items of a type and a style, described by one of the names of each; users look for a type and a style.

    Choices depend on types and styles alone, never on words. Titles have an invented product name, too, which says
    nothing; the category is the department.

    Parameters
    ----------
    items
        Number of items.
    usual_names
        Share of names that are the usual one; the others are drawn. At 1 equal things have equal words.
    seed
        Of everything that is drawn. Shops with the same seed differ in words alone.

    Attributes
    ----------
    entries : list of CatalogItem
        The catalog, by item number.

    Examples
    --------
    >>> shop = WordedShop(300, usual_names=1.0, seed=7)
    >>> shop.entries[0].title
    'Telperro lightweight fishing rod'
    """

    def __init__(self, items: int, *, usual_names: float, seed: int) -> None:
        self._seed = seed
        types = [(department, names) for department, each in DEPARTMENTS.items() for names in each]
        rng, words = np.random.default_rng([seed, 0]), np.random.default_rng([seed, 1])
        self._types = rng.integers(len(types), size=items)
        self._styles = rng.integers(len(STYLES), size=items)
        self._rng = np.random.default_rng([seed, 2])
        self.entries: Final = []
        for number, (kind, style) in enumerate(zip(self._types.tolist(), self._styles.tolist(), strict=True)):
            department, names = types[kind]
            invented = "".join(
                _SYLLABLES[each] for each in rng.integers(len(_SYLLABLES), size=3)
            ).capitalize()
            name, look = _draw_name(names, usual_names, words), _draw_name(STYLES[style], usual_names, words)
            self.entries.append(
                CatalogItem(
                    ts=0,
                    item_id=f"item-{number}",
                    title=f"{invented} {look} {name}",
                    categories=[department],
                    price=float(np.round(rng.lognormal(4, 0.8), 2)),
                )
            )

    def true_vectors(self) -> Matrix:
        """What choices depend on: type and style of each item as indicators, shape (items, types + styles)."""
        vectors = np.zeros((len(self.entries), int(self._types.max()) + 1 + len(STYLES)), np.float32)
        rows = np.arange(len(vectors))
        vectors[rows, self._types] = 1.0
        vectors[rows, vectors.shape[1] - 1 - self._styles] = 1.0
        return vectors

    def pictures(self) -> Iterator[bytes]:
        """A drawn picture of each item, which shows its type and style.

        Raises
        ------
        UserError
            If Pillow is not installed.
        """
        rng = np.random.default_rng([self._seed, 3])
        for kind, style in zip(self._types.tolist(), self._styles.tolist(), strict=True):
            yield draw_picture(kind, style, rng)

    def cold_choices(self, count: int, *, cold: float = 0.25) -> list[ColdChoice]:
        """Draw sessions that end with a choice of an item without interactions.

        Parameters
        ----------
        cold
            Share of the items, the last ones, that have no interactions and are in no context.
        """
        n_items = len(self.entries)
        first_cold = round((1 - cold) * n_items)
        found = []
        for _ in range(count):
            kind, style, length = self._draw_session()
            context = tuple(self._choose(kind, style, 0, first_cold) for _ in range(length))
            found.append(ColdChoice(context, self._choose(kind, style, first_cold, n_items)))
        return found

    def session(self, available: int) -> list[int]:
        """Draw a session: two to five choices among the first `available` items, the newest last."""
        kind, style, length = self._draw_session()
        return [self._choose(kind, style, 0, available) for _ in range(length + 1)]

    def _draw_session(self) -> tuple[int, int, int]:
        """Type and style that a user looks for, and a number of items, from 1 to 4."""
        kind = int(self._types[self._rng.integers(len(self._types))])
        return kind, int(self._rng.integers(len(STYLES))), int(self._rng.integers(1, 5))

    def _choose(self, kind: int, style: int, start: int, stop: int) -> int:
        weights = np.where(self._types[start:stop] == kind, _SAME_TYPE, 0.0)
        weights = weights / max(1.0, float(np.count_nonzero(weights))) + (1 - _SAME_TYPE) / (stop - start)
        weights *= np.where(
            self._styles[start:stop] == style, _SAME_STYLE, (1 - _SAME_STYLE) / (len(STYLES) - 1)
        )
        return start + int(self._rng.choice(stop - start, p=weights / weights.sum()))


def _draw_name(names: str, usual_names: float, rng: np.random.Generator) -> str:
    usual, *others = names.split(", ")
    draw, other = rng.random(), rng.integers(len(others) + 1)
    return usual if draw < usual_names else (usual, *others)[other]

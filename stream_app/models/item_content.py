"""What the catalog says about an item, as one dense vector of fixed length."""

import math
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.models.array_types import Matrix, Scores
from stream_app.models.content import BANDS_PER_DOUBLING
from stream_app.models.text_encoder import TextEncoder, item_text
from topics.events import CatalogItem

LAYOUT_VERSION: Final = 1
"""Raised whenever the same entry would get another vector."""

MAX_HASHED_CATEGORIES: Final = 16
"""Categories of an item that are used, from the narrowest on."""

N_PRICE_BANDS: Final = 50
"""Price bands: one below 1, then half doublings up to 2**24.5, for currencies with small units."""


class ContentPart(NamedTuple):
    """A range of the vector."""

    name: str  # text, image, categories, brand or price
    start: int
    stop: int


class ItemContent:
    """Dense vectors of catalog entries: text, image, categories, brand and price band.

    Each part that an entry has is of length 1, each that it lacks is zeros; so the length of a vector is at most
    ``sqrt(5)``. Categories and brands are hashed into a fixed number of slots, two slots with a random sign for each,
    so that no vocabulary is learned and entries that arrive in another order get the same vectors. A price lies
    between the middles of two bands and counts for both, so that near prices have near vectors.

    Parameters
    ----------
    text
        The encoder of `item_text`; or the length of the entries' `text_embedding`, which ``headrace embed`` computes;
        0 for no text. The two are never mixed: vectors of different encoders are not comparable.
    image_dimensions
        Length of the entries' `image_embedding`; 0 for no images. A vector of another length counts as missing.
    category_slots, brand_slots
        Slots for the hashes.

    Attributes
    ----------
    parts : tuple of ContentPart
        The ranges of the vector, in order.
    dimensions : int
        Length of each vector.
    fingerprint : str
        Hash of the layout and of the encoder. Two instances with equal fingerprints give equal vectors; weights that
        were learned on vectors of one fingerprint do not fit those of another.

    References
    ----------
    Weinberger, Dasgupta, Langford, Smola, Attenberg: Feature hashing for large scale multitask learning, ICML 2009.

    Examples
    --------
    >>> content = ItemContent(image_dimensions=2, category_slots=8, brand_slots=4)
    >>> content.parts[0]
    ContentPart(name='image', start=0, stop=2)
    >>> vector = content.vector(CatalogItem(ts=0, item_id="a", image_embedding=[3.0, 4.0], price=2.0))
    >>> vector[:2], round(float(vector @ vector), 3)
    (array([0.6, 0.8], dtype=float32), 2.0)
    """

    def __init__(
        self,
        text: TextEncoder | int = 0,
        image_dimensions: int = 0,
        *,
        category_slots: int = 128,
        brand_slots: int = 64,
    ) -> None:
        self._encoder = None if isinstance(text, int) else text
        self._text_dimensions = text if isinstance(text, int) else text.dimensions
        sizes = {
            "text": self._text_dimensions,
            "image": image_dimensions,
            "categories": category_slots,
            "brand": brand_slots,
            "price": N_PRICE_BANDS,
        }
        if min(sizes.values()) < 0 or 1 in {category_slots, brand_slots}:
            raise ValueError(f"the parts {sizes} need 0 or more dimensions, hashed ones 0 or at least 2")
        self.parts: Final = _lay_out(sizes)
        self.dimensions: Final = sum(sizes.values())
        source = self._encoder.fingerprint if self._encoder else "text_embedding"
        self.fingerprint: Final = blake2b(
            repr((LAYOUT_VERSION, source, *sizes.items())).encode(), digest_size=8
        ).hexdigest()

    def vector(self, entry: CatalogItem) -> Scores:
        """The vector of an entry; float32, shape (dimensions,)."""
        vector: Scores = self.vectors([entry])[0]
        return vector

    def vectors(self, entries: Sequence[CatalogItem]) -> Matrix:
        """The vectors of entries; float32, shape (len(entries), dimensions)."""
        vectors = np.zeros((len(entries), self.dimensions), np.float32)
        for name, start, stop in self.parts:
            block = vectors[:, start:stop]
            match name:
                case "text" if self._encoder is not None:
                    block[:] = self._encoder.encode([item_text(entry) for entry in entries])
                case "text":
                    _fill_embeddings(block, (entry.text_embedding for entry in entries))
                case "image":
                    _fill_embeddings(block, (entry.image_embedding for entry in entries))
                case "categories":
                    for row, entry in zip(block, entries, strict=True):
                        _add_hashed(row, entry.categories[-MAX_HASHED_CATEGORIES:])
                case "brand":
                    for row, entry in zip(block, entries, strict=True):
                        _add_hashed(row, [entry.brand] if entry.brand else [])
                case _:
                    for row, entry in zip(block, entries, strict=True):
                        _add_price(row, entry.price)
        return vectors


def _lay_out(sizes: dict[str, int]) -> tuple[ContentPart, ...]:
    parts, start = [], 0
    for name, size in sizes.items():
        if size:
            parts.append(ContentPart(name, start, start + size))
            start += size
    return tuple(parts)


def _fill_embeddings(block: Matrix, embeddings: Iterable[Sequence[float]]) -> None:
    for row, embedding in zip(block, embeddings, strict=True):
        if len(embedding) == len(row):
            row[:] = unit_vector(np.asarray(embedding, np.float64))


def unit_vector(values: NDArray[np.floating]) -> Scores:
    """Scale a vector to length 1; zeros if it has no direction (all zeros, or a value that is not finite).

    Examples
    --------
    >>> unit_vector(np.array([3e300, 4e300]))
    array([0.6, 0.8], dtype=float32)
    >>> unit_vector(np.array([1.0, np.nan])).tolist()
    [0.0, 0.0]
    """
    largest = float(np.abs(values).max(initial=0.0))
    if not 0.0 < largest < math.inf:
        return np.zeros(len(values), np.float32)
    scaled = values.astype(np.float64) / largest  # first, since squares of large values overflow
    return (scaled / np.linalg.norm(scaled)).astype(np.float32)


def _add_hashed(row: Scores, names: Sequence[str]) -> None:
    """Add two slots with a sign for each distinct name, then scale the row to length 1."""
    for name in dict.fromkeys(name.casefold() for name in names):
        digest = int.from_bytes(blake2b(name.encode(), digest_size=8).digest())
        digest, first = divmod(digest, len(row))
        digest, distance = divmod(digest, len(row) - 1)
        second = (first + 1 + distance) % len(row)  # another slot, so that the two never cancel
        row[first] += 1.0 if digest & 1 else -1.0
        row[second] += 1.0 if digest & 2 else -1.0
    row[:] = unit_vector(row)


def _add_price(row: Scores, price: float | None) -> None:
    if price is None or not math.isfinite(price):
        return
    position = 0.5 + BANDS_PER_DOUBLING * math.log2(price) if price >= 1.0 else 0.0
    position = min(max(position, 0.0), len(row) - 1.0)
    band = min(int(position), len(row) - 2)
    share = position - band
    row[band], row[band + 1] = math.sqrt(1.0 - share), math.sqrt(share)

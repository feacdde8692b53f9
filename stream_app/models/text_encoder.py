"""The port to encoders of text, and the text of a catalog entry that they encode."""

from collections.abc import Sequence
from typing import Final, Protocol

from stream_app.models.array_types import Matrix
from topics.events import CatalogItem

MAX_ENCODED_CHARACTERS: Final = 2_000
"""Characters of an entry's text that are encoded; the title is first, so it is always among them."""


class TextEncoder(Protocol):
    """Turns texts into vectors of length 1; similar texts have similar vectors.

    The vector of a text does not depend on the texts beside it, nor on the process. Implementations are in
    `stream_app.encoders`.
    """

    @property
    def name(self) -> str:
        """Name for messages."""

    @property
    def dimensions(self) -> int:
        """Length of each vector."""

    @property
    def fingerprint(self) -> str:
        """Hash of the weights and of everything else that the vectors depend on."""

    def encode(self, texts: Sequence[str]) -> Matrix:
        """Encode texts.

        Returns
        -------
        ndarray of float32, shape (len(texts), dimensions)
            Rows of length 1; zeros for a text without a known word.
        """


def item_text(entry: CatalogItem) -> str:
    """The text of an entry that encoders get: title, brand, tags and description, in this order.

    Categories are not part of it, since many shops have numbers for their ids.

    Examples
    --------
    >>> item_text(CatalogItem(ts=0, item_id="a", title="Red tent", brand="acme", description="For two."))
    'Red tent. acme. For two.'
    """
    parts = (entry.title, entry.brand or "", " ".join(entry.tags), entry.description)
    return ". ".join(part for part in (part.strip() for part in parts) if part)[:MAX_ENCODED_CHARACTERS]

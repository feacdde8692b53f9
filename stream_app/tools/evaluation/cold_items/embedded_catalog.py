"""The catalog of a generated shop with the vectors of its texts and pictures, as `headrace embed` writes them."""

from typing import Final

import numpy as np
from msgspec.structs import replace

from stream_app.encoders.image_encoders import PACKAGED_ENCODER, open_image_encoder
from stream_app.encoders.text_encoders import open_text_encoder
from stream_app.models.array_types import Matrix, Scores
from stream_app.models.text_encoder import item_text
from stream_app.tools.embedding.reduction import Reduction
from stream_app.tools.evaluation.cold_items.shops import Shop
from stream_app.tools.progress import OpenProgress, no_progress
from topics.events import CatalogItem

DIMENSIONS: Final = 128
"""Length of the vectors, the default of `headrace embed`."""


def embed_shop(
    shop: Shop, n_first: int, *, text_encoder: str = "universal", open_progress: OpenProgress = no_progress
) -> list[CatalogItem]:
    """The entries of a shop with embeddings by pretrained encoders.

    Parameters
    ----------
    n_first
        Items that are there at first: the directions of the shortened vectors are fitted to these alone.
    text_encoder
        Name of an encoder as in `headrace embed`.

    Raises
    ------
    UserError
        If an encoder is not installed.
    """
    texts = open_text_encoder(text_encoder).encode([item_text(entry) for entry in shop.entries])
    network = open_image_encoder(PACKAGED_ENCODER)
    vectors = []
    with open_progress(f"encoding the pictures of {shop.name}", len(shop.entries)) as update_progress:
        for done, picture in enumerate(shop.pictures(), start=1):
            vectors.append(network.encode([network.read(picture)]))
            update_progress(done)
    return [
        replace(entry, text_embedding=text.tolist(), image_embedding=image.tolist())
        for entry, text, image in zip(
            shop.entries,
            _shorten(texts, n_first),
            _shorten(np.concatenate(vectors), n_first),
            strict=True,
        )
    ]


def _shorten(vectors: Matrix, n_first: int) -> Matrix:
    dimensions = min(DIMENSIONS, n_first, vectors.shape[1])
    return Reduction.fit(vectors[:n_first], dimensions).apply(vectors)


def content_vectors(entries: list[CatalogItem]) -> Matrix:
    """The embeddings of texts and pictures side by side, shape (items, dimensions)."""
    rows: list[Scores] = [
        np.array([*entry.text_embedding, *entry.image_embedding], np.float32) for entry in entries
    ]
    return np.stack(rows)

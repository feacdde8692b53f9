"""Item vectors from files: catalog events with embeddings, and checkpoints of models."""

import contextlib
import json
from collections import Counter
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import safetensors

from stream_app.errors import UserError
from stream_app.models.array_types import Matrix
from stream_app.models.checkpoint import item_ids_of
from stream_app.models.item_content import unit_vector
from stream_app.tools.cli.embed import EmbeddingField
from stream_app.tools.embedding.catalog_file import catalog_entries
from topics.events import CatalogItem

MAX_ITEMS: Final = 20_000
"""Items that are read from a catalog: every one, or evenly distributed ones, so that memory is bounded."""

_MATRICES: Final = ("item_vectors", "vectors")
"""Names of the matrix in a checkpoint."""


class ItemVectors(NamedTuple):
    """Vectors of items with a category of each."""

    ids: list[str]
    vectors: Matrix  # shape (items, dimensions)
    categories: list[str]  # the widest one, empty if unknown


def read_catalog_vectors(path: Path, field: EmbeddingField | None) -> ItemVectors:
    """Embeddings of the catalog events in a log; the newest of each item.

    Parameters
    ----------
    field
        None for the one that more items have.

    Raises
    ------
    UserError
        If no item has an embedding.
    """
    lengths: dict[EmbeddingField, Counter[int]] = {each: Counter() for each in EmbeddingField}
    for entry in catalog_entries(path):
        for each in EmbeddingField:
            if length := len(_embedding(entry, each)):
                lengths[each][length] += 1
    chosen = field or max(EmbeddingField, key=lambda each: lengths[each].total())
    if not lengths[chosen]:
        name = "embedding" if field is None else f"{field}_embedding"
        raise UserError(f"No catalog event of {path} has an {name}; `headrace embed` writes such events.")
    [(length, with_length)] = lengths[chosen].most_common(1)
    step = -(-with_length // MAX_ITEMS)
    found: dict[str, tuple[Matrix, str]] = {}
    selected = (entry for entry in catalog_entries(path) if len(_embedding(entry, chosen)) == length)
    for number, entry in enumerate(selected):
        if number % step == 0:
            vector = unit_vector(np.array(_embedding(entry, chosen)))  # as models see it
            found[entry.item_id] = vector, _widest_category(entry)
    return ItemVectors(
        [*found],
        np.stack([vector for vector, _ in found.values()]),
        [category for _, category in found.values()],
    )


def read_checkpoint_vectors(path: Path, catalog: Path | None) -> ItemVectors:
    """The item vectors of a checkpoint or another safetensors file, at most `MAX_ITEMS`, evenly distributed.

    Parameters
    ----------
    catalog
        A log with catalog events that have the categories; None for no categories.

    Raises
    ------
    UserError
        If the file has no matrix or not as many ids.
    """
    if not path.is_file():
        raise UserError(f"There is no file {path}; check the path.")
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            names, metadata = list(file.keys()), file.metadata() or {}
            name = next((each for each in _MATRICES if each in names), None)
            vectors = np.asarray([] if name is None else file.get_tensor(name), np.float32)
    except Exception as error:  # noqa: BLE001  # safetensors raises nothing narrower
        raise UserError(f"{path} is no safetensors file: {error}.") from None
    if name is None:
        raise UserError(f"{path} has none of the matrices {', '.join(_MATRICES)}: {', '.join(names)}.")
    ids = _ids(path, metadata)
    if vectors.ndim != 2 or len(vectors) != len(ids) or not len(ids):
        raise UserError(
            f"{path} has {len(ids):,} ids and a matrix {name} of shape {vectors.shape}; they do not fit."
        )
    step = -(-len(ids) // MAX_ITEMS)
    categories = (
        {}
        if catalog is None
        else {entry.item_id: _widest_category(entry) for entry in catalog_entries(catalog)}
    )
    return ItemVectors(ids[::step], vectors[::step], [categories.get(item, "") for item in ids[::step]])


def _ids(path: Path, metadata: dict[str, str]) -> list[str]:
    ids: Any = item_ids_of(metadata)
    if ids is None and "ids" in metadata:
        with contextlib.suppress(ValueError):
            ids = json.loads(metadata["ids"])
    if not isinstance(ids, list) or not all(isinstance(item, str) for item in ids):
        raise UserError(
            f"{path} is no checkpoint of this Headrace's trainer, and has no JSON list of item ids in its metadata, "
            "under `ids`."
        )
    return ids


def _embedding(entry: CatalogItem, field: EmbeddingField) -> list[float]:
    return entry.text_embedding if field is EmbeddingField.TEXT else entry.image_embedding


def _widest_category(entry: CatalogItem) -> str:
    return entry.categories[0] if entry.categories else ""

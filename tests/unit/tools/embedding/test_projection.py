"""The plot of the item space, and the files that it reads."""

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from stream_app.errors import UserError
from stream_app.models.array_types import Matrix
from stream_app.tools.cli.embed import EmbeddingField
from stream_app.tools.embedding import vector_files
from stream_app.tools.embedding.catalog_embedder import catalog_line
from stream_app.tools.embedding.projection import plot_items, principal_plane
from stream_app.tools.embedding.vector_files import ItemVectors, read_catalog_vectors, read_checkpoint_vectors
from tests.support.two_tower_builders import checkpoint, random_weights
from topics.events import CatalogItem

RNG = np.random.default_rng(5)
VECTORS: Matrix = RNG.normal(size=(40, 6)).astype(np.float32)
IDS = [f"i{number}" for number in range(len(VECTORS))]
CATEGORIES = [f"c{number % 12}" for number in range(len(VECTORS))]


def write_catalog(path: Path, **facts: object) -> Path:
    lines = [
        catalog_line(CatalogItem(ts=0, item_id=item, categories=[category], **facts))  # type: ignore[arg-type]
        for item, category in zip(IDS, CATEGORIES, strict=True)
    ]
    path.write_bytes(b"".join(lines))
    return path


def write_checkpoint(path: Path, name: str = "item_vectors", ids: object = IDS) -> Path:
    safetensors.numpy.save_file({name: VECTORS}, path, metadata={"ids": json.dumps(ids)})
    return path


def test_the_plane_has_the_two_main_directions() -> None:
    stretched = VECTORS * np.array([9, 0.1, 4, 0.1, 0.1, 0.1], np.float32)
    plane, share = principal_plane(stretched)
    expected = stretched - stretched.mean(axis=0)
    assert abs(np.corrcoef(plane[:, 0], expected[:, 0])[0, 1]) > 0.99
    assert abs(np.corrcoef(plane[:, 1], expected[:, 2])[0, 1]) > 0.99
    assert 0.9 < share <= 1.0
    np.testing.assert_allclose(plane, principal_plane(stretched.copy())[0])


@pytest.mark.parametrize("shape", [(1, 4), (3, 1), (5, 4)])
def test_vectors_without_variance_are_a_point(shape: tuple[int, int]) -> None:
    plane, share = principal_plane(np.ones(shape, np.float32))
    assert plane.shape == (shape[0], 2)
    assert not plane.any()
    assert share == 1.0


def test_names_of_categories_are_no_formulas(tmp_path: Path) -> None:
    names = [r"caf\é $\frac$" if at % 2 else "gifts, $5 & $10" for at in range(len(IDS))]
    plot_items(ItemVectors(IDS, VECTORS, names), tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 0


@pytest.mark.parametrize(("name", "magic"), [("plot.png", b"\x89PNG"), ("plot.svg", b"<?xml")])
def test_a_plot_is_written(tmp_path: Path, name: str, magic: bytes) -> None:
    plot_items(ItemVectors(IDS, VECTORS, CATEGORIES), tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(magic)


def test_values_that_are_not_finite_are_reported(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not finite"):
        plot_items(ItemVectors(IDS[:1], np.array([[np.nan]], np.float32), [""]), tmp_path / "plot.png")


def test_embeddings_of_catalog_events_are_read(tmp_path: Path) -> None:
    path = write_catalog(tmp_path / "events.jsonl", text_embedding=[1.0, 2.0])
    items = read_catalog_vectors(path, None)
    assert (items.ids, items.categories) == (IDS, CATEGORIES)
    assert items.vectors.shape == (len(IDS), 2)
    with pytest.raises(UserError, match="image_embedding"):
        read_catalog_vectors(path, EmbeddingField.IMAGE)


def test_extreme_values_of_an_embedding_spoil_no_plot(tmp_path: Path) -> None:
    path = write_catalog(tmp_path / "events.jsonl", text_embedding=[3e300, 4e300])
    items = read_catalog_vectors(path, None)
    np.testing.assert_allclose(items.vectors, [[0.6, 0.8]] * len(IDS), atol=1e-6)


@pytest.mark.parametrize("name", ["item_vectors", "vectors"])
def test_a_checkpoint_is_read_with_categories_of_a_catalog(tmp_path: Path, name: str) -> None:
    path = write_checkpoint(tmp_path / "checkpoint.safetensors", name)
    items = read_checkpoint_vectors(path, write_catalog(tmp_path / "events.jsonl"))
    assert (items.ids, items.categories) == (IDS, CATEGORIES)
    np.testing.assert_array_equal(items.vectors, VECTORS)


def test_a_checkpoint_of_the_trainer_is_read(tmp_path: Path) -> None:
    path = tmp_path / "two-tower-000000000001-0123456789ab.safetensors"
    path.write_bytes(checkpoint(IDS, seed=4))
    items = read_checkpoint_vectors(path, write_catalog(tmp_path / "events.jsonl"))
    assert (items.ids, items.categories) == (IDS, CATEGORIES)
    np.testing.assert_allclose(items.vectors, random_weights(IDS, seed=4).vectors, atol=1e-3)


def test_of_many_items_evenly_distributed_ones_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vector_files, "MAX_ITEMS", 10)
    catalog = write_catalog(tmp_path / "events.jsonl", image_embedding=[1.0])
    checkpoint = write_checkpoint(tmp_path / "checkpoint.safetensors")
    assert read_catalog_vectors(catalog, None).ids == IDS[::4]
    assert read_checkpoint_vectors(checkpoint, None).ids == IDS[::4]


def test_what_is_no_checkpoint_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    with pytest.raises(UserError, match="There is no file"):
        read_checkpoint_vectors(path, None)
    path.write_bytes(b"something else")
    with pytest.raises(UserError, match="is no safetensors file"):
        read_checkpoint_vectors(path, None)
    with pytest.raises(UserError, match="none of the matrices"):
        read_checkpoint_vectors(write_checkpoint(path, "other"), None)
    with pytest.raises(UserError, match="they do not fit"):
        read_checkpoint_vectors(write_checkpoint(path, ids=IDS[1:]), None)
    with pytest.raises(UserError, match="no JSON list of item ids"):
        read_checkpoint_vectors(write_checkpoint(path, ids=[1, 2]), None)

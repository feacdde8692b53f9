"""Embeddings of catalog entries."""

import io
import itertools
from pathlib import Path

import msgspec
import numpy as np
import pytest
from PIL import Image

from stream_app.encoders.onnx_image import OnnxImageEncoder
from stream_app.encoders.text_encoders import open_text_encoder
from stream_app.tools.embedding import catalog_embedder
from stream_app.tools.embedding.catalog_embedder import (
    CatalogEmbedder,
    PictureEncoding,
    TextEncoding,
    catalog_line,
)
from stream_app.tools.embedding.picture_folder import PictureFolder
from stream_app.tools.embedding.vector_store import VectorStore
from stream_app.tools.feeds import jsonl
from stream_app.tools.feeds.rows import EventRow
from tests.support.small_networks import CLASSES, write_image_network, write_text_network
from topics.events import CatalogItem


def write_picture(path: Path, seed: int) -> None:
    values = np.random.default_rng(seed).integers(0, 256, (40, 40, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, "PNG")
    path.write_bytes(stream.getvalue())


class Shop:
    """A folder of pictures, and encoders of the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pictures = folder / "pictures"
        self.pictures.mkdir()
        self.network = write_image_network(folder / "cnn.onnx")
        self.text_network = write_text_network(folder)

    def entries(self, count: int, *, pictures: bool = True) -> list[CatalogItem]:
        for number in range(count) if pictures else ():
            write_picture(self.pictures / f"i{number}.png", number)
        return [CatalogItem(ts=number, item_id=f"i{number}", title="red tent") for number in range(count)]

    def embed(
        self,
        entries: list[CatalogItem],
        *,
        stop_after: int | None = None,
        progress: list[int] | None = None,
    ) -> tuple[list[CatalogItem], catalog_embedder.EmbeddingCounts]:
        rows = [EventRow(number, entry) for number, entry in enumerate(entries, start=1)]
        encoder = OnnxImageEncoder(self.network, batch=4)
        texts = open_text_encoder(str(self.text_network))
        with (
            VectorStore(self.folder / "store", encoder.fingerprint, encoder.dimensions) as images,
            VectorStore(self.folder / "store", texts.fingerprint, texts.dimensions) as text_store,
        ):
            embedder = CatalogEmbedder(
                PictureEncoding(PictureFolder(self.pictures), encoder, images),
                TextEncoding(texts, text_store),
            )
            for done in itertools.islice(embedder.encode(rows), stop_after):
                if progress is not None:
                    progress.append(done)
            found = [] if stop_after else list(embedder.entries(rows, None, None))
            return found, embedder.counts


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def test_entries_get_embeddings_of_length_one_and_keep_the_rest(shop: Shop) -> None:
    entries = shop.entries(6)
    embedded, counts = shop.embed(entries)
    for entry, original in zip(embedded, entries, strict=True):
        assert len(entry.image_embedding) == CLASSES
        assert np.linalg.norm(entry.image_embedding) == pytest.approx(1.0, abs=1e-4)
        assert np.linalg.norm(entry.text_embedding) == pytest.approx(1.0, abs=1e-4)
        assert msgspec.structs.replace(entry, image_embedding=[], text_embedding=[]) == original
    assert (counts.pictures_computed, counts.texts_computed, counts.texts_reused) == (6, 1, 5)
    assert embedded[0].image_embedding != embedded[1].image_embedding


def test_an_interrupted_run_goes_on_and_has_the_outcome_of_one_that_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog_embedder, "CHUNK", 3)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    interrupted, whole = Shop(tmp_path / "a"), Shop(tmp_path / "b")
    _, counts = interrupted.embed(interrupted.entries(10), stop_after=1)
    assert (counts.pictures_computed, counts.texts_computed) == (3, 0)
    resumed, counts = interrupted.embed(interrupted.entries(10))
    assert (counts.pictures_reused, counts.pictures_computed) == (3, 7)
    assert resumed == whole.embed(whole.entries(10))[0]


def test_progress_is_made_with_each_batch_and_ends_with_all_rows(shop: Shop) -> None:
    progress: list[int] = []
    shop.embed(shop.entries(10), progress=progress)
    # batches of 4, 4 and 2 pictures, then all texts
    assert progress == [2, 4, 5, 10, 10]


@pytest.mark.parametrize("scale", [0.0, np.nan])
def test_entries_whose_vectors_have_no_direction_are_counted(shop: Shop, scale: float) -> None:
    shop.network = write_image_network(shop.folder / "none.onnx", scale=scale)
    embedded, counts = shop.embed(shop.entries(3))
    assert [entry.image_embedding for entry in embedded] == [[], [], []]
    assert (counts.pictures_without_direction, counts.texts_without_direction) == (3, 0)


def test_equal_pictures_are_encoded_once(shop: Shop) -> None:
    entries = shop.entries(3)
    for name in ("i1", "i2"):
        (shop.pictures / f"{name}.png").write_bytes((shop.pictures / "i0.png").read_bytes())
    embedded, counts = shop.embed(entries)
    assert (counts.pictures_computed, counts.pictures_reused) == (1, 2)
    assert len({tuple(entry.image_embedding) for entry in embedded}) == 1


def test_a_changed_picture_is_encoded_again(shop: Shop) -> None:
    entries = shop.entries(2)
    before, _ = shop.embed(entries)
    write_picture(shop.pictures / "i1.png", 99)
    after, counts = shop.embed(entries)
    assert (counts.pictures_computed, counts.pictures_reused) == (1, 1)
    assert after[0] == before[0]
    assert after[1].image_embedding != before[1].image_embedding


def test_missing_and_damaged_pictures_are_counted_and_end_nothing(shop: Shop) -> None:
    entries = shop.entries(5)
    (shop.pictures / "i0.png").unlink()
    (shop.pictures / "i2.png").write_bytes(b"no picture")
    (shop.pictures / "i3.png").write_bytes((shop.pictures / "i4.png").read_bytes()[:200])
    entries[2] = msgspec.structs.replace(entries[2], image_embedding=[0.5, 0.5])
    embedded, counts = shop.embed(entries)
    assert [len(entry.image_embedding) for entry in embedded] == [0, CLASSES, 2, 0, CLASSES]
    assert (counts.pictures_missing, counts.pictures_unreadable, counts.pictures_computed) == (1, 2, 2)
    assert [(each.line, each.item_id) for each in counts.problems] == [(3, "i2"), (4, "i3")]


def test_memory_holds_a_limited_number_of_problems(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog_embedder, "MAX_PROBLEMS", 2)
    entries = shop.entries(4)
    for entry in entries:
        (shop.pictures / f"{entry.item_id}.png").write_bytes(b"")
    _, counts = shop.embed(entries)
    assert counts.pictures_unreadable == 4
    assert len(counts.problems) == 2


def test_entries_without_words_get_no_text_embedding(shop: Shop) -> None:
    entries = [CatalogItem(ts=0, item_id="a"), CatalogItem(ts=0, item_id="b", title="tent")]
    embedded, counts = shop.embed(entries)
    assert embedded[0].text_embedding == []
    assert embedded[1].text_embedding
    assert (counts.texts_empty, counts.texts_computed) == (1, 1)


def test_lines_are_read_by_the_format_jsonl(shop: Shop) -> None:
    entry = msgspec.structs.replace(shop.entries(1)[0], price=3.5, available=False, ts=1_795_509_003_000)
    [embedded], _ = shop.embed([entry])
    [row] = jsonl.rows([catalog_line(embedded)], "log")
    assert isinstance(row, EventRow)
    assert row.event == embedded

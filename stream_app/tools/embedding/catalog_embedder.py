"""From catalog entries and pictures to catalog events with embeddings."""

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Final, NamedTuple

import msgspec
import numpy as np

from stream_app.encoders.onnx_image import OnnxImageEncoder
from stream_app.encoders.pictures import UnreadablePictureError
from stream_app.errors import UserError
from stream_app.models.array_types import Matrix
from stream_app.models.text_encoder import TextEncoder, item_text
from stream_app.tools.embedding.picture_folder import PictureFolder, PictureTooLargeError
from stream_app.tools.embedding.reduction import Reduction
from stream_app.tools.embedding.vector_store import KEY_BYTES, VectorStore, content_key
from stream_app.tools.feeds.rows import EventRow, Row, UnreadableRow
from topics.events import CatalogItem, Event

MAX_PROBLEMS: Final = 1_000
"""Problems that are kept for the report; the others are counted."""

DECIMALS: Final = 5
"""Decimals of a written embedding. Its length is 1, so the error of a dot product is far below 1e-4."""

CHUNK: Final = 256
"""Entries in memory at a time."""

_TEXT_BATCH: Final = 64
_NO_KEY: Final = bytes(KEY_BYTES)


class Problem(msgspec.Struct, frozen=True):
    """A row or picture that was left out, and why."""

    line: int
    item_id: str | None
    problem: str


class EmbeddingCounts(msgspec.Struct):
    """What a run has done so far.

    Attributes
    ----------
    rows
        Rows read from the catalog file.
    entries
        Catalog entries among them, all of which are written.
    ignored_rows, unreadable_rows
        Rows that are no catalog entry, and rows that cannot be read.
    pictures_computed, pictures_reused
        Entries whose `image_embedding` was computed now, and was there from an earlier run or an equal picture.
    pictures_missing, pictures_unreadable
        Entries without a picture file, and with a damaged one; both keep the `image_embedding` that they had.
    texts_computed, texts_reused, texts_empty
        Entries whose `text_embedding` was computed now, was there, and that have no text.
    pictures_without_direction, texts_without_direction
        Entries without an embedding, since the encoder gives zeros or no finite values; counted by `entries`.
    problems
        The first of the unreadable pictures and rows.
    """

    rows: int = 0
    entries: int = 0
    ignored_rows: int = 0
    unreadable_rows: int = 0
    pictures_computed: int = 0
    pictures_reused: int = 0
    pictures_missing: int = 0
    pictures_unreadable: int = 0
    texts_computed: int = 0
    texts_reused: int = 0
    texts_empty: int = 0
    pictures_without_direction: int = 0
    texts_without_direction: int = 0
    problems: list[Problem] = []

    def add_problem(self, line: int, item: str | None, problem: str) -> None:
        """Keep a problem for the report, unless there are `MAX_PROBLEMS`."""
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(Problem(line, item, problem))


class PictureEncoding(NamedTuple):
    """Where pictures are, what encodes them, and where their vectors are kept."""

    folder: PictureFolder
    encoder: OnnxImageEncoder
    store: VectorStore


class TextEncoding(NamedTuple):
    """What encodes texts, and where their vectors are kept."""

    encoder: TextEncoder
    store: VectorStore


class KeyList:
    """Keys of contents in order, some absent, in 16 bytes each.

    Examples
    --------
    >>> keys = KeyList()
    >>> keys.append(b"0123456789abcdef")
    >>> keys.append(None)
    >>> [*keys]
    [b'0123456789abcdef', None]
    """

    def __init__(self) -> None:
        self._bytes = bytearray()

    def __iter__(self) -> Iterator[bytes | None]:
        for start in range(0, len(self._bytes), KEY_BYTES):
            key = bytes(self._bytes[start : start + KEY_BYTES])
            yield None if key == _NO_KEY else key

    def append(self, key: bytes | None) -> None:
        """Append a key, or None."""
        self._bytes += _NO_KEY if key is None else key


class CatalogEmbedder:
    """Computes vectors of the entries' pictures and texts, and fills `image_embedding` and `text_embedding`.

    Two passes over the catalog: `encode` computes what the stores lack, so that vectors can be fitted to all of them,
    and `entries` reads the results. In memory are at most `CHUNK` entries, one batch of pictures and two keys per
    entry. Vectors go to the store as soon as their batch is computed, so an interrupted run loses one batch.

    Parameters
    ----------
    pictures, texts
        None to leave the field as it is.

    Attributes
    ----------
    counts : EmbeddingCounts
        Grows while `encode` runs.
    image_keys, text_keys : KeyList
        What each entry's vectors were computed from; filled by `encode`.
    """

    def __init__(self, pictures: PictureEncoding | None, texts: TextEncoding | None) -> None:
        self._pictures = pictures
        self._texts = texts
        self.counts: Final = EmbeddingCounts()
        self.image_keys: Final = KeyList()
        self.text_keys: Final = KeyList()

    def encode(self, rows: Iterable[Row]) -> Iterator[int]:
        """Compute the vectors that the stores lack; yields the number of rows done, after each batch."""
        entries = self._entries(rows)
        stages = (self._pictures is not None) + (self._texts is not None)
        done = 0
        while chunk := list(islice(entries, CHUNK)):
            steps, n_steps = 0, max(1, stages) * len(chunk)
            for finished in chain(self._add_image_keys(chunk), self._add_text_keys(chunk)):
                steps += finished
                yield done + (self.counts.rows - done) * steps // n_steps
            done = self.counts.rows
            yield done

    def entries(
        self, rows: Iterable[Row], image_reduction: Reduction | None, text_reduction: Reduction | None
    ) -> Iterator[CatalogItem]:
        """Yield the entries of the same rows with their embeddings.

        Parameters
        ----------
        image_reduction, text_reduction
            Applied to the vectors; None to write them as they are.

        Raises
        ------
        UserError
            If these are not as many entries as `encode` had.
        """
        entries = (
            row.event for row in rows if isinstance(row, EventRow) and isinstance(row.event, CatalogItem)
        )
        try:
            for entry, image, text in zip(entries, self.image_keys, self.text_keys, strict=True):
                changes = {}
                if image is not None and self._pictures is not None:
                    embedding = _embedding(self._pictures.store, image, image_reduction)
                    changes["image_embedding"] = embedding
                    self.counts.pictures_without_direction += not embedding
                if text is not None and self._texts is not None:
                    embedding = _embedding(self._texts.store, text, text_reduction)
                    changes["text_embedding"] = embedding
                    self.counts.texts_without_direction += not embedding
                yield msgspec.structs.replace(entry, **changes)
        except ValueError:
            raise UserError("The catalog was changed while it was read; run the command again.") from None

    def _entries(self, rows: Iterable[Row]) -> Iterator["_EntryRow"]:
        counts = self.counts
        for row in rows:
            counts.rows += 1
            if isinstance(row, EventRow) and isinstance(row.event, CatalogItem):
                counts.entries += 1
                yield _EntryRow(row.line, row.event)
            elif isinstance(row, UnreadableRow):
                counts.unreadable_rows += 1
                counts.add_problem(row.line, None, row.problem)
            else:
                counts.ignored_rows += 1

    def _add_image_keys(self, chunk: list["_EntryRow"]) -> Iterator[int]:
        """Add the key of each entry's picture, None without one, and compute the vectors that the store lacks.

        Yields the number of further entries whose vectors are in the store.
        """
        pictures, pending, n_entries = self._pictures, dict[bytes, Matrix](), 0
        if pictures is None:
            for _ in chunk:
                self.image_keys.append(None)
            return
        for row in chunk:
            self.image_keys.append(self._image_key(row, pictures, pending))
            n_entries += 1
            if len(pending) == pictures.encoder.batch:
                self._encode_pictures(pictures, pending)
                yield n_entries
                n_entries = 0
        self._encode_pictures(pictures, pending)
        yield n_entries

    def _image_key(
        self, row: "_EntryRow", pictures: PictureEncoding, pending: dict[bytes, Matrix]
    ) -> bytes | None:
        folder, encoder, store = pictures
        item = row.event.item_id
        try:
            data = folder.read(item)
            if data is None:
                self.counts.pictures_missing += 1
                return None
            key = content_key(data)
            if key in store or key in pending:
                self.counts.pictures_reused += 1
            else:
                pending[key] = encoder.read(data)
        except (OSError, PictureTooLargeError, UnreadablePictureError) as error:
            self.counts.pictures_unreadable += 1
            self.counts.add_problem(row.line, item, f"picture: {_reason(error)}")
            return None
        return key

    def _encode_pictures(self, pictures: PictureEncoding, pending: dict[bytes, Matrix]) -> None:
        if pending:
            pictures.store.add(pending, pictures.encoder.encode([*pending.values()]))
            self.counts.pictures_computed += len(pending)
            pending.clear()

    def _add_text_keys(self, chunk: list["_EntryRow"]) -> Iterator[int]:
        """Add the key of each entry's text, None without one, and compute the vectors that the store lacks.

        Yields the number of further entries whose vectors are in the store.
        """
        if self._texts is None:
            for _ in chunk:
                self.text_keys.append(None)
            return
        for start in range(0, len(chunk), _TEXT_BATCH):
            batch = chunk[start : start + _TEXT_BATCH]
            self._encode_texts(self._texts, [item_text(row.event) for row in batch])
            yield len(batch)

    def _encode_texts(self, texts: TextEncoding, of_entries: list[str]) -> None:
        encoder, store = texts
        pending: dict[bytes, str] = {}
        for text in of_entries:
            key = content_key(text.encode()) if text else None
            self.text_keys.append(key)
            if key is None:
                self.counts.texts_empty += 1
            elif key in store or key in pending:
                self.counts.texts_reused += 1
            else:
                pending[key] = text
        if pending:
            store.add(pending, encoder.encode([*pending.values()]))
            self.counts.texts_computed += len(pending)


class _EntryRow(NamedTuple):
    """A catalog entry and its line in the file."""

    line: int
    event: CatalogItem


def _embedding(store: VectorStore, key: bytes, reduction: Reduction | None) -> list[float]:
    """The vector of a key as written; empty if it has no direction, since zeros say nothing."""
    vector = store.find(key)
    if vector is not None and reduction is not None:
        vector = reduction.apply(vector[None])[0]
    if vector is None or not vector.any():
        return []
    rounded: list[float] = (np.round(vector.astype(np.float64), DECIMALS) + 0.0).tolist()  # no -0.0
    return rounded


def _reason(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)


def catalog_line(entry: CatalogItem) -> bytes:
    """A catalog entry as a line of the format ``jsonl``; see `event_line`."""
    return event_line("catalog", entry)


def event_line(kind: str, event: Event) -> bytes:
    r"""An event as a line of the format ``jsonl``, without fields that have their default.

    Parameters
    ----------
    kind
        One of `stream_app.tools.feeds.jsonl.EVENT_KINDS`.

    Examples
    --------
    >>> event_line("catalog", CatalogItem(ts=0, item_id="i1", title="Tent"))
    b'{"type":"catalog","ts":0,"item_id":"i1","title":"Tent"}\n'
    """
    fields: dict[str, object] = {"type": kind}
    for field in msgspec.structs.fields(event):
        value = getattr(event, field.name)
        default = field.default_factory() if field.default_factory is not msgspec.NODEFAULT else field.default
        if value != default:
            fields[field.name] = value
    return msgspec.json.encode(fields) + b"\n"

"""Computed vectors on disk by their content, so that nothing is computed twice."""

import fcntl
import os
import zlib
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import numpy as np

from stream_app.errors import UserError
from stream_app.models.array_types import Matrix, Scores

KEY_BYTES: Final = 16
_READ_AT_ONCE: Final = 4_096  # records


def content_key(content: bytes) -> bytes:
    """The key of a content: its hash.

    Examples
    --------
    >>> len(content_key(b"red tent"))
    16
    """
    return blake2b(content, digest_size=KEY_BYTES).digest()


class VectorStore:
    """An append-only file of vectors by the hash of what they were computed from; one file per encoder.

    A record has key, vector and checksum, so a file whose end a crash has cut or damaged is valid up to there, and is
    cut at that record. In memory are the keys alone.

    Parameters
    ----------
    folder
        Made if it does not exist.
    fingerprint
        Of the encoder; part of the file's name, since vectors of different encoders do not mix.
    dimensions
        Length of each vector.

    Raises
    ------
    UserError
        If the folder cannot be written, or another process uses the file.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with VectorStore(Path(folder), "f00d", 2) as store:
    ...         store.add([content_key(b"a")], np.ones((1, 2), np.float32))
    ...     with VectorStore(Path(folder), "f00d", 2) as store:
    ...         (store.find(content_key(b"a")), store.find(content_key(b"b")))
    (array([1., 1.], dtype=float32), None)
    """

    def __init__(self, folder: Path, fingerprint: str, dimensions: int) -> None:
        self._record = np.dtype(
            [("key", f"V{KEY_BYTES}"), ("vector", "<f4", (dimensions,)), ("checksum", "<u4")]
        )
        self.path: Final = folder / f"{fingerprint}-{dimensions}.vectors"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("a+b")
        except OSError as error:
            raise UserError(
                f"{self.path} cannot be written: {error.strerror or error}; name another --store."
            ) from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise UserError(f"Another `headrace embed` writes {self.path}; wait for its end.") from None
        self._rows: dict[bytes, int] = {}
        self._load()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, key: bytes) -> bool:
        return key in self._rows

    def find(self, key: bytes) -> Scores | None:
        """The vector of a key; None if there is none."""
        row = self._rows.get(key)
        if row is None:
            return None
        data = os.pread(self._file.fileno(), self._record.itemsize, row * self._record.itemsize)
        vector: Scores = np.frombuffer(data, self._record)[0]["vector"].copy()
        return vector

    def add(self, keys: Iterable[bytes], vectors: Matrix) -> None:
        """Append vectors, and write them to the disk.

        Raises
        ------
        UserError
            If the disk is full.
        """
        records = np.zeros(len(vectors), self._record)
        for record, key, vector in zip(records, keys, vectors, strict=True):
            record["key"] = np.void(key)
            record["vector"] = vector
            record["checksum"] = zlib.crc32(record["vector"].tobytes(), zlib.crc32(key))
            self._rows.setdefault(key, self._n_records)
            self._n_records += 1
        try:
            self._file.write(records.tobytes())
            self._file.flush()
        except OSError as error:
            raise UserError(
                f"{self.path} cannot be written: {error.strerror or error}; run the command again when there is "
                "space, it goes on from here."
            ) from None

    def close(self) -> None:
        """Write to the disk and unlock; nothing else may be called afterwards."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def _load(self) -> None:
        size, self._n_records = self._record.itemsize, 0
        self._file.seek(0)
        while data := self._file.read(_READ_AT_ONCE * size):
            for record in np.frombuffer(data[: len(data) // size * size], self._record):
                key = record["key"].tobytes()
                if zlib.crc32(record["vector"].tobytes(), zlib.crc32(key)) != record["checksum"]:
                    break
                self._rows[key] = self._n_records
                self._n_records += 1
            else:
                continue
            break
        self._file.truncate(self._n_records * size)
        self._file.seek(0, os.SEEK_END)

"""Vectors on disk by content."""

from pathlib import Path

import numpy as np
import pytest

from stream_app.errors import UserError
from stream_app.models.array_types import Matrix
from stream_app.tools.embedding.vector_store import VectorStore, content_key

KEYS = [content_key(bytes([number])) for number in range(5)]
VECTORS: Matrix = np.random.default_rng(1).normal(size=(5, 3)).astype(np.float32)


def stored(folder: Path) -> list[int]:
    """The numbers of the vectors that a new store finds."""
    with VectorStore(folder, "f", 3) as store:
        found = [store.find(key) for key in KEYS]
        for vector, expected in zip(found, VECTORS, strict=True):
            if vector is not None:
                np.testing.assert_array_equal(vector, expected)
        assert len(store) == sum(vector is not None for vector in found)
        return [number for number, vector in enumerate(found) if vector is not None]


def write(folder: Path, *numbers: int) -> Path:
    with VectorStore(folder, "f", 3) as store:
        store.add([KEYS[number] for number in numbers], VECTORS[list(numbers)])
        return store.path


def test_vectors_are_found_by_a_later_store(tmp_path: Path) -> None:
    write(tmp_path / "a" / "b", 0, 1)
    write(tmp_path / "a" / "b", 3)
    assert stored(tmp_path / "a" / "b") == [0, 1, 3]


@pytest.mark.parametrize("cut", range(1, 36, 7))
def test_a_record_that_was_cut_is_absent_and_can_be_written_again(tmp_path: Path, cut: int) -> None:
    path = write(tmp_path, 0, 1)
    path.write_bytes(path.read_bytes()[:-cut])
    assert stored(tmp_path) == ([0] if cut <= 32 else [])
    write(tmp_path, 1)
    assert 1 in stored(tmp_path)


def test_a_damaged_record_ends_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, 0, 1, 2)
    data = bytearray(path.read_bytes())
    data[40] ^= 1
    path.write_bytes(data)
    assert stored(tmp_path) == [0]
    write(tmp_path, 2, 1)
    assert stored(tmp_path) == [0, 1, 2]


def test_encoders_do_not_share_vectors(tmp_path: Path) -> None:
    write(tmp_path, 0)
    with VectorStore(tmp_path, "g", 3) as store:
        assert KEYS[0] not in store


def test_two_processes_do_not_write_the_same_file(tmp_path: Path) -> None:
    with (
        VectorStore(tmp_path, "f", 3),
        pytest.raises(UserError, match="Another `headrace embed` writes"),
        VectorStore(tmp_path, "f", 3),
    ):
        pass
    write(tmp_path, 0)


def test_a_file_in_place_of_the_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        VectorStore(tmp_path / "file", "f", 3)

"""Files of a folder: written whole and synchronized, or not at all."""

import os
from pathlib import Path

import pytest

from state.snapshots.files import FolderFiles


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "not" / "there yet"


@pytest.fixture
def files(folder: Path) -> FolderFiles:
    return FolderFiles(folder)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_read_whole_or_from_its_beginning(files: FolderFiles) -> None:
    files.write("a", b"content")
    assert files.read("a") == b"content"
    assert files.read("a", 3) == b"con"
    assert files.read("a", 0) == b""
    assert files.read("a", 100) == b"content"


def test_a_file_is_on_the_disk_before_it_has_its_name(
    files: FolderFiles, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synchronized: list[tuple[int, list[str]]] = []

    def record(descriptor: int) -> None:
        synchronized.append((os.fstat(descriptor).st_size, names(folder)))

    monkeypatch.setattr(os, "fsync", record)
    files.write("a", b"content")
    assert synchronized == [(7, [".a.writing"])]
    assert names(folder) == ["a"]


def test_a_file_that_cannot_be_written_whole_leaves_the_earlier_one(
    files: FolderFiles, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(f"no space left for {descriptor}")

    files.write("a", b"earlier")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="no space left"):
        files.write("a", b"later")
    assert names(folder) == ["a"]
    assert files.read("a") == b"earlier"


def test_a_file_that_cannot_be_opened_is_the_error(
    files: FolderFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path, mode: str) -> None:
        raise OSError(f"too many open files: {path} {mode}")

    monkeypatch.setattr(Path, "open", fail)
    with pytest.raises(OSError, match="too many open files"):
        files.write("a", b"x")


def test_a_file_that_vanishes_while_others_are_listed_is_left_out(
    files: FolderFiles, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert files.list() == []
    files.write("first", b"1")
    files.write("last", b"12")
    vanished = [folder / "first", folder / "vanished", folder / "last"]
    monkeypatch.setattr(Path, "iterdir", lambda _: iter(vanished))
    assert [(each.name, each.size) for each in files.list()] == [("first", 1), ("last", 2)]


def test_a_missing_file_is_deleted_already(files: FolderFiles) -> None:
    files.write("a", b"x")
    for _ in range(2):
        files.delete("a")
    with pytest.raises(FileNotFoundError):
        files.read("a")


def test_a_renamed_file_has_the_new_name_alone(files: FolderFiles, folder: Path) -> None:
    files.write("a", b"x")
    files.rename("a", "b")
    assert names(folder) == ["b"]

"""The store of checkpoints: only announced bytes are read, and old files are removed."""

import hashlib
from pathlib import Path

import msgspec
import pytest

from state.checkpoint_store import CheckpointFileError, CheckpointStore
from state.snapshots.files import FolderFiles


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "two-tower"


@pytest.fixture
def store(folder: Path) -> CheckpointStore:
    return CheckpointStore(FolderFiles(folder), max_checkpoints=2)


def test_an_announced_checkpoint_is_read(store: CheckpointStore) -> None:
    announcement = store.write(7, b"weights", created_at=1.0, offsets=(3, 5), trainer="a")
    assert store.read(announcement) == b"weights"
    assert (announcement.version, announcement.offsets, announcement.trainer) == (7, (3, 5), "a")


def test_the_newest_checkpoints_are_kept(store: CheckpointStore) -> None:
    announcements = [store.write(version, b"%d" % version, created_at=1.0) for version in (9, 10, 100)]
    assert store.names() == [each.file for each in announcements[1:]]
    with pytest.raises(CheckpointFileError, match="no file"):
        store.read(announcements[0])


@pytest.mark.parametrize("content", [b"", b"weight", b"weightz", b"weights and more"])
def test_other_bytes_than_the_announced_are_refused(
    store: CheckpointStore, folder: Path, content: bytes
) -> None:
    announcement = store.write(1, b"weights", created_at=1.0)
    (folder / announcement.file).write_bytes(content)
    with pytest.raises(CheckpointFileError, match="not the announced one"):
        store.read(announcement)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "", "two-tower-1.safetensors", "a/b"])
def test_a_record_cannot_make_a_worker_read_another_file(store: CheckpointStore, name: str) -> None:
    announcement = msgspec.structs.replace(store.write(1, b"weights", created_at=1.0), file=name)
    with pytest.raises(CheckpointFileError, match="no name of a checkpoint"):
        store.read(announcement)


def test_files_of_others_stay(store: CheckpointStore, folder: Path) -> None:
    folder.mkdir()
    other = folder / "README"
    other.write_text("mine")
    for version in range(1, 5):
        store.write(version, b"x", created_at=1.0)
    assert other.read_text() == "mine"


def test_the_digest_of_an_announcement_is_that_of_the_contract(store: CheckpointStore) -> None:
    digest = hashlib.blake2b(b"weights", digest_size=16).hexdigest()
    announcement = store.write(1, b"weights", created_at=1.0)
    assert announcement.digest == digest
    assert announcement.file == f"two-tower-000000000001-{digest[:12]}.safetensors"


def test_three_checkpoints_are_kept_by_default(folder: Path) -> None:
    store = CheckpointStore(FolderFiles(folder))
    for version in range(1, 6):
        store.write(version, b"x", created_at=1.0)
    assert [name[:22] for name in store.names()] == [f"two-tower-{version:012d}" for version in (3, 4, 5)]

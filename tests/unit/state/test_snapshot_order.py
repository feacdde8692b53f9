"""Which snapshot is the newest, when processes write and remove them at once, and what rotation leaves."""

import errno
import logging
import os
import re
from pathlib import Path
from typing import Any

import pytest

from state.snapshots.encoding import SnapshotInfo, encode_snapshot
from state.snapshots.files import FolderFiles, SnapshotFiles, StoredFile
from state.snapshots.model_store import Snapshot, SnapshotEntry
from state.snapshots.store import SnapshotStore, folder_store


class RecordedFiles:
    """Files that record what is done, and of which some vanish before they are read."""

    def __init__(self, files: SnapshotFiles) -> None:
        self.location = files.location
        self.done: list[tuple[str, ...]] = []
        self.vanishing: set[str] = set()
        self._files = files

    def list(self) -> list[StoredFile]:
        self.done.append(("list",))
        return self._files.list()

    def read(self, name: str, length: int | None = None) -> bytes:
        self.done.append(("read", name))
        if name in self.vanishing:
            raise FileNotFoundError(name)
        return self._files.read(name, length)

    def write(self, name: str, content: bytes) -> None:
        self.done.append(("write", name))
        self._files.write(name, content)

    def rename(self, name: str, new_name: str) -> None:
        self.done.append(("rename", name))
        self._files.rename(name, new_name)

    def delete(self, name: str) -> None:
        self.done.append(("delete", name))
        self._files.delete(name)


@pytest.fixture
def files(tmp_path: Path) -> RecordedFiles:
    return RecordedFiles(FolderFiles(tmp_path / "models"))


def newest(files: RecordedFiles, fingerprint: str | None = None) -> Any:
    snapshot = SnapshotStore(files).newest(fingerprint)
    return None if snapshot is None else snapshot.state


def names(files: RecordedFiles) -> list[str]:
    return sorted(file.name for file in files.list())


def test_names_count_the_snapshots_and_the_series(files: RecordedFiles) -> None:
    store = SnapshotStore(files, writer="w1")
    assert store.save({}) == "models-0000-0000000001-0-w1.snapshot"
    assert store.save({}, "aa") == "models-0000-0000000002-aa-w1.snapshot"
    assert store.save({}, "aa", new_series=True) == "models-0001-0000000003-aa-w1.snapshot"
    # Its own series is that it began with.
    assert store.save({}, "aa") == "models-0000-0000000004-aa-w1.snapshot"
    assert store.save({}, "aa", new_series=True) == "models-0002-0000000005-aa-w1.snapshot"


def test_each_process_has_a_name_of_its_own(files: RecordedFiles) -> None:
    written = [SnapshotStore(files).save({}, "aa") for _ in range(3)]
    assert len({name.rsplit("-", 1)[1] for name in written}) == 3
    assert all(re.fullmatch(r"models-0000-\d{10}-aa-[0-9a-f]{8}\.snapshot", name) for name in written)


def test_a_process_that_began_with_nothing_does_not_precede_what_was_restored_since(
    files: RecordedFiles,
) -> None:
    first = SnapshotStore(files)
    assert first.newest("aa") is None
    other = SnapshotStore(files)
    other.restore(other.save({"n": "restored"}, "aa"))
    first.save({"n": "first"}, "aa")
    assert newest(files, "aa") == {"n": "restored"}


def test_a_process_without_a_snapshot_of_its_own_begins_in_the_newest_series(files: RecordedFiles) -> None:
    store = SnapshotStore(files)
    store.restore(store.save({}, "aa"))
    started = SnapshotStore(files)
    assert started.newest("bb") is None
    assert started.save({}, "bb").startswith("models-0001-")


def test_a_snapshot_that_is_gone_whenever_it_is_read_is_skipped_at_the_fifth_attempt(
    files: RecordedFiles,
) -> None:
    store = SnapshotStore(files)
    store.save({"n": 1}, "aa")
    gone = store.save({"n": 2}, "aa")
    files.vanishing = {gone}
    assert newest(files, "aa") == {"n": 1}
    assert files.done.count(("read", gone)) == 5


def test_a_snapshot_that_replaces_a_vanished_one_precedes_older_ones(files: RecordedFiles) -> None:
    store = SnapshotStore(files)
    store.save({"n": 1}, "aa")
    gone = store.save({"n": 2}, "aa")

    class Racing(RecordedFiles):
        def read(self, name: str, length: int | None = None) -> bytes:
            if name == gone and name not in self.vanishing:
                self.vanishing.add(name)
                store.save({"n": 3}, "aa")
            return super().read(name, length)

    assert newest(Racing(files), "aa") == {"n": 3}


@pytest.mark.parametrize("n_damaged", [0, 2])
def test_a_store_without_a_valid_snapshot_is_gone_through_once(files: RecordedFiles, n_damaged: int) -> None:
    store = SnapshotStore(files)
    for name in [store.save({}, "aa") for _ in range(n_damaged)]:
        files.write(name, b"HEADRACE torn")
    files.done.clear()
    assert newest(files, "aa") is None
    # Once for the names, once for each that is set aside, once for the series.
    assert files.done.count(("list",)) == 2 + n_damaged


def test_three_other_configurations_stay(files: RecordedFiles) -> None:
    store = SnapshotStore(files, writer="w1")
    for number in range(6):
        store.save({}, f"c{number}")
    assert [name.split("-")[3] for name in names(files)] == ["c2", "c3", "c4", "c5"]


def test_three_snapshots_stay_in_a_folder(tmp_path: Path) -> None:
    store = folder_store(tmp_path)
    written = [store.save({}, "aa") for _ in range(5)]
    assert sorted(path.name for path in tmp_path.iterdir()) == written[2:]


@pytest.mark.parametrize(("age", "stays"), [(3_599.0, True), (3_600.0, True), (3_601.0, False)])
def test_what_a_process_is_writing_for_an_hour_is_left(tmp_path: Path, age: float, stays: bool) -> None:
    unfinished = tmp_path / ".models-0000-0000000001-aa-w0.snapshot.writing"
    unfinished.write_bytes(b"half")
    os.utime(unfinished, (1_000_000.0, 1_000_000.0))
    SnapshotStore(FolderFiles(tmp_path), clock=lambda: 1_000_000.0 + age).save({}, "aa")
    assert unfinished.exists() == stays


def test_a_check_writes_lists_reads_and_deletes_a_file(files: RecordedFiles) -> None:
    SnapshotStore(files, writer="w1").check()
    assert files.done == [("write", "check-w1"), ("list",), ("read", "check-w1"), ("delete", "check-w1")]
    assert names(files) == []


def test_copies_of_others_are_left_alone(files: RecordedFiles) -> None:
    store = SnapshotStore(files)
    first = store.save({}, "aa")
    files.write("notes.kept", b"mine")
    copy = store.keep(first)
    assert copy is not None
    assert store.keep("notes") is None
    assert store.keep("notes.snapshot") is None
    assert {"notes.kept", copy} <= set(names(files))
    assert store.location == files.location


def test_a_snapshot_that_cannot_be_read_is_not_kept(
    files: RecordedFiles, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SnapshotStore(files)
    gone = store.save({}, "aa")
    files.vanishing = {gone}
    assert store.keep(gone) is None

    def fail(name: str, _length: int | None = None) -> bytes:
        raise OSError(errno.EIO, f"the disk is gone: {name}")

    monkeypatch.setattr(files, "read", fail)
    assert store.keep(gone) is None
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert "the disk is gone" in caplog.text


def test_a_restored_snapshot_without_a_description_has_the_configuration_of_its_name(
    files: RecordedFiles,
) -> None:
    name = "models-0000-0000000001-aa-w1.snapshot"
    files.write(name, encode_snapshot({"n": 1}))
    assert SnapshotStore(files, writer="w2").restore(name) == "models-0001-0000000002-aa-w2.snapshot"
    assert newest(files, "aa") == {"n": 1}


@pytest.mark.parametrize(
    ("info", "time"),
    [(None, 7.0), (SnapshotInfo(), 7.0), (SnapshotInfo(created=5.0), 5.0)],
)
def test_the_time_of_a_snapshot_is_that_of_its_models_if_it_is_known(
    info: SnapshotInfo | None, time: float
) -> None:
    assert SnapshotEntry("a", 1, 7.0, info).time == time
    assert Snapshot("a", {}).info == SnapshotInfo()

"""The store of snapshots, in a folder and in memory by fsspec."""

import errno
import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from state.snapshots.encoding import SnapshotError
from state.snapshots.files import FolderFiles, SnapshotFiles, StoreUnavailableError
from state.snapshots.remote_files import open_files
from state.snapshots.store import MAX_OTHER_CONFIGURATIONS, SnapshotStore

MakeStore = Callable[..., SnapshotStore]
serials = itertools.count()


@pytest.fixture(params=["folder", "memory"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SnapshotFiles]:
    if request.param == "folder":
        yield FolderFiles(tmp_path / "models")
    else:
        pytest.importorskip("fsspec")
        yield open_files(f"memory://store-{next(serials)}/models")


@pytest.fixture
def store(files: SnapshotFiles) -> SnapshotStore:
    return SnapshotStore(files, writer="w1")


def names(files: SnapshotFiles, suffix: str = ".snapshot") -> list[str]:
    return sorted(file.name for file in files.list() if file.name.endswith(suffix))


def damage(files: SnapshotFiles, name: str) -> None:
    files.write(name, b"HEADRACE torn")


def newest_state(store: SnapshotStore, fingerprint: str | None = None) -> Any:
    snapshot = store.newest(fingerprint)
    return None if snapshot is None else snapshot.state


def test_the_newest_snapshot_is_loaded_and_old_ones_are_removed(
    files: SnapshotFiles, store: SnapshotStore
) -> None:
    assert store.newest() is None
    written = [store.save({"n": n}) for n in range(5)]
    assert names(files) == written[2:]
    assert newest_state(store) == {"n": 4}


def test_a_damaged_newest_snapshot_is_set_aside(
    files: SnapshotFiles, store: SnapshotStore, caplog: pytest.LogCaptureFixture
) -> None:
    store.save({"n": 1})
    damaged = store.save({"n": 2})
    damage(files, damaged)
    assert newest_state(store) == {"n": 1}
    assert "ignoring invalid snapshot" in caplog.text
    assert damaged not in names(files)
    assert len(names(files, ".damaged")) == 1


def test_the_newest_two_damaged_snapshots_stay(files: SnapshotFiles) -> None:
    set_aside = []
    store = SnapshotStore(files, 5, lambda: set_aside.append(1))
    for name in [store.save({"n": n}) for n in range(4)]:
        damage(files, name)
    assert store.newest() is None
    assert len(set_aside) == 4
    assert [name[:22] for name in names(files, ".damaged")] == [
        "models-0000-0000000003",
        "models-0000-0000000004",
    ]


def test_each_configuration_has_its_newest_snapshot(store: SnapshotStore) -> None:
    store.save({"of": "old"}, "aa")
    store.save({"of": "new"}, "bb")
    store.save({"of": "old again"}, "aa")
    assert newest_state(store, "bb") == {"of": "new"}
    assert newest_state(store, "aa") == {"of": "old again"}
    assert newest_state(store) == {"of": "old again"}
    assert newest_state(store, "cc") is None


def test_the_number_of_snapshots_is_bounded_per_configuration(
    files: SnapshotFiles, store: SnapshotStore
) -> None:
    configurations = [f"{n:02x}" for n in range(MAX_OTHER_CONFIGURATIONS + 3)]
    for fingerprint in configurations:
        for n in range(4):
            store.save({"n": n}, fingerprint)
    left = [name.split("-")[3] for name in names(files)]
    assert sorted(left) == sorted(configurations[-(MAX_OTHER_CONFIGURATIONS + 1) :] * 3)


def test_two_processes_write_one_store_without_a_collision(files: SnapshotFiles) -> None:
    stores = [SnapshotStore(files, 100) for _ in range(4)]
    threads = [
        threading.Thread(target=lambda each=each: [each.save({"n": n}, "aa") for n in range(10)])
        for each in stores
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(names(files)) == 40
    assert newest_state(SnapshotStore(files)) == {"n": 9}


def test_a_restored_snapshot_stays_the_newest_while_running_workers_write_theirs(
    files: SnapshotFiles,
) -> None:
    running = SnapshotStore(files, writer="running")
    first = running.save({"n": 1}, "aa")
    running.save({"n": 2}, "aa")
    restored = SnapshotStore(files).restore(first)
    for n in range(3, 9):
        running.save({"n": n}, "aa")
    started = SnapshotStore(files)
    snapshot = started.newest("aa")
    assert snapshot is not None
    assert (snapshot.name, snapshot.state) == (restored, {"n": 1})
    # A worker that has started from it continues its series.
    started.save({"n": 100}, "aa")
    running.save({"n": 9}, "aa")
    assert newest_state(SnapshotStore(files), "aa") == {"n": 100}


def test_a_damaged_snapshot_is_not_restored(files: SnapshotFiles, store: SnapshotStore) -> None:
    name = store.save({"n": 1})
    damage(files, name)
    with pytest.raises(SnapshotError):
        store.restore(name)
    for missing in ("models-0000-0000000009-aa-w1.snapshot", "../models", "/etc/passwd", ""):
        with pytest.raises(FileNotFoundError):
            store.restore(missing)


def test_a_kept_copy_survives_rotation_and_can_be_restored(
    files: SnapshotFiles, store: SnapshotStore
) -> None:
    copy = store.keep(store.save({"n": 0}, "aa"))
    assert copy is not None
    for n in range(1, 9):
        store.save({"n": n}, "aa")
    for n in range(10):
        store.save({"n": n}, f"b{n}")
    assert names(files, ".kept") == [copy]
    store.restore(copy)
    assert newest_state(SnapshotStore(files), "aa") == {"n": 0}


def test_one_copy_is_kept_per_configuration_that_of_the_newest(
    files: SnapshotFiles, store: SnapshotStore
) -> None:
    first, second = store.save({"n": 1}, "aa"), store.save({"n": 2}, "aa")
    store.keep(store.save({"n": 3}, "bb"))
    assert store.keep(first) is not None
    assert store.keep(first) is None
    assert store.keep(second) is not None
    assert store.keep(first) is None
    assert [store.load(name).state for name in names(files, ".kept")] == [{"n": 2}, {"n": 3}]


def test_a_newer_snapshot_is_kept_if_another_process_has_rotated_one_away(
    files: SnapshotFiles, store: SnapshotStore
) -> None:
    rotated = store.save({"n": 1}, "aa")
    for n in range(2, 6):
        store.save({"n": n}, "aa")
    assert rotated not in names(files)
    copy = store.keep(rotated)
    assert copy is not None
    assert store.load(copy).state == {"n": 5}
    assert store.keep("models-0009-0000000009-cc-w1.snapshot") is None


def test_what_a_killed_process_was_writing_is_removed_later(files: SnapshotFiles) -> None:
    files.write(".models-0000-0000000001-aa-w0.snapshot.writing", b"half")
    SnapshotStore(files).save({}, "aa")
    assert len(names(files, ".writing")) == 1
    SnapshotStore(files, clock=lambda: time.time() + 7_200).save({}, "aa")
    assert names(files, ".writing") == []


def test_a_snapshot_of_a_later_format_is_ignored_and_kept(
    files: SnapshotFiles, store: SnapshotStore, caplog: pytest.LogCaptureFixture
) -> None:
    store.save({"n": 1}, "aa")
    later = store.save({"n": 2}, "aa")
    raw = bytearray(files.read(later))
    raw[9] = 9
    files.write(later, bytes(raw))
    assert newest_state(store, "aa") == {"n": 1}
    assert "format 9 is of a later version of Headrace" in caplog.text
    assert later in names(files)
    assert files.read(names(files, ".kept")[0]) == bytes(raw)


def test_what_was_learned_before_a_time_is_removed(files: SnapshotFiles) -> None:
    now = 1_000.0
    store = SnapshotStore(files, 10, clock=lambda: now)
    first = store.save({"n": 1}, "aa")
    store.keep(first)
    # Its content is as old as that of the first.
    restored = store.restore(first)
    now = 2_000.0
    second = store.save({"n": 2}, "bb")
    now = 3_000.0
    third = store.save({"n": 3}, "aa", new_series=True)
    assert set(store.remove_older_than(2_000.0)) == {first, restored, first.replace(".snapshot", ".kept")}
    assert names(files) == sorted([second, third])
    # A worker that starts needs the newest one.
    assert store.remove_older_than(9_000.0) == [second]
    assert newest_state(store) == {"n": 3}


def test_entries_tell_time_configuration_positions_and_damage(files: SnapshotFiles) -> None:
    store = SnapshotStore(files, clock=lambda: 1_000.0, writer="w1")
    store.save({"positions": [["interactions", 0, 7]]}, "aa")
    damage(files, store.save({}, "aa"))
    damaged, sound = store.entries()
    assert sound.info is not None
    assert (sound.time, sound.info.fingerprint, sound.info.writer) == (1_000.0, "aa", "w1")
    assert sound.info.positions == (("interactions", 0, 7),)
    assert not sound.error
    assert damaged.error


def test_only_a_verification_finds_damage_at_the_end(files: SnapshotFiles, store: SnapshotStore) -> None:
    name = store.save({"text": "x" * 1_000_000})
    raw = bytearray(files.read(name))
    raw[-1] ^= 1
    files.write(name, bytes(raw))
    assert [entry.error for entry in store.entries()] == [""]
    assert [entry.error for entry in store.entries(verify=True)] == ["the checksum does not match"]


def test_snapshots_of_earlier_versions_are_read_and_rotated(files: SnapshotFiles) -> None:
    store = SnapshotStore(files)
    for number in (6, 7):
        name = store.save({"n": number}, "")
        files.write(f"models-{number:010d}.snapshot", files.read(name))
        files.delete(name)
    assert newest_state(store) == {"n": 7}
    for n in range(3):
        store.save({"n": n}, "aa")
    assert [name.split("-")[3] for name in names(files)] == ["aa"] * 3


def test_a_snapshot_that_vanishes_is_replaced_by_a_newer_one(files: SnapshotFiles) -> None:
    class Racing:
        location = "racing"

        def __getattr__(self, name: str) -> Any:
            return getattr(files, name)

        def read(self, name: str, length: int | None = None) -> bytes:
            if name == first:
                files.delete(name)
                SnapshotStore(files).save({"n": 2}, "aa")
            return files.read(name, length)

    first = SnapshotStore(files).save({"n": 1}, "aa")
    assert newest_state(SnapshotStore(Racing()), "aa") == {"n": 2}


@pytest.mark.parametrize("code", [errno.EIO, errno.EACCES, errno.EMFILE, errno.ESTALE])
def test_a_failed_read_is_no_absent_snapshot(
    files: SnapshotFiles, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    written = [SnapshotStore(files).save({"n": n}, "aa") for n in range(3)]

    def fail(_name: str, _length: int | None = None) -> bytes:
        raise OSError(code, "the disk is gone")

    with monkeypatch.context() as patched:
        patched.setattr(files, "read", fail)
        with pytest.raises(StoreUnavailableError, match=f"could not read {written[2]}: .*the disk is gone"):
            SnapshotStore(files).newest("aa")
    assert names(files) == written
    assert newest_state(SnapshotStore(files), "aa") == {"n": 2}


def test_a_folder_that_cannot_be_listed_is_not_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = SnapshotStore(FolderFiles(tmp_path))
    store.save({"n": 1}, "aa")

    def fail(_folder: Path) -> Iterator[Path]:
        raise OSError(errno.ESTALE, "the handle is stale")

    monkeypatch.setattr(Path, "iterdir", fail)
    with pytest.raises(StoreUnavailableError, match="the handle is stale"):
        store.newest("aa")


def test_an_unfinished_file_that_another_process_removes_first_is_no_error(
    files: SnapshotFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.write(".models-0000-0000000001-aa-w0.snapshot.writing", b"half")

    def vanish(name: str) -> None:
        raise FileNotFoundError(name)

    monkeypatch.setattr(files, "delete", vanish)
    saved = SnapshotStore(files, clock=lambda: time.time() + 7_200).save({}, "aa")
    assert names(files) == [saved]


def test_an_unreadable_folder_is_reported_and_the_next_snapshot_is_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = SnapshotStore(FolderFiles(tmp_path))
    store.save({"n": 1})
    (tmp_path / "models-0000-0000000002-aa-w1.snapshot").mkdir()
    with caplog.at_level(logging.WARNING):
        assert newest_state(store) == {"n": 1}
    assert "ignoring invalid snapshot" in caplog.text

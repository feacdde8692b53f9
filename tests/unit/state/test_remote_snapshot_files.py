"""Snapshots on paths of fsspec: atomic publication, time limits, clear errors."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from state.snapshots.files import FolderFiles, StoreUnavailableError
from state.snapshots.remote_files import FsspecFiles, StoreLocationError, open_files
from state.snapshots.store import SnapshotStore

pytest.importorskip("fsspec")


class FakeFileSystem:
    """The methods of fsspec that are used, on a dict; `pause` delays or fails an operation."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.pause: Callable[[str], None] = lambda _operation: None

    def invalidate_cache(self) -> None: ...

    def exists(self, path: str) -> bool:
        return path == "bucket"

    def makedirs(self, path: str, exist_ok: bool) -> None: ...

    def ls(self, folder: str, detail: bool) -> list[dict[str, Any]]:  # noqa: ARG002  # fsspec's signature
        self.pause("ls")
        return [
            {"name": name, "size": len(content), "type": "file", "mtime": 5.0}
            for name, content in self.objects.items()
        ]

    def info(self, path: str) -> dict[str, Any]:
        return {"size": len(self.objects[path])}

    def cat_file(self, path: str, start: int = 0, end: int | None = None) -> bytes:
        self.pause("cat_file")
        if path not in self.objects:
            raise FileNotFoundError(path)
        return self.objects[path][start:end]

    def pipe_file(self, path: str, content: bytes) -> None:
        # Half of it is visible before the rest.
        self.objects[path] = content[: len(content) // 2]
        self.pause("pipe_file")
        self.objects[path] = content

    def mv(self, path: str, new_path: str) -> None:
        self.objects[new_path] = self.objects.pop(path)

    def rm_file(self, path: str) -> None:
        if path not in self.objects:
            raise FileNotFoundError(path)
        del self.objects[path]


def files_on(file_system: FakeFileSystem, *, has_atomic_puts: bool = False) -> FsspecFiles:
    return FsspecFiles("sftp://host/models", file_system, "bucket/models", has_atomic_puts, 0.2, 0.2)


@pytest.fixture
def released() -> Iterator[threading.Event]:
    """Lets operations that hang end when the test does."""
    event = threading.Event()
    yield event
    event.set()


def test_without_atomic_puts_a_half_written_snapshot_is_never_seen() -> None:
    file_system = FakeFileSystem()
    store = SnapshotStore(files_on(file_system))
    seen = []

    def look(operation: str) -> None:
        if operation == "pipe_file":
            seen.append(store.entries(verify=True))

    store.save({"n": 1})
    file_system.pause = look
    store.save({"n": 2})
    assert [[entry.error for entry in entries] for entries in seen] == [[""]]
    snapshot = store.newest()
    assert snapshot is not None
    assert snapshot.state == {"n": 2}


def test_an_interrupted_write_leaves_the_earlier_snapshot() -> None:
    file_system = FakeFileSystem()
    store = SnapshotStore(files_on(file_system))
    store.save({"n": 1})

    def fail(operation: str) -> None:
        if operation == "pipe_file":
            raise ConnectionResetError("the connection was lost")

    file_system.pause = fail
    with pytest.raises(StoreUnavailableError, match=r"could not write models-.*the connection was lost"):
        store.save({"n": 2})
    snapshot = SnapshotStore(files_on(file_system)).newest()
    assert snapshot is not None
    assert snapshot.state == {"n": 1}


def test_a_store_that_hangs_is_given_up_after_its_time_limit(released: threading.Event) -> None:
    file_system = FakeFileSystem()
    store = SnapshotStore(files_on(file_system))
    file_system.pause = lambda _: assert_released(released)
    for _ in range(4):
        with pytest.raises(StoreUnavailableError, match=r"did not answer within 0.2 s \(list\)"):
            store.newest()
    # No more threads are started for it.
    n_threads = threading.active_count()
    with pytest.raises(StoreUnavailableError, match="earlier requests, which still wait"):
        store.newest()
    assert threading.active_count() <= n_threads


def assert_released(released: threading.Event) -> None:
    assert released.wait(60.0)


def test_a_store_that_answers_again_is_used_again(released: threading.Event) -> None:
    file_system = FakeFileSystem()
    store = SnapshotStore(files_on(file_system))
    file_system.pause = lambda _: assert_released(released)
    with pytest.raises(StoreUnavailableError):
        store.save({"n": 1})
    released.set()
    store.save({"n": 2})
    snapshot = store.newest()
    assert snapshot is not None
    assert snapshot.state == {"n": 2}


def test_a_damaged_store_does_not_look_empty() -> None:
    class NoBucket(FakeFileSystem):
        def ls(self, folder: str, detail: bool) -> list[dict[str, Any]]:  # noqa: ARG002  # fsspec's signature
            raise FileNotFoundError(folder)

        def exists(self, path: str) -> bool:  # noqa: ARG002  # fsspec's signature
            return False

    with pytest.raises(StoreUnavailableError, match="there is no bucket"):
        SnapshotStore(files_on(NoBucket())).newest()


def test_refused_access_is_named() -> None:
    file_system = FakeFileSystem()

    def refuse(_: str) -> None:
        raise PermissionError("Access Denied")

    file_system.pause = refuse
    with pytest.raises(StoreUnavailableError, match="sftp://host/models could not list: Access Denied"):
        SnapshotStore(files_on(file_system)).newest()


@pytest.mark.parametrize("location", ["models", "/var/lib/models", "file:///var/lib/models"])
def test_a_folder_needs_no_fsspec(location: str) -> None:
    files = open_files(location)
    assert isinstance(files, FolderFiles)
    assert files.location == str(Path(location.removeprefix("file://")))


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("s3://", "names no bucket"),
        ("nosuch://bucket/models", "nosuch"),
    ],
)
def test_an_invalid_location_is_named(location: str, message: str) -> None:
    if location.startswith("s3"):
        pytest.importorskip("s3fs")
    with pytest.raises(StoreLocationError, match=message):
        open_files(location)


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(StoreLocationError, match=r"pip install 'headrace\[s3\]'"):
        open_files("s3://bucket/models")

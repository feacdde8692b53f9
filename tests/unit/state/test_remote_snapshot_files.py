"""Snapshots on paths of fsspec: atomic publication, time limits, clear errors."""

import inspect
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from state.snapshots.files import FolderFiles, StoredFile, StoreUnavailableError
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
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(StoreLocationError, match=r"pip install 'headrace\[s3\]'"):
        open_files("s3://bucket/models")


def test_a_missing_package_of_another_protocol_is_named_besides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(
        StoreLocationError,
        match=r"pip install 'headrace\[fsspec\]', and the package of fsspec for gs$",
    ):
        open_files("gs://ann:secret@bucket/models")


@pytest.mark.parametrize(
    ("protocol", "options", "is_atomic"),
    [
        *(
            (
                protocol,
                {
                    "use_listings_cache": False,
                    "config_kwargs": {
                        "connect_timeout": 5,
                        "read_timeout": 20,
                        "retries": {"max_attempts": 3},
                    },
                },
                True,
            )
            for protocol in ("s3", "s3a")
        ),
        ("gs", {}, True),
        ("sftp", {}, False),
    ],
)
def test_a_file_system_is_opened_so_that_a_request_ends_before_its_time_limit(
    monkeypatch: pytest.MonkeyPatch, protocol: str, options: dict[str, Any], is_atomic: bool
) -> None:
    file_system = FakeFileSystem()
    opened: list[tuple[str, dict[str, Any]]] = []

    def url_to_fs(location: str, **given: Any) -> tuple[FakeFileSystem, str]:
        opened.append((location, given))
        return file_system, "bucket/models/"

    fsspec = SimpleNamespace(core=SimpleNamespace(url_to_fs=url_to_fs))
    monkeypatch.setitem(sys.modules, "fsspec", fsspec)
    files = open_files(f"{protocol}://ann:secret@bucket/models/")
    assert opened == [(f"{protocol}://ann:secret@bucket/models/", options)]
    assert files.location == f"{protocol}://bucket/models"
    seen: list[list[str]] = []
    file_system.pause = lambda _: seen.append(list(file_system.objects))
    files.write("a", b"content")
    assert seen == [["bucket/models/a" if is_atomic else "bucket/models/.a.writing"]]
    assert list(file_system.objects) == ["bucket/models/a"]


def test_lists_end_after_half_a_minute_and_contents_after_two_minutes() -> None:
    defaults = {
        name: each.default for name, each in inspect.signature(FsspecFiles).parameters.items() if each.default
    }
    assert (defaults["content_seconds"], defaults["list_seconds"]) == (120.0, 30.0)
    assert inspect.signature(open_files).parameters["content_seconds"].default == 120.0


def test_a_file_is_read_whole_or_from_its_beginning() -> None:
    file_system = FakeFileSystem()
    files = files_on(file_system)
    ranges: list[tuple[int, int | None]] = []
    cat_file = file_system.cat_file

    def record(path: str, start: int = 0, end: int | None = None) -> bytes:
        ranges.append((start, end))
        return cat_file(path, start, end)

    file_system.cat_file = record  # type: ignore[method-assign]
    files.write("a", b"content")
    files.write("empty", b"")
    assert (files.read("a"), files.read("a", 3), files.read("a", 100)) == (b"content", b"con", b"content")
    # S3 refuses a range beyond the end, and one of no bytes.
    assert ranges == [(0, None), (0, 3), (0, 7)]
    assert files.read("empty", 3) == b""
    assert len(ranges) == 3


def test_files_are_renamed_and_deleted_as_often_as_is_needed() -> None:
    file_system = FakeFileSystem()
    files = files_on(file_system)
    for _ in range(10):
        # More often than threads may wait.
        files.write("a", b"x")
        files.rename("a", "b")
        assert list(file_system.objects) == ["bucket/models/b"]
        files.delete("b")
        files.delete("b")
        assert not file_system.objects


def test_each_list_is_asked_for_anew_with_sizes_and_times() -> None:
    n_forgotten = 0

    class Listed(FakeFileSystem):
        def invalidate_cache(self) -> None:
            nonlocal n_forgotten
            n_forgotten += 1

        def ls(self, folder: str, detail: bool) -> list[dict[str, Any]]:
            assert (folder, detail) == ("bucket/models", True)
            at = datetime(2026, 1, 1, tzinfo=UTC)
            return [
                {"name": "bucket/models/a", "size": 7, "type": "file", "LastModified": at},
                {"name": "b", "size": None, "mtime": 5},
                {"name": "bucket/models/c/d", "type": "file", "modified": "yesterday", "created": 6.5},
                {"name": "bucket/models/e", "size": 3, "type": "file"},
                {"name": "bucket/models/folder", "size": 0, "type": "directory"},
            ]

    files = files_on(Listed())
    for n_lists in (1, 2):
        assert files.list() == [
            StoredFile("a", 7, 1_767_225_600.0),
            StoredFile("b", 0, 5.0),
            StoredFile("d", 0, 6.5),
            StoredFile("e", 3, 0.0),
        ]
        assert n_forgotten == n_lists


def test_a_folder_that_is_not_there_yet_is_empty() -> None:
    class NoFolder(FakeFileSystem):
        def ls(self, folder: str, detail: bool) -> list[dict[str, Any]]:  # noqa: ARG002  # fsspec's signature
            raise FileNotFoundError(folder)

    assert files_on(NoFolder()).list() == []
    # A path without a bucket.
    assert FsspecFiles("memory://", NoFolder(), "/", True, 9.0, 9.0).list() == []


def test_a_folder_is_made_where_one_is_needed() -> None:
    made: list[tuple[str, bool]] = []

    class Folders(FakeFileSystem):
        def makedirs(self, path: str, exist_ok: bool) -> None:
            made.append((path, exist_ok))

    files_on(Folders(), has_atomic_puts=True).write("a", b"x")
    assert made == []
    files_on(Folders()).write("a", b"x")
    assert made == [("bucket/models", True)]


def test_a_failure_without_a_text_is_named_by_its_kind() -> None:
    file_system = FakeFileSystem()

    def fail(_: str) -> None:
        raise TimeoutError

    file_system.pause = fail
    with pytest.raises(StoreUnavailableError, match="could not list: TimeoutError"):
        files_on(file_system).list()


def test_a_store_that_hangs_does_not_keep_the_process_from_its_end(released: threading.Event) -> None:
    file_system = FakeFileSystem()
    file_system.pause = lambda _: assert_released(released)
    with pytest.raises(StoreUnavailableError):
        files_on(file_system).list()
    waiting = [thread for thread in threading.enumerate() if thread.name == "model store: list"]
    assert waiting
    assert all(thread.daemon for thread in waiting)

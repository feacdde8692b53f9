"""Snapshots on any path of fsspec: S3, Google Cloud Storage, Azure, SFTP, memory.

fsspec and the package of the protocol are optional dependencies (``pip install 'headrace[s3]'``). Each operation has
a time limit: it runs in a thread of its own, which is abandoned if the limit is exceeded.
"""

import queue
import threading
from collections.abc import Callable, Mapping
from copy import deepcopy
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from state.snapshots.files import (
    WRITING_SUFFIX,
    FolderFiles,
    SnapshotFiles,
    StoredFile,
    StoreUnavailableError,
)

LIST_SECONDS: Final = 30.0
"""Time limit of an operation without content."""

CONTENT_SECONDS: Final = 120.0
"""Time limit of reading or writing one snapshot."""

_MAX_ABANDONED: Final = 4
"""Threads that may wait for a store which does not answer; beyond that, operations fail at once."""

_ATOMIC_PUTS: Final = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oci", "memory"})
"""Protocols whose objects appear complete or not at all."""

_LOCAL: Final = frozenset({"", "file", "local"})

_OPTIONS: Final[Mapping[str, Mapping[str, Any]]] = {
    protocol: {
        "use_listings_cache": False,
        "config_kwargs": {"connect_timeout": 5, "read_timeout": 20, "retries": {"max_attempts": 3}},
    }
    for protocol in ("s3", "s3a")
}
"""Options of the file systems by protocol; addresses and credentials come from their own environment variables."""

_T = TypeVar("_T")


class StoreLocationError(ValueError):
    """A location is no folder or URL that can be used here; the message has the reason and the next step."""


def open_files(location: str, *, content_seconds: float = CONTENT_SECONDS) -> SnapshotFiles:
    """Open a folder, or a URL of fsspec.

    Parameters
    ----------
    location
        A folder, or ``protocol://path``.
    content_seconds
        Time limit of reading or writing one snapshot.

    Raises
    ------
    StoreLocationError
        If fsspec or the package of the protocol is not installed, or the URL is invalid.

    Examples
    --------
    >>> open_files("build/models").location
    'build/models'
    """
    protocol = urlsplit(location).scheme if "://" in location else ""
    if protocol in _LOCAL:
        return FolderFiles(Path(location.removeprefix(f"{protocol}://")))
    named = without_credentials(location)
    try:
        import fsspec  # noqa: PLC0415  # optional

        # botocore changes the options that it is given
        file_system, folder = fsspec.core.url_to_fs(location, **deepcopy(_OPTIONS.get(protocol, {})))
    except ImportError as error:
        extra = "s3" if protocol in _OPTIONS else "fsspec"
        raise StoreLocationError(
            f"{named} needs a package that is not installed ({error}): pip install 'headrace[{extra}]'"
            + ("" if protocol in _OPTIONS else f", and the package of fsspec for {protocol}")
        ) from None
    except (ValueError, TypeError, OSError) as error:
        raise StoreLocationError(f"{named} cannot be opened: {error}") from None
    if not folder.strip("/"):
        raise StoreLocationError(f"{named} names no bucket or folder")
    return FsspecFiles(named, file_system, folder, protocol in _ATOMIC_PUTS, content_seconds)


def without_credentials(location: str) -> str:
    """A location without user and password, for display.

    Examples
    --------
    >>> without_credentials("sftp://ann:secret@host/models"), without_credentials("build/models")
    ('sftp://host/models', 'build/models')
    """
    if "://" not in location:
        return location
    parts = urlsplit(location)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


class FsspecFiles:
    """Files below a path of an fsspec file system.

    Parameters
    ----------
    location
        The URL, for messages.
    file_system
        A synchronous file system of fsspec.
    folder
        The path within it.
    has_atomic_puts
        Whether a written file appears at once; else it is written under another name and renamed.
    """

    def __init__(
        self,
        location: str,
        file_system: Any,
        folder: str,
        has_atomic_puts: bool,
        content_seconds: float = CONTENT_SECONDS,
        list_seconds: float = LIST_SECONDS,
    ) -> None:
        self.location = location.rstrip("/")
        self._file_system = file_system
        self._folder = folder.rstrip("/")
        self._has_atomic_puts = has_atomic_puts
        self._content_seconds = content_seconds
        self._list_seconds = list_seconds
        self._n_waiting = threading.Semaphore(_MAX_ABANDONED)

    def list(self) -> list[StoredFile]:
        """All files."""

        def list_files() -> list[dict[str, Any]]:
            self._file_system.invalidate_cache()
            try:
                found: list[dict[str, Any]] = self._file_system.ls(self._folder, detail=True)
            except FileNotFoundError:
                bucket = self._folder.split("/", 1)[0]
                if bucket and not self._file_system.exists(bucket):
                    raise PermissionError(f"there is no {bucket}, or it may not be read") from None
                return []
            return found

        return [
            StoredFile(each["name"].rsplit("/", 1)[-1], int(each.get("size") or 0), _modified(each))
            for each in self._run("list", list_files, self._list_seconds)
            if each.get("type") != "directory"
        ]

    def read(self, name: str, length: int | None = None) -> bytes:
        """The content of a file, or its first bytes."""
        path = self._path(name)

        def read_file() -> bytes:
            if length is None:
                return bytes(self._file_system.cat_file(path))
            size = self._file_system.info(path)["size"]
            if not size:
                # A range of no bytes is an error on S3.
                return b""
            return bytes(self._file_system.cat_file(path, start=0, end=min(length, size)))

        return self._run(f"read {name}", read_file, self._content_seconds)

    def write(self, name: str, content: bytes) -> None:
        """Put an object; where a put is not atomic, write another file and rename it."""
        path = self._path(name)
        written = path if self._has_atomic_puts else self._path(f".{name}{WRITING_SUFFIX}")

        def write_file() -> None:
            if not self._has_atomic_puts:
                self._file_system.makedirs(self._folder, exist_ok=True)
            self._file_system.pipe_file(written, content)
            if written != path:
                self._file_system.mv(written, path)

        self._run(f"write {name}", write_file, self._content_seconds)

    def rename(self, name: str, new_name: str) -> None:
        """Rename a file; on an object store this is a copy and a removal."""
        self._run(
            f"rename {name}",
            lambda: self._file_system.mv(self._path(name), self._path(new_name)),
            self._content_seconds,
        )

    def delete(self, name: str) -> None:
        """Delete a file, if it exists."""

        def delete_file() -> None:
            try:
                self._file_system.rm_file(self._path(name))
            except FileNotFoundError:
                return

        self._run(f"delete {name}", delete_file, self._list_seconds)

    def _path(self, name: str) -> str:
        return f"{self._folder}/{name}"

    def _run(self, action: str, operation: Callable[[], _T], seconds: float) -> _T:
        """Run an operation within a time limit.

        Raises
        ------
        FileNotFoundError
            If the file does not exist.
        StoreUnavailableError
            If the operation fails for another reason or exceeds the limit.
        """
        if not self._n_waiting.acquire(blocking=False):
            raise StoreUnavailableError(
                f"{self.location} did not answer {_MAX_ABANDONED} earlier requests, which still wait"
            )
        outcome: queue.SimpleQueue[tuple[_T | None, BaseException | None]] = queue.SimpleQueue()

        def run() -> None:
            try:
                outcome.put((operation(), None))
            except BaseException as error:  # noqa: BLE001  # handed to the caller
                outcome.put((None, error))
            finally:
                self._n_waiting.release()

        threading.Thread(target=run, name=f"model store: {action}", daemon=True).start()
        try:
            result, error = outcome.get(timeout=seconds)
        except queue.Empty:
            raise StoreUnavailableError(
                f"{self.location} did not answer within {seconds:g} s ({action})"
            ) from None
        if isinstance(error, FileNotFoundError):
            raise FileNotFoundError(f"{self.location}: {error}") from error
        if error is not None:
            reason = str(error) or type(error).__name__
            raise StoreUnavailableError(f"{self.location} could not {action}: {reason}") from error
        return result  # type: ignore[return-value]  # None only if the operation returns None


def _modified(details: Mapping[str, Any]) -> float:
    """When a file was written, by the details of its file system."""
    for key in ("LastModified", "last_modified", "mtime", "modified", "updated", "created"):
        value = details.get(key)
        if isinstance(value, datetime):
            return value.timestamp()
        if isinstance(value, int | float):
            return float(value)
    return 0.0

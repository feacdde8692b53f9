"""The port to where snapshots are stored, and its adapter to a folder."""

import os
from pathlib import Path
from typing import Final, NamedTuple, Protocol

WRITING_SUFFIX: Final = ".writing"
"""Suffix of a file that is being written, where it cannot appear at once."""


class StoreUnavailableError(OSError):
    """A store cannot be read, does not answer or refuses access; the message names it and the reason."""


class StoredFile(NamedTuple):
    """A file of a store."""

    name: str
    size: int  # bytes
    modified: float  # seconds since the epoch; 0 if unknown


class SnapshotFiles(Protocol):
    """Files in one place, without subfolders.

    All methods raise an OSError if the place cannot be read or written to: `FileNotFoundError` for a missing file,
    `StoreUnavailableError` if the place cannot be listed, or a remote one does not answer within its time limit.
    """

    location: str
    """The place, for messages."""

    def list(self) -> list[StoredFile]:
        """All files; empty if there is no such place yet."""

    def read(self, name: str, length: int | None = None) -> bytes:
        """The content of a file, or its first `length` bytes."""

    def write(self, name: str, content: bytes) -> None:
        """Publish a file: readers see all of it, or nothing."""

    def rename(self, name: str, new_name: str) -> None:
        """Rename a file."""

    def delete(self, name: str) -> None:
        """Delete a file, if it exists."""


class FolderFiles:
    """Files of a folder, which is created with the first file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.location = str(folder)

    def list(self) -> list[StoredFile]:
        """All files; those that vanish meanwhile are left out."""
        try:
            paths = list(self._folder.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise StoreUnavailableError(f"{self._folder} could not be listed: {error}") from error
        found = []
        for path in paths:
            try:
                stat = path.stat()
            except FileNotFoundError:
                continue
            found.append(StoredFile(path.name, stat.st_size, stat.st_mtime))
        return found

    def read(self, name: str, length: int | None = None) -> bytes:
        """The content of a file, or its first bytes."""
        with (self._folder / name).open("rb") as file:
            return file.read() if length is None else file.read(length)

    def write(self, name: str, content: bytes) -> None:
        """Write to a temporary file, sync it, and rename it: a crash leaves no part of it under its name."""
        self._folder.mkdir(parents=True, exist_ok=True)
        temporary = self._folder / f".{name}{WRITING_SUFFIX}"
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._folder / name)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise

    def rename(self, name: str, new_name: str) -> None:
        """Rename a file."""
        (self._folder / name).rename(self._folder / new_name)

    def delete(self, name: str) -> None:
        """Delete a file, if it exists."""
        (self._folder / name).unlink(missing_ok=True)

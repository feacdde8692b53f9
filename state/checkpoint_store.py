"""Checkpoints of the two-tower model: a trainer writes them, workers read what a trainer has announced."""

import hashlib
import re
from typing import Final

from state.snapshots.files import SnapshotFiles
from topics.records import ModelAnnouncement

_NAME: Final = re.compile(r"two-tower-(\d{12})-[0-9a-f]{12}\.safetensors")
_DIGEST_BYTES: Final = 16


class CheckpointFileError(OSError):
    """An announced file is missing, or it is not the announced one."""


class CheckpointStore:
    """The newest checkpoints in one place.

    Parameters
    ----------
    max_checkpoints
        Files to keep: a worker may still read one when the next is written.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from state.snapshots.files import FolderFiles
    >>> store = CheckpointStore(FolderFiles(pathlib.Path(tempfile.mkdtemp())))
    >>> announcement = store.write(3, b"weights", created_at=0.0, offsets=(17, 4))
    >>> announcement.version, announcement.size, store.read(announcement)
    (3, 7, b'weights')
    """

    def __init__(self, files: SnapshotFiles, max_checkpoints: int = 3) -> None:
        self._files = files
        self._max_checkpoints = max_checkpoints
        self.location: Final = files.location

    def write(
        self,
        version: int,
        content: bytes,
        *,
        created_at: float,
        lag_seconds: float = 0.0,
        offsets: tuple[int, ...] = (),
        trainer: str = "",
    ) -> ModelAnnouncement:
        """Write a checkpoint, remove those that are too many, and return what is to be announced.

        Raises
        ------
        OSError
            If the place cannot be written to.
        """
        digest = _digest(content)
        name = f"two-tower-{version:012d}-{digest[:12]}.safetensors"
        self._files.write(name, content)
        for old in self.names()[: -self._max_checkpoints]:
            self._files.delete(old)
        return ModelAnnouncement(
            version=version,
            file=name,
            size=len(content),
            digest=digest,
            created_at=created_at,
            lag_seconds=lag_seconds,
            offsets=offsets,
            trainer=trainer,
        )

    def read(self, announcement: ModelAnnouncement) -> bytes:
        """The content of an announced file.

        Raises
        ------
        CheckpointFileError
            If it is missing, or its bytes are not the announced ones.
        OSError
            If the place cannot be read.
        """
        name = announcement.file
        if not _NAME.fullmatch(name):
            # A program that may write this record must not make a worker read any other file.
            raise CheckpointFileError(f"{name!r} is no name of a checkpoint")
        try:
            content = self._files.read(name)
        except FileNotFoundError:
            raise CheckpointFileError(f"there is no file {name} in {self.location}") from None
        if len(content) != announcement.size or _digest(content) != announcement.digest:
            raise CheckpointFileError(f"the file {name} in {self.location} is not the announced one")
        return content

    def names(self) -> list[str]:
        """Names of the checkpoints, oldest first."""
        return sorted(file.name for file in self._files.list() if _NAME.fullmatch(file.name))


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES).hexdigest()

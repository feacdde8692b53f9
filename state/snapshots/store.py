"""The store of snapshots: publication, rotation, what is set aside and what is kept.

Several workers may share one store, with several model configurations. Each snapshot has the fingerprint of its
configuration in its name, and the id of the process that wrote it, so that two processes never write the same file.
All of them may write: replicas of one configuration are equal by design, and a new one starts from the newest.

Rotation: of the writer's own configuration the newest `max_snapshots` stay; of the other configurations those that
were written last, `MAX_OTHER_CONFIGURATIONS` of them. Damaged snapshots are set aside (``.damaged``, the newest two
stay); copies that `keep` made (``.kept``) stay until they are deleted by hand.
"""

import logging
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from state.snapshots.encoding import (
    HEAD_BYTES,
    NewerFormatError,
    SnapshotError,
    SnapshotInfo,
    decode_snapshot,
    encode_snapshot,
    read_info,
)
from state.snapshots.files import (
    WRITING_SUFFIX,
    FolderFiles,
    SnapshotFiles,
    StoredFile,
    StoreUnavailableError,
)
from state.snapshots.model_store import Snapshot, SnapshotEntry
from state.snapshots.names import DAMAGED_SUFFIX, KEPT_SUFFIX, SUFFIX, SnapshotName

_LOG: Final = logging.getLogger(__name__)
MAX_OTHER_CONFIGURATIONS: Final = 3
"""Configurations besides the writer's own whose snapshots stay."""

_MAX_SET_ASIDE: Final = 2
_MAX_WRITE_SECONDS: Final = 3_600.0
_ATTEMPTS: Final = 5


class SnapshotStore:
    """Stores snapshots as files.

    Parameters
    ----------
    files
        Where they are.
    max_snapshots
        Snapshots of one configuration that stay.
    on_set_aside
        Called when a damaged snapshot was set aside.
    writer
        Id of this process in the names of its snapshots, letters and digits; by default a random one.
    clock
        Seconds since the epoch.
    """

    def __init__(
        self,
        files: SnapshotFiles,
        max_snapshots: int = 3,
        on_set_aside: Callable[[], None] = lambda: None,
        *,
        writer: str = "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._files = files
        self._max_snapshots = max_snapshots
        self._on_set_aside = on_set_aside
        self._writer = writer or secrets.token_hex(4)
        self._clock = clock
        self._series: int | None = None

    @property
    def location(self) -> str:
        """The folder or URL."""
        return self._files.location

    def check(self) -> None:
        """Write, list, read and delete a file.

        Raises
        ------
        OSError
            If one of these is not possible.
        """
        name = f"check-{self._writer}"
        self._files.write(name, b"headrace")
        self._files.list()
        self._files.read(name)
        self._files.delete(name)

    def save(self, state: Mapping[str, Any], fingerprint: str = "", *, new_series: bool = False) -> str:
        """Publish a snapshot in one step: a crash leaves the old ones intact, and readers see all of it or nothing.

        Parameters
        ----------
        state
            See `stream_app.worker.replica.Replica.snapshot_state`.
        fingerprint
            Fingerprint of the model configuration.
        new_series
            Whether it precedes all that running processes write.

        Raises
        ------
        OSError
            If the store is full or cannot be written to; the old snapshots are intact.
        """
        created = self._clock()
        info = SnapshotInfo(
            created=created,
            fingerprint=fingerprint,
            writer=self._writer,
            positions=_positions_of(state),
        )
        return self._publish(encode_snapshot(state, info), fingerprint, new_series=new_series)

    def _publish(self, content: bytes, fingerprint: str, *, new_series: bool) -> str:
        existing = self._names()
        newest_series = max((name.series for name in existing), default=0)
        if self._series is None:
            self._series = newest_series
        name = SnapshotName(
            newest_series + 1 if new_series else self._series,
            max((name.number for name in existing), default=0) + 1,
            fingerprint,
            self._writer,
        )
        self._files.write(str(name), content)
        self._rotate(sorted([*existing, name]), fingerprint)
        return str(name)

    def _rotate(self, names: Sequence[SnapshotName], fingerprint: str) -> None:
        """Remove old snapshots; `names` are all, oldest first."""
        # those of earlier versions have no fingerprint: the writer has started from them, or has kept a copy
        own = [name for name in names if name.fingerprint in ("", fingerprint)]
        others = dict.fromkeys(name.fingerprint for name in reversed(names) if name not in own)
        oldest_others = list(others)[MAX_OTHER_CONFIGURATIONS:]
        old = [*own[: -self._max_snapshots], *(name for name in names if name.fingerprint in oldest_others)]
        for name in old:
            with suppress(FileNotFoundError):
                self._files.delete(str(name))
        # of processes that were killed while they wrote
        oldest_write = self._clock() - _MAX_WRITE_SECONDS
        for file in self._files.list():
            if file.name.endswith(WRITING_SUFFIX) and file.modified < oldest_write:
                with suppress(FileNotFoundError):
                    self._files.delete(file.name)

    def newest(self, fingerprint: str | None = None) -> Snapshot | None:
        """The newest valid snapshot; the process that calls it continues its series.

        Damaged ones are set aside with a warning, and the newest two of them stay. One of a later format is ignored
        with a warning, and a copy of it is kept.

        Parameters
        ----------
        fingerprint
            Fingerprint of a model configuration; None for all.

        Raises
        ------
        StoreUnavailableError
            If the store cannot be read: the caller must not start without what was learned.
        """
        for attempt in range(_ATTEMPTS):
            vanished = False
            for name in reversed(self._names(fingerprint)):
                try:
                    snapshot = self._read(str(name))
                except FileNotFoundError:
                    # Another process has removed it, and written a newer one.
                    vanished = True
                    if attempt < _ATTEMPTS - 1:
                        break
                    continue
                if snapshot is not None:
                    self._series = name.series
                    return snapshot
            if not vanished:
                break
        # What others restore from now on is newer than what this process writes.
        self._series = max((name.series for name in self._names()), default=0)
        return None

    def load(self, name: str) -> Snapshot:
        """Read a snapshot.

        Raises
        ------
        SnapshotError
            If it is damaged or of a later format.
        FileNotFoundError
            If there is no such snapshot.
        """
        raw = self._files.read(name)
        return Snapshot(name, decode_snapshot(raw), read_info(raw))

    def _read(self, name: str) -> Snapshot | None:
        """A snapshot; None with a warning if it is not valid."""
        try:
            return self.load(name)
        except (FileNotFoundError, StoreUnavailableError):
            raise
        except NewerFormatError as error:
            _LOG.warning("ignoring snapshot %s: %s", name, error)
            self.keep(name)
        except SnapshotError as error:
            _LOG.warning("ignoring invalid snapshot %s: %s", f"{self.location}/{name}", error)
            self._set_aside(name)
        except IsADirectoryError as error:
            _LOG.warning("ignoring invalid snapshot %s: %s", f"{self.location}/{name}", error)
        except OSError as error:
            # The next read may succeed: to go on without the snapshot would lose what it has.
            raise StoreUnavailableError(f"{self.location} could not read {name}: {error}") from error
        return None

    def keep(self, name: str) -> str | None:
        """Copy a snapshot to a name that rotation never deletes.

        A copy of an older snapshot of the same configuration is replaced.

        Returns
        -------
        str or None
            Name of the copy; None if there is one of this snapshot or of a newer one, or if it cannot be written.
        """
        parts = SnapshotName.parse(name)
        copies = {
            file.name: other
            for file in self._files.list()
            if file.name.endswith(KEPT_SUFFIX)
            and (other := SnapshotName.parse(file.name)) is not None
            and parts is not None
            and other.fingerprint == parts.fingerprint
        }
        if parts is None or any(other >= parts for other in copies.values()):
            return None
        copy = name.removesuffix(SUFFIX) + KEPT_SUFFIX
        try:
            self._files.write(copy, self._files.read(name))
        except FileNotFoundError as error:
            # Rotated away meanwhile by another process: a newer one has all that it had.
            newest = max(self._names(parts.fingerprint), default=parts)
            if newest > parts:
                return self.keep(str(newest))
            _LOG.warning("could not keep a copy of snapshot %s: %s", name, error)
            return None
        except OSError as error:
            _LOG.warning("could not keep a copy of snapshot %s: %s", name, error)
            return None
        for older in copies:
            self._files.delete(older)
        _LOG.warning(
            "kept a copy of snapshot %s as %s; delete it when its learning is not needed", name, copy
        )
        return copy

    def restore(self, name: str) -> str:
        """Publish a copy of a snapshot as the newest, and return its name.

        Raises
        ------
        FileNotFoundError
            If there is no such snapshot.
        SnapshotError
            If it is damaged or of a later format.
        """
        parts = SnapshotName.parse(name)
        if parts is None:
            raise FileNotFoundError(name)
        raw = self._files.read(name)
        decode_snapshot(raw)
        return self._publish(raw, read_info(raw).fingerprint or parts.fingerprint, new_series=True)

    def entries(self, *, verify: bool = False) -> list[SnapshotEntry]:
        """All snapshots, those set aside and those kept included, newest first.

        Parameters
        ----------
        verify
            Whether to read all of each, and not its first bytes alone.
        """
        files = [(name, file) for file in self._files.list() if (name := SnapshotName.parse(file.name))]
        return [
            entry
            for _, file in sorted(files, reverse=True)
            if (entry := self._entry(file, verify=verify)) is not None
        ]

    def _entry(self, file: StoredFile, *, verify: bool) -> SnapshotEntry | None:
        info, reason = None, ""
        try:
            raw = self._files.read(file.name, None if verify else HEAD_BYTES)
            info = read_info(raw)
            if verify:
                decode_snapshot(raw)
        except FileNotFoundError:
            return None
        except StoreUnavailableError:
            raise
        except (SnapshotError, OSError) as error:
            reason = str(error)
        return SnapshotEntry(file.name, file.size, file.modified, info, reason)

    def remove_older_than(self, ts: float) -> list[str]:
        """Remove snapshots, kept copies and damaged ones whose models were copied before a time.

        The newest snapshot stays, whatever its age: a worker that starts needs it. A running worker writes a newer
        one every `HEADRACE_SNAPSHOT_INTERVAL` seconds.

        Parameters
        ----------
        ts
            Seconds since the epoch.

        Returns
        -------
        list of str
            Names of the removed files.
        """
        newest = str(max(self._names(), default=None))
        old = [entry.name for entry in self.entries() if entry.time < ts and entry.name != newest]
        for name in old:
            self._files.delete(name)
        return old

    def _set_aside(self, name: str) -> None:
        with suppress(OSError):
            self._files.rename(name, name.removesuffix(SUFFIX) + DAMAGED_SUFFIX)
            damaged = sorted(
                (parts, file.name)
                for file in self._files.list()
                if file.name.endswith(DAMAGED_SUFFIX) and (parts := SnapshotName.parse(file.name))
            )
            for _, old in damaged[:-_MAX_SET_ASIDE]:
                self._files.delete(old)
        self._on_set_aside()

    def _names(self, fingerprint: str | None = None) -> list[SnapshotName]:
        """Names of the snapshots, oldest first."""
        names = (SnapshotName.parse(file.name) for file in self._files.list() if file.name.endswith(SUFFIX))
        return sorted(name for name in names if name is not None and fingerprint in (None, name.fingerprint))


def folder_store(
    folder: Path, max_snapshots: int = 3, on_set_aside: Callable[[], None] = lambda: None
) -> SnapshotStore:
    """A store in a folder, which is created with the first snapshot."""
    return SnapshotStore(FolderFiles(folder), max_snapshots, on_set_aside)


def _positions_of(state: Mapping[str, Any]) -> tuple[tuple[str, int, int], ...]:
    try:
        return tuple((str(topic), int(at), int(offset)) for topic, at, offset in state["positions"])
    except (KeyError, TypeError, ValueError):
        return ()

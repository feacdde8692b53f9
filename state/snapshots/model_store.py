"""What a store of snapshots offers, whatever it is made of: its interface, a snapshot, and an entry of its list."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from state.snapshots.encoding import SnapshotInfo


class Snapshot(NamedTuple):
    """A decoded snapshot."""

    name: str
    state: dict[str, Any]
    info: SnapshotInfo = SnapshotInfo()


class SnapshotEntry(NamedTuple):
    """A snapshot in a list."""

    name: str
    size: int  # bytes
    modified: float  # when it was written, seconds since the epoch; 0 if unknown
    info: SnapshotInfo | None  # None if it cannot be read
    error: str = ""  # why it cannot be read

    @property
    def time(self) -> float:
        """When the models were copied, else when the file was written; seconds since the epoch."""
        return (self.info.created if self.info is not None else 0.0) or self.modified


class ModelStore(Protocol):
    """Stores snapshots."""

    def save(self, state: Mapping[str, Any], fingerprint: str = "", *, new_series: bool = ...) -> str:
        """Write a snapshot, remove old ones beyond the limits, and return the name."""

    def newest(self, fingerprint: str | None = None) -> Snapshot | None:
        """The newest valid snapshot, of one configuration or of all."""

    def keep(self, name: str) -> str | None:
        """Copy a snapshot to a name that rotation never deletes; None if there is such a copy."""

    def remove_older_than(self, ts: float) -> list[str]:
        """Remove what was learned before a time, except for the newest snapshot, and return the names."""

"""Snapshots of the models: plain data with a format version and a checksum, never pickle.

Write access to the store must not allow code execution, so a snapshot is msgpack with numpy arrays in npy format
(``allow_pickle=False`` in both directions). A file that is truncated, has another format or a wrong checksum is
set aside, and the one before it is used.
"""

import io
import logging
import os
import re
import struct
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import msgspec
import numpy as np

_LOG: Final = logging.getLogger(__name__)
MAGIC: Final = b"HEADRACE"
FORMAT: Final = 1
_HEADER: Final = struct.Struct(">8sHIQ")
_ARRAY: Final = 1
_NAME: Final = re.compile(r"models-\d{10}\.snapshot")
_DAMAGED_SUFFIX: Final = ".damaged"
_MAX_SET_ASIDE: Final = 2


class SnapshotError(ValueError):
    """A snapshot cannot be decoded; the message has the reason."""


def encode_snapshot(state: Mapping[str, Any]) -> bytes:
    """Bytes of a snapshot.

    Parameters
    ----------
    state
        Plain data: str, int, float, bool, None, bytes, lists, dicts, numpy arrays of numbers.

    Raises
    ------
    TypeError
        If the state holds any other type.

    Examples
    --------
    >>> decode_snapshot(encode_snapshot({"counts": np.array([1.0, 2.0])}))["counts"]
    array([1., 2.])
    """
    body = msgspec.msgpack.encode(state, enc_hook=_encode_array)
    return _HEADER.pack(MAGIC, FORMAT, zlib.crc32(body), len(body)) + body


def decode_snapshot(raw: bytes) -> dict[str, Any]:
    """The state in a snapshot.

    Raises
    ------
    SnapshotError
        If it is truncated, has another format or a wrong checksum.
    """
    if len(raw) < _HEADER.size:
        raise SnapshotError("shorter than its header")
    magic, version, checksum, length = _HEADER.unpack_from(raw)
    body = memoryview(raw)[_HEADER.size :]
    if magic != MAGIC:
        raise SnapshotError("not a Headrace snapshot")
    if version != FORMAT:
        raise SnapshotError(f"format {version} instead of {FORMAT}")
    if len(body) != length:
        raise SnapshotError(f"{len(body)} bytes instead of {length}")
    if zlib.crc32(body) != checksum:
        raise SnapshotError("the checksum does not match")
    try:
        state: dict[str, Any] = msgspec.msgpack.decode(body, type=dict, ext_hook=_decode_array)
    except (msgspec.DecodeError, ValueError) as error:
        raise SnapshotError(str(error)) from None
    return state


def _encode_array(value: object) -> msgspec.msgpack.Ext:
    if isinstance(value, np.generic):
        value = np.asarray(value)
    if not isinstance(value, np.ndarray) or value.dtype.hasobject:
        raise TypeError(f"{type(value).__name__} cannot be stored in a snapshot")
    buffer = io.BytesIO()
    np.save(buffer, value, allow_pickle=False)
    return msgspec.msgpack.Ext(_ARRAY, buffer.getvalue())


def _decode_array(code: int, data: memoryview) -> Any:
    if code != _ARRAY:
        raise SnapshotError(f"unknown extension {code}")
    return np.load(io.BytesIO(data), allow_pickle=False)


class Snapshot(NamedTuple):
    """A decoded snapshot."""

    name: str
    state: dict[str, Any]


class ModelStore(Protocol):
    """Stores snapshots."""

    def save(self, state: Mapping[str, Any]) -> str:
        """Write a snapshot, remove old ones beyond the limit, and return the name."""

    def newest(self) -> Snapshot | None:
        """The newest valid snapshot."""


class DirectoryModelStore:
    """Stores snapshots as files of a folder.

    Parameters
    ----------
    folder
        Created with the first snapshot.
    on_set_aside
        Called when a damaged snapshot was set aside.
    """

    def __init__(
        self, folder: Path, max_snapshots: int = 3, on_set_aside: Callable[[], None] = lambda: None
    ) -> None:
        self._folder = folder
        self._max_snapshots = max_snapshots
        self._on_set_aside = on_set_aside

    def save(self, state: Mapping[str, Any]) -> str:
        """Write a snapshot to a temporary file, sync it, and rename it: a crash leaves the old ones intact.

        Raises
        ------
        OSError
            If the disk is full or cannot be written to; the old snapshots are intact.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        existing = self._names()
        number = _number_of(existing[-1]) + 1 if existing else 1
        name = f"models-{number:010d}.snapshot"
        temporary = self._folder / f".{name}.writing"
        try:
            with temporary.open("wb") as file:
                file.write(encode_snapshot(state))
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._folder / name)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        for old in existing[: max(0, len(existing) + 1 - self._max_snapshots)]:
            (self._folder / old).unlink(missing_ok=True)
        return name

    def newest(self) -> Snapshot | None:
        """The newest valid snapshot; invalid ones are set aside with a warning, and the newest two of them kept."""
        for name in reversed(self._names()):
            path = self._folder / name
            try:
                return Snapshot(name, decode_snapshot(path.read_bytes()))
            except (SnapshotError, OSError) as error:
                _LOG.warning("ignoring invalid snapshot %s: %s", path, error)
                if isinstance(error, SnapshotError):
                    self._set_aside(path)
        return None

    def _set_aside(self, path: Path) -> None:
        with suppress(OSError):
            path.rename(path.with_suffix(_DAMAGED_SUFFIX))
            for old in sorted(self._folder.glob(f"models-*{_DAMAGED_SUFFIX}"))[:-_MAX_SET_ASIDE]:
                old.unlink(missing_ok=True)
        self._on_set_aside()

    def _names(self) -> list[str]:
        if not self._folder.is_dir():
            return []
        return sorted(path.name for path in self._folder.iterdir() if _NAME.fullmatch(path.name))


def _number_of(name: str) -> int:
    return int(name.removeprefix("models-").removesuffix(".snapshot"))

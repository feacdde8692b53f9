"""The format of a snapshot: plain data with a version and checksums, never pickle.

Write access to a store must not allow code execution, so a snapshot is msgpack with numpy arrays in npy format
(``allow_pickle=False`` in both directions). It begins with a header and a short description (`SnapshotInfo`), so that
a list of snapshots needs no more than the first bytes of each.

A snapshot of an earlier format is migrated when it is decoded, one step per format (`_MIGRATIONS`).
"""

import io
import struct
import zlib
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
import numpy as np

MAGIC: Final = b"HEADRACE"
FORMAT: Final = 2
HEAD_BYTES: Final = 262_144
"""Bytes at the beginning that hold header and description, for up to some thousand partitions."""

_MAX_FORMAT: Final = 999
"""A larger number is no later version but damage."""

_START: Final = struct.Struct(">8sH")
_HEADER_1: Final = struct.Struct(">IQ")
_HEADER: Final = struct.Struct(">IQIQ")
_ARRAY: Final = 1


class SnapshotError(ValueError):
    """A snapshot cannot be decoded; the message has the reason."""


class NewerFormatError(SnapshotError):
    """A later version of Headrace wrote the snapshot: it is not damaged."""


class SnapshotInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What a snapshot is, without its content.

    Attributes
    ----------
    created
        When the models were copied, seconds since the epoch; 0 if unknown.
    fingerprint
        Fingerprint of the model configuration; empty if unknown.
    writer
        Id of the process that wrote it.
    positions
        Topic, partition and next offset to read, for each partition.
    format
        Format of the file.
    """

    created: float = 0.0
    fingerprint: str = ""
    writer: str = ""
    positions: tuple[tuple[str, int, int], ...] = ()
    format: int = FORMAT


_info_decoder: Final = msgspec.msgpack.Decoder(SnapshotInfo)


def encode_snapshot(state: Mapping[str, Any], info: SnapshotInfo | None = None) -> bytes:
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
    head = msgspec.msgpack.encode(info or SnapshotInfo())
    header = _HEADER.pack(zlib.crc32(head), len(head), zlib.crc32(body), len(body))
    return b"".join((_START.pack(MAGIC, FORMAT), header, head, body))


def read_info(raw: bytes | memoryview) -> SnapshotInfo:
    """The description at the beginning of a snapshot, of which `raw` may be the first `HEAD_BYTES`.

    Raises
    ------
    SnapshotError
        If it is damaged or of a later format.
    """
    version = _read_version(raw)
    if version == 1:
        return SnapshotInfo(format=1)
    checksum, length, _, _ = _unpack(_HEADER, raw)
    start = _START.size + _HEADER.size
    head = memoryview(raw)[start : start + length]
    if len(head) != length or zlib.crc32(head) != checksum:
        raise SnapshotError("the checksum of the description does not match")
    try:
        return _info_decoder.decode(head)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SnapshotError(str(error)) from None


def decode_snapshot(raw: bytes) -> dict[str, Any]:
    """The state in a snapshot, migrated to the current format.

    Raises
    ------
    SnapshotError
        If it is truncated, has a later format or a wrong checksum.
    """
    version = _read_version(raw)
    if version == 1:
        checksum, length = _unpack(_HEADER_1, raw)
        start = _START.size + _HEADER_1.size
    else:
        read_info(raw)
        _, length_of_head, checksum, length = _unpack(_HEADER, raw)
        start = _START.size + _HEADER.size + length_of_head
    body = memoryview(raw)[start:]
    if len(body) != length:
        raise SnapshotError(f"{len(body)} bytes instead of {length}")
    if zlib.crc32(body) != checksum:
        raise SnapshotError("the checksum does not match")
    try:
        state: dict[str, Any] = msgspec.msgpack.decode(body, type=dict, ext_hook=_decode_array)
        for step in range(version, FORMAT):
            state = _MIGRATIONS[step](state)
    except Exception as error:  # noqa: BLE001  # the checksum is right, but the content may be of any program
        raise SnapshotError(str(error) or type(error).__name__) from None
    return state


def _read_version(raw: bytes | memoryview) -> int:
    if len(raw) < _START.size:
        raise SnapshotError("shorter than its header")
    magic, version = _START.unpack_from(raw)
    if magic != MAGIC:
        raise SnapshotError("not a Headrace snapshot")
    if not 1 <= version <= _MAX_FORMAT:
        raise SnapshotError(f"there is no format {version}")
    if version > FORMAT:
        raise NewerFormatError(
            f"format {version} is of a later version of Headrace; this one reads up to {FORMAT}"
        )
    return int(version)


def _unpack(header: struct.Struct, raw: bytes | memoryview) -> tuple[Any, ...]:
    if len(raw) < _START.size + header.size:
        raise SnapshotError("shorter than its header")
    return header.unpack_from(raw, _START.size)


def _add_topic_ids(state: dict[str, Any]) -> dict[str, Any]:
    """Format 1 may lack the ids of the topics; they are unknown then."""
    return {"topic_ids": {}, **state}


_MIGRATIONS: Final[Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]]] = {1: _add_topic_ids}
"""Step from each format to the next."""


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

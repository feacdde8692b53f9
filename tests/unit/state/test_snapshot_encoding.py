"""The format of a snapshot."""

import contextlib
import struct
import zlib
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, strategies

from state.snapshots.encoding import (
    HEAD_BYTES,
    NewerFormatError,
    SnapshotError,
    SnapshotInfo,
    decode_snapshot,
    encode_snapshot,
    read_info,
)

STATE = {"name": "x", "n": 3, "deep": {"items": ["a", None, 1.5]}, "array": np.arange(6.0).reshape(2, 3)}
INFO = SnapshotInfo(created=12.5, fingerprint="8a41f3", writer="w1", positions=(("interactions", 0, 7),))


def in_format_1(body: bytes) -> bytes:
    """A snapshot as earlier versions wrote it."""
    return struct.pack(">8sHIQ", b"HEADRACE", 1, zlib.crc32(body), len(body)) + body


def test_plain_data_and_arrays_round_trip() -> None:
    back = decode_snapshot(encode_snapshot(STATE))
    assert {k: v for k, v in back.items() if k != "array"} == {k: v for k, v in STATE.items() if k != "array"}
    np.testing.assert_array_equal(back["array"], STATE["array"])


def test_the_first_bytes_tell_what_a_snapshot_is() -> None:
    raw = encode_snapshot({"array": np.zeros(HEAD_BYTES)}, INFO)
    assert read_info(raw[:HEAD_BYTES]) == INFO


def test_objects_are_refused_when_writing() -> None:
    with pytest.raises(TypeError):
        encode_snapshot({"bad": np.array([object()])})
    with pytest.raises(TypeError):
        encode_snapshot({"bad": Path})


def test_any_single_damaged_byte_and_any_truncation_is_detected() -> None:
    raw = encode_snapshot({"counts": np.arange(3.0)}, INFO)
    assert decode_snapshot(raw)
    for at in range(len(raw)):
        damaged = bytearray(raw)
        damaged[at] ^= 0x41
        with pytest.raises(SnapshotError):
            decode_snapshot(bytes(damaged))
        with pytest.raises(SnapshotError):
            decode_snapshot(raw[:at])


def test_a_later_format_is_not_called_damaged() -> None:
    raw = bytearray(encode_snapshot(STATE))
    raw[9] = 77
    with pytest.raises(NewerFormatError, match="format 77 is of a later version"):
        decode_snapshot(bytes(raw))
    with pytest.raises(NewerFormatError):
        read_info(bytes(raw))


def test_a_snapshot_of_format_1_is_migrated() -> None:
    raw = in_format_1(msgspec.msgpack.encode({"models": {}, "positions": []}))
    assert decode_snapshot(raw) == {"models": {}, "positions": [], "topic_ids": {}}
    assert read_info(raw) == SnapshotInfo(format=1)
    for end in range(len(raw)):
        with pytest.raises(SnapshotError):
            decode_snapshot(raw[:end])


def test_a_pickled_array_is_never_loaded(tmp_path: Path) -> None:
    evil = tmp_path / "evil.npy"
    np.save(evil, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    body = msgspec.msgpack.encode({"x": msgspec.msgpack.Ext(1, evil.read_bytes())})
    with pytest.raises(SnapshotError, match="pickle"):
        decode_snapshot(in_format_1(body))


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f8', 'fortran_order': False, 'shape': (999999999999999,), }",
        "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
        "{'descr': 'nonsense', 'fortran_order': False, 'shape': (1,), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }",
        "__import__('os')",
        "{'descr': (((((",
        "",
    ],
)
def test_a_hostile_array_with_a_right_checksum_is_refused(header: str) -> None:
    text = header.ljust(117) + "\n"
    array = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()
    body = msgspec.msgpack.encode({"x": msgspec.msgpack.Ext(1, array)})
    with pytest.raises(SnapshotError):
        decode_snapshot(in_format_1(body))


@given(
    strategies.recursive(
        strategies.none() | strategies.binary() | strategies.integers(-(2**62), 2**62) | strategies.text(),
        lambda inner: strategies.lists(inner) | strategies.dictionaries(strategies.text(), inner),
    )
    | strategies.tuples(strategies.integers(-128, 127), strategies.binary())
)
def test_any_content_with_a_right_checksum_is_decoded_or_refused(content: Any) -> None:
    if isinstance(content, tuple):
        content = {"x": msgspec.msgpack.Ext(*content)}
    raw = in_format_1(msgspec.msgpack.encode(content))
    with contextlib.suppress(SnapshotError):
        assert isinstance(decode_snapshot(raw), dict)


def with_version(version: int, *, length: int = 10) -> bytes:
    return (b"HEADRACE" + version.to_bytes(2) + bytes(100))[:length]


@pytest.mark.parametrize("version", [3, 998, 999])
@pytest.mark.parametrize("length", [10, 100])
def test_up_to_format_999_a_snapshot_is_of_a_later_version(version: int, length: int) -> None:
    for read in (decode_snapshot, read_info):
        with pytest.raises(NewerFormatError, match=f"format {version} is of a later"):
            read(with_version(version, length=length))


@pytest.mark.parametrize("version", [0, 1_000, 65_535])
def test_other_formats_are_damage(version: int) -> None:
    with pytest.raises(SnapshotError, match=f"there is no format {version}"):
        decode_snapshot(with_version(version, length=100))


@pytest.mark.parametrize("length", [0, 9, 10, 21])
def test_a_snapshot_without_all_of_its_header_is_short(length: int) -> None:
    with pytest.raises(SnapshotError, match="shorter than its header"):
        decode_snapshot(with_version(1, length=length))


def test_a_snapshot_of_a_header_alone_has_no_content() -> None:
    with pytest.raises(SnapshotError, match="truncated"):
        decode_snapshot(in_format_1(b""))


def test_a_snapshot_has_the_bytes_that_other_versions_read(tmp_path: Path) -> None:
    raw = encode_snapshot({"n": 1})
    assert raw[:10] == b"HEADRACE" + (2).to_bytes(2)
    info = read_info(raw)
    assert (info.created, info.fingerprint, info.writer, info.positions, info.format) == (0.0, "", "", (), 2)
    np.save(tmp_path / "a.npy", np.arange(3))
    body = msgspec.msgpack.encode({"x": msgspec.msgpack.Ext(1, (tmp_path / "a.npy").read_bytes())})
    assert decode_snapshot(in_format_1(body))["x"].tolist() == [0, 1, 2]
    with pytest.raises(SnapshotError, match="unknown extension 2"):
        decode_snapshot(in_format_1(msgspec.msgpack.encode({"x": msgspec.msgpack.Ext(2, b"")})))

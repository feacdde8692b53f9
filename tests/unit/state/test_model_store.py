"""Snapshots."""

from pathlib import Path

import numpy as np
import pytest

from state.model_store import DirectoryModelStore, SnapshotError, decode_snapshot, encode_snapshot

STATE = {"name": "x", "n": 3, "deep": {"items": ["a", None, 1.5]}, "array": np.arange(6.0).reshape(2, 3)}


def test_plain_data_and_arrays_round_trip() -> None:
    back = decode_snapshot(encode_snapshot(STATE))
    assert {k: v for k, v in back.items() if k != "array"} == {k: v for k, v in STATE.items() if k != "array"}
    np.testing.assert_array_equal(back["array"], STATE["array"])


def test_objects_are_refused_when_writing() -> None:
    with pytest.raises(TypeError):
        encode_snapshot({"bad": np.array([object()])})
    with pytest.raises(TypeError):
        encode_snapshot({"bad": Path})


@pytest.mark.parametrize("damage", ["torn", "flipped", "foreign", "newer", "empty"])
def test_a_damaged_snapshot_is_detected(damage: str) -> None:
    raw = bytearray(encode_snapshot(STATE))
    if damage == "torn":
        raw = raw[:-1]
    elif damage == "flipped":
        raw[-1] ^= 1
    elif damage == "foreign":
        raw[:8] = b"NOTHEADR"
    elif damage == "newer":
        raw[9] += 1
    else:
        raw = bytearray()
    with pytest.raises(SnapshotError):
        decode_snapshot(bytes(raw))


def test_a_pickled_array_is_never_loaded(tmp_path: Path) -> None:
    evil = tmp_path / "evil.npy"
    np.save(evil, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    import msgspec

    from state.model_store import _HEADER, FORMAT, MAGIC

    body = msgspec.msgpack.encode({"x": msgspec.msgpack.Ext(1, evil.read_bytes())})
    import zlib

    raw = _HEADER.pack(MAGIC, FORMAT, zlib.crc32(body), len(body)) + body
    with pytest.raises(SnapshotError, match="pickle"):
        decode_snapshot(raw)


def test_the_newest_readable_snapshot_is_loaded_and_old_ones_are_removed(tmp_path: Path) -> None:
    store = DirectoryModelStore(tmp_path / "models", max_snapshots=3)
    assert store.newest() is None
    names = [store.save({"n": n}) for n in range(5)]
    assert sorted(p.name for p in (tmp_path / "models").iterdir()) == names[2:]
    newest = store.newest()
    assert newest is not None
    assert newest.state == {"n": 4}


def test_a_damaged_newest_snapshot_is_skipped(tmp_path: Path) -> None:
    store = DirectoryModelStore(tmp_path, max_snapshots=3)
    store.save({"n": 1})
    (tmp_path / store.save({"n": 2})).write_bytes(b"HEADRACE torn")
    newest = store.newest()
    assert newest is not None
    assert newest.state == {"n": 1}

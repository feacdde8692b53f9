"""Checkpoints are read as they were written, and damaged ones are refused."""

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save

from stream_app.models.checkpoint import CheckpointError, Manifest, decode_checkpoint, encode_checkpoint
from stream_app.models.two_tower_network import NetworkShape, TrainedWeights, first_parameters

SHAPE = NetworkShape(n_factors=8, hidden=4, context_length=5, n_gaps=4)
MANIFEST = Manifest(version=7, created_at=1.5e9, offsets={0: 12, 3: 4}, interactions=99, steps=3, loss=4.5)


def make_weights(n: int = 6) -> TrainedWeights:
    vectors = np.random.default_rng(2).normal(0.0, 1.0, (n, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return TrainedWeights(SHAPE, first_parameters(SHAPE, 1), [f"größe/{at}" for at in range(n)], vectors)


DATA = encode_checkpoint(make_weights(), MANIFEST)


def test_a_checkpoint_is_read_as_it_was_written() -> None:
    weights, (decoded, manifest) = make_weights(), decode_checkpoint(DATA)
    assert manifest == MANIFEST
    assert (decoded.shape, decoded.item_ids) == (weights.shape, weights.item_ids)
    assert all(
        decoded.parameters[name].tolist() == each.tolist() for name, each in weights.parameters.items()
    )
    assert np.abs(decoded.vectors - weights.vectors).max() < 1e-3
    assert np.linalg.norm(decoded.vectors, axis=1) == pytest.approx(1.0, abs=1e-6)


def test_a_model_without_items_can_be_written() -> None:
    assert decode_checkpoint(encode_checkpoint(make_weights(0), MANIFEST))[0].item_ids == []


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(DATA) - 1), st.integers(1, 255))
def test_a_changed_byte_is_refused_or_harmless(at: int, change: int) -> None:
    damaged = bytearray(DATA)
    damaged[at] ^= change
    try:
        weights, manifest = decode_checkpoint(bytes(damaged))
    except CheckpointError:
        return
    # a byte of the manifest or of the padding: the weights are those that were written
    expected = decode_checkpoint(DATA)[0]
    assert weights.item_ids == expected.item_ids
    assert weights.vectors.tobytes() == expected.vectors.tobytes()
    assert isinstance(manifest, Manifest)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(DATA) - 1))
def test_a_checkpoint_that_was_cut_is_refused(length: int) -> None:
    with pytest.raises(CheckpointError):
        decode_checkpoint(DATA[:length])


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(CheckpointError):
        decode_checkpoint(data)


def rewritten(change: Callable[[dict[str, Any], dict[str, Any]], object]) -> bytes:
    """The checkpoint with changed tensors and header, and the checksum of neither."""
    tensors = dict(load(DATA))
    length = int.from_bytes(DATA[:8], "little")
    header = msgspec.json.decode(msgspec.json.decode(DATA[8 : 8 + length])["__metadata__"]["headrace"])
    change(tensors, header)
    return bytes(save(tensors, {"headrace": msgspec.json.encode(header).decode()}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda _, header: header.update(format=99), "format 99"),
        (lambda tensors, _: tensors.pop("key"), "checksum"),
        (lambda tensors, _: tensors.update(item_vectors=tensors["item_vectors"] * 2), "checksum"),
        (lambda _, header: header.update(item_ids=header["item_ids"][::-1]), "checksum"),
        (lambda _, header: header.update(item_ids=["a"]), "checksum"),
        (lambda _, header: header["shape"].update(n_factors=9), "vectors"),
        (lambda _, header: header.pop("shape"), "cannot be read"),
    ],
)
def test_a_checkpoint_that_contradicts_itself_is_refused(change: Any, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        decode_checkpoint(rewritten(change))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (make_weights()._replace(vectors=make_weights().vectors * 2), "length is not 1"),
        (make_weights()._replace(vectors=np.full((6, 8), np.nan, np.float32)), "length is not 1"),
        (make_weights()._replace(item_ids=["a"] * 6), "twice"),
        (make_weights()._replace(parameters={}), "parameters"),
    ],
)
def test_unusable_weights_are_refused(weights: TrainedWeights, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        decode_checkpoint(encode_checkpoint(weights, MANIFEST))


def test_a_checkpoint_of_a_version_without_segments_is_read() -> None:
    assert not {"segment", "segment_gate"} & set(load(DATA)), "a worker of that version reads this one, too"
    weights, _ = decode_checkpoint(rewritten(lambda _, header: header["shape"].pop("n_segments")))
    assert weights.shape == SHAPE
    assert weights.parameters["segment"].shape == (0, 8)


def test_vectors_of_segments_are_read_as_they_were_written() -> None:
    shape = msgspec.structs.replace(SHAPE, n_segments=16)
    weights = make_weights()._replace(shape=shape, parameters=first_parameters(shape, 1))
    decoded, _ = decode_checkpoint(encode_checkpoint(weights, MANIFEST))
    assert decoded.shape.n_segments == 16
    assert np.array_equal(decoded.parameters["segment"], weights.parameters["segment"])

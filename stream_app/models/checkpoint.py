"""A checkpoint of the two-tower model as bytes: safetensors, with a checksum, and where in the log it belongs."""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import numpy as np
import safetensors
from numpy.typing import NDArray
from safetensors.numpy import load, save

from stream_app.models.two_tower_network import (
    LATER_PARAMETERS,
    NetworkShape,
    TrainedWeights,
    check_parameters,
    with_later_parameters,
)

FORMAT: Final = 2
"""Version of the layout; a checkpoint of another one is refused."""

_VECTORS: Final = "item_vectors"
_HEADER: Final = "headrace"
_LARGEST_NORM_ERROR: Final = 0.01


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a checkpoint says about itself.

    Attributes
    ----------
    version
        Identifies the weights; later ones are larger.
    created_at
        Seconds since the epoch.
    offsets
        The next offset of each partition of ``interactions`` that was not learned yet.
    interactions, steps
        Interactions and training steps so far.
    loss
        Mean loss of the newest steps; None before the first step after a start, or if it is not finite.
    hit_rate
        Share of the newest interactions whose item was among the 20 nearest before it was learned; None if it was
        not measured.
    measured_choices
        Interactions over which the hit rate was measured; 0 if it is not known.
    """

    version: int
    created_at: float
    offsets: dict[int, int] = {}
    interactions: int = 0
    steps: int = 0
    loss: float | None = None
    hit_rate: float | None = None
    measured_choices: int = 0


class _Header(msgspec.Struct, frozen=True, kw_only=True):
    format: int
    shape: NetworkShape
    manifest: Manifest
    item_ids: list[str]
    checksum: str


class CheckpointError(ValueError):
    """A checkpoint cannot be used: it is damaged, of another version, or does not fit its shape."""


def encode_checkpoint(weights: TrainedWeights, manifest: Manifest) -> bytes:
    """Write weights; item vectors in half precision, which loses nothing measurable.

    Examples
    --------
    >>> from stream_app.models.two_tower_network import first_parameters
    >>> shape = NetworkShape(n_factors=8, hidden=4)
    >>> vectors = np.eye(2, 8, dtype=np.float32)
    >>> weights = TrainedWeights(shape, first_parameters(shape, 7), ["pan", "pot"], vectors)
    >>> data = encode_checkpoint(weights, Manifest(version=3, created_at=0.0))
    >>> decoded, manifest = decode_checkpoint(data)
    >>> decoded.item_ids, manifest.version, np.abs(decoded.vectors - vectors).max() < 1e-3
    (['pan', 'pot'], 3, np.True_)
    """
    tensors: dict[str, NDArray[Any]] = {
        name: np.ascontiguousarray(array)
        for name, array in weights.parameters.items()
        # a worker of the version before refuses parameters that it does not know
        if array.size or name not in LATER_PARAMETERS
    }
    tensors[_VECTORS] = weights.vectors.astype(np.float16)
    header = _Header(
        format=FORMAT,
        shape=weights.shape,
        manifest=manifest,
        item_ids=weights.item_ids,
        checksum=_checksum(tensors, weights.item_ids),
    )
    return bytes(save(tensors, {_HEADER: msgspec.json.encode(header).decode()}))


def decode_checkpoint(data: bytes) -> tuple[TrainedWeights, Manifest]:
    """Read and verify weights.

    Raises
    ------
    CheckpointError
        If anything about the bytes is wrong.
    """
    try:
        tensors = load(data)
        header = msgspec.json.decode(_read_header(data), type=_Header)
    except (safetensors.SafetensorError, msgspec.MsgspecError, KeyError, ValueError, OverflowError) as error:
        raise CheckpointError(f"the checkpoint cannot be read: {error}") from None
    if header.format != FORMAT:
        raise CheckpointError(f"the checkpoint has format {header.format}; this Headrace reads {FORMAT}")
    if header.checksum != _checksum(tensors, header.item_ids):
        raise CheckpointError("the checkpoint's checksum differs: its bytes are damaged")
    vectors = tensors.pop(_VECTORS, None)
    if vectors is None or vectors.shape != (len(header.item_ids), header.shape.n_factors):
        raise CheckpointError(f"the checkpoint has no vectors of {len(header.item_ids)} items")
    tensors = with_later_parameters(tensors, header.shape)
    try:
        check_parameters(tensors, header.shape)
    except ValueError as error:
        raise CheckpointError(f"the checkpoint does not fit its shape: {error}") from None
    unit = vectors.astype(np.float32)
    norms = np.linalg.norm(unit, axis=1, keepdims=True)
    if not np.all(np.abs(norms - 1.0) < _LARGEST_NORM_ERROR):
        raise CheckpointError("the checkpoint has item vectors whose length is not 1")
    if len(set(header.item_ids)) != len(header.item_ids):
        raise CheckpointError("the checkpoint has an item twice")
    parameters = {name: np.array(array, np.float32) for name, array in tensors.items()}
    return TrainedWeights(header.shape, parameters, header.item_ids, unit / norms), header.manifest


def item_ids_of(metadata: Mapping[str, str]) -> list[str] | None:
    """The item ids of a checkpoint, from the metadata of its file; None if that is no checkpoint."""
    try:
        return msgspec.json.decode(metadata[_HEADER], type=_Header).item_ids
    except (KeyError, msgspec.MsgspecError):
        return None


def _read_header(data: bytes) -> str:
    # safetensors: 8 bytes with the length of a JSON object, whose key `__metadata__` has texts
    length = int.from_bytes(data[:8], "little")
    metadata: dict[str, dict[str, Any]] = msgspec.json.decode(data[8 : 8 + length])
    text: str = metadata["__metadata__"][_HEADER]
    return text


def _checksum(tensors: Mapping[str, NDArray[Any]], item_ids: list[str]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(tensors):
        digest.update(name.encode() + str(tensors[name].shape).encode() + tensors[name].tobytes())
    digest.update(msgspec.json.encode(item_ids))
    return digest.hexdigest()

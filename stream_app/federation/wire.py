"""Parameters as bytes: raw little-endian float32, in the order of their names, so that nothing is parsed."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream_app.federation.updates import Parameters

_FLOAT: Final = np.dtype("<f4")


def to_tensors(parameters: Parameters) -> list[bytes]:
    r"""One string of bytes for each parameter, in the order of the names.

    Examples
    --------
    >>> to_tensors({"b": np.zeros(1, np.float32), "a": np.ones(1, np.float32)})
    [b'\x00\x00\x80?', b'\x00\x00\x00\x00']
    """
    return [np.ascontiguousarray(parameters[name], _FLOAT).tobytes() for name in sorted(parameters)]


def from_tensors(
    tensors: Sequence[bytes], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, NDArray[np.float32]]:
    r"""The parameters of `to_tensors`; copies.

    Parameters
    ----------
    shapes
        The dimensions of each parameter: nothing is believed but the values.

    Raises
    ------
    ValueError
        If the number of tensors or the size of one is another one.

    Examples
    --------
    >>> from_tensors([b"\x00\x00\x80?"], {"a": (1,)})
    {'a': array([1.], dtype=float32)}
    """
    if len(tensors) != len(shapes):
        raise ValueError(f"{len(tensors)} tensors were received, not {len(shapes)}")
    result = {}
    for name, data in zip(sorted(shapes), tensors, strict=True):
        size = int(np.prod(shapes[name], dtype=np.int64)) * _FLOAT.itemsize
        if len(data) != size:
            raise ValueError(f"the tensor of {name} has {len(data)} bytes, not {size}")
        result[name] = np.frombuffer(data, _FLOAT).reshape(shapes[name]).astype(np.float32)
    return result


def layout_of(parameters: Parameters, content_fingerprint: str = "") -> str:
    """A hash of names, dimensions and the way in which contents are computed; equal ones can be averaged.

    Examples
    --------
    >>> one, other = {"a": np.zeros(1, np.float32)}, {"a": np.zeros(2, np.float32)}
    >>> layout_of(one) == layout_of(one), layout_of(one) == layout_of(other)
    (True, False)
    """
    shapes = [(name, parameters[name].shape) for name in sorted(parameters)]
    return hashlib.blake2b(repr((shapes, content_fingerprint)).encode(), digest_size=8).hexdigest()

"""Logged rows of features, each with a version of the features."""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

import numpy as np
from numpy.typing import NDArray

_NAN: Final = 0x7C00  # exponent of the NaN of float16
_PAYLOAD_MASK: Final = 0x3FF

BYTES_PER_VALUE: Final = 2
"""Bytes of a feature, and of the version."""


def features_version_of(names: Sequence[str]) -> int:
    """The version of features: a hash of their names in order, one of the 2,046 NaN of float16.

    Features are never NaN, so rows with a version differ from rows without one.

    Examples
    --------
    >>> features_version_of(["price", "age"]) == features_version_of(["age", "price"])
    False
    >>> bool(np.isnan(np.array([features_version_of(["price"])], np.uint16).view(np.float16)[0]))
    True
    """
    number = int.from_bytes(blake2b("\n".join(names).encode(), digest_size=8).digest(), "little")
    number %= 2 * _PAYLOAD_MASK
    return (number // _PAYLOAD_MASK) << 15 | _NAN | (number % _PAYLOAD_MASK + 1)


def pack_rows(features: NDArray[np.float32], features_version: int) -> bytes:
    """Pack features for the log: row by row, the version and the features as float16.

    Parameters
    ----------
    features : ndarray of float32, shape (n, d)
        Finite and in the range of float16.
    features_version
        Version of the features.

    Examples
    --------
    >>> len(pack_rows(np.ones((2, 3), np.float32), features_version_of("abc")))
    16
    """
    rows = np.empty((len(features), 1 + features.shape[1]), np.float16)
    rows.view(np.uint16)[:, 0] = features_version
    rows[:, 1:] = features
    return rows.tobytes()


def unpack_rows(raw: bytes, width: int, features_version: int) -> NDArray[np.float32] | None:
    """Unpack logged rows; None if there are none, or one has another version.

    Parameters
    ----------
    raw
        One or more outputs of `pack_rows`, concatenated.
    width
        Number of features of a row.
    features_version
        Expected version.

    Returns
    -------
    ndarray of float32, shape (n, width), or None

    Examples
    --------
    >>> raw = pack_rows(np.ones((2, 3), np.float32), features_version_of("abc"))
    >>> unpack_rows(raw, 3, features_version_of("abc"))
    array([[1., 1., 1.],
           [1., 1., 1.]], dtype=float32)
    >>> print(unpack_rows(raw, 3, features_version_of("acb")))
    None
    """
    if not raw or len(raw) % (BYTES_PER_VALUE * (1 + width)):
        return None
    words = np.frombuffer(raw, np.uint16).reshape(-1, 1 + width)
    if (words[:, 0] != features_version).any():
        return None
    return words[:, 1:].copy().view(np.float16).astype(np.float32)


def read_features_version(raw: bytes) -> int:
    """The version that logged rows start with; 0 without one.

    Examples
    --------
    >>> packed = pack_rows(np.ones((2, 3), np.float32), 0x7C01)
    >>> read_features_version(packed) == 0x7C01, read_features_version(bytes(8))
    (True, 0)
    """
    word = int.from_bytes(raw[:BYTES_PER_VALUE], "little")
    return word if word & _NAN == _NAN and word & _PAYLOAD_MASK else 0

"""Rows of features as they are logged: each says which features it holds."""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

import numpy as np
from numpy.typing import NDArray

_NAN: Final = 0x7C00  # the exponent of the float16 that are no numbers
_PAYLOAD: Final = 0x3FF

WIDE: Final = 2
"""Bytes a feature, and a stamp."""


def stamp_of(names: Sequence[str]) -> int:
    """A stamp of features, by their names in their order: one of 2,046 16-bit words that are no number as float16.

    No feature looks like it, so rows that begin with one are told from those that have none.

    Examples
    --------
    >>> stamp_of(["price", "age"]) == stamp_of(["age", "price"])
    False
    >>> bool(np.isnan(np.array([stamp_of(["price"])], np.uint16).view(np.float16)[0]))
    True
    """
    number = int.from_bytes(blake2b("\n".join(names).encode(), digest_size=8).digest(), "little")
    number %= 2 * _PAYLOAD
    return (number // _PAYLOAD) << 15 | _NAN | (number % _PAYLOAD + 1)


def pack_rows(features: NDArray[np.float32], stamp: int) -> bytes:
    """Rows as they are logged: a stamp and float16, each row after the other.

    Parameters
    ----------
    features : ndarray of float32, shape (n, d)
        Each a number within what float16 holds.
    stamp
        Of the features.

    Examples
    --------
    >>> len(pack_rows(np.ones((2, 3), np.float32), stamp_of("abc")))
    16
    """
    rows = np.empty((len(features), 1 + features.shape[1]), np.float16)
    rows.view(np.uint16)[:, 0] = stamp
    rows[:, 1:] = features
    return rows.tobytes()


def unpack_rows(raw: bytes, width: int, stamp: int) -> NDArray[np.float32] | None:
    """The rows of what was logged; None where there are none, or any is of other features.

    Parameters
    ----------
    raw
        What `pack_rows` gave, or several of these together.
    width
        Features of a row.
    stamp
        Of the features.

    Returns
    -------
    ndarray of float32, shape (n, width), or None

    Examples
    --------
    >>> raw = pack_rows(np.ones((2, 3), np.float32), stamp_of("abc"))
    >>> unpack_rows(raw, 3, stamp_of("abc"))
    array([[1., 1., 1.],
           [1., 1., 1.]], dtype=float32)
    >>> print(unpack_rows(raw, 3, stamp_of("acb")))
    None
    """
    if not raw or len(raw) % (WIDE * (1 + width)):
        return None
    words = np.frombuffer(raw, np.uint16).reshape(-1, 1 + width)
    if (words[:, 0] != stamp).any():
        return None
    return words[:, 1:].copy().view(np.float16).astype(np.float32)


def stamp_in(raw: bytes) -> int:
    """The stamp that logged rows begin with; 0 where they have none.

    Examples
    --------
    >>> stamp_in(pack_rows(np.ones((2, 3), np.float32), 0x7C01)) == 0x7C01, stamp_in(bytes(8))
    (True, 0)
    """
    word = int.from_bytes(raw[:WIDE], "little")
    return word if word & _NAN == _NAN and word & _PAYLOAD else 0

"""Bounded sets of user hashes, one per row."""

import numpy as np
from numpy.typing import NDArray

from stream_app.models.array_types import Hashes, Mask
from stream_app.models.kernels.jit import jit
from stream_app.models.kernels.random import splitmix64

FREE = np.uint64(0)
"""An entry without a user."""


@jit()
def user_tag(user_hash: np.uint64, row_hash: np.uint64) -> np.uint64:
    """Hash of a user for one row, never `FREE`; the tags of a user in two rows have nothing in common."""
    tag = splitmix64(user_hash ^ splitmix64(row_hash))
    return tag if tag != FREE else np.uint64(1)


@jit()
def add_user(
    rows: NDArray[np.int64], user_hash: np.uint64, row_hashes: Hashes, tags: Hashes, public: Mask
) -> None:
    """Add a user to rows; a full row keeps the smallest tags, and a row that becomes full is public from then on.

    Parameters
    ----------
    rows : ndarray of int64, shape (m,)
    row_hashes : ndarray of uint64, shape (n,)
        Hash of each row.
    tags : ndarray of uint64, shape (n, k)
        Tags of the users of each row; changed.
    public : ndarray of bool, shape (n,)
        Whether a row has had k users; changed.
    """
    width = tags.shape[1]
    for row in rows:
        tag = user_tag(user_hash, row_hashes[row])
        free, largest = -1, 0
        known = False
        for at in range(width):
            if tags[row, at] == tag:
                known = True
                break
            if tags[row, at] == FREE:
                free = at
            elif tags[row, at] > tags[row, largest]:
                largest = at
        if known:
            continue
        if free < 0:
            tags[row, largest] = min(tags[row, largest], tag)
            continue
        tags[row, free] = tag
        n_users = 0
        for at in range(width):
            n_users += tags[row, at] != FREE
        if n_users == width:
            public[row] = True


@jit()
def forget_user(
    user_hash: np.uint64, row_hashes: Hashes, tags: Hashes, public: Mask, unattributed: Mask, dropped: Mask
) -> None:
    """Remove a user from all rows, and mark the rows to drop: see `stream_app.models.known_users.KnownUsers`.

    Parameters
    ----------
    row_hashes : ndarray of uint64, shape (n,)
    tags : ndarray of uint64, shape (n, k)
        Changed.
    public, unattributed : ndarray of bool, shape (n,)
    dropped : ndarray of bool, shape (n,)
        Receives the marks.
    """
    width = tags.shape[1]
    for row in range(len(dropped)):
        tag = user_tag(user_hash, row_hashes[row])
        had_user = False
        n_left = 0
        for at in range(width):
            if tags[row, at] == tag:
                tags[row, at] = FREE
                had_user = True
            elif tags[row, at] != FREE:
                n_left += 1
        if public[row]:
            dropped[row] = had_user and n_left == 0
        else:
            dropped[row] = had_user or unattributed[row]

"""The first users of each query and word, so that a text of one user can be told from a text of many."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_app.models.array_types import Hashes, Mask
from stream_app.models.columns import grow
from stream_app.models.kernels.known_users import FREE, add_user, forget_user
from stream_app.models.model_state import State
from stream_app.models.resident import resident_bytes


class KnownUsers:
    """For each row at most k users, as tags of 64 bits; a row that has had k users is public.

    A tag is a hash of the user and the row, so that the tags of a user in two rows have nothing in common. Of more
    than k users, those with the smallest tags are stored: which ones does not depend on the order of events.

    An erasure drops

    - a row that is not public, if it had the user;
    - a public row, if no other stored user is left. Otherwise it stays, and stays public: k users used the text;
    - a row from a state without tags (`restore`), unless it is public: the user may have been the only one.

    Parameters
    ----------
    k
        Distinct users from which on a row is public.

    Examples
    --------
    >>> users, rows = KnownUsers(2), np.array([0])
    >>> row_hashes = np.array([17], np.uint64)
    >>> users.reserve(1)
    >>> users.add(rows, 5, row_hashes)
    >>> users.is_public(0)
    False
    >>> users.add(rows, 6, row_hashes)
    >>> users.is_public(0), users.forget(5, row_hashes).tolist(), users.is_public(0)
    (True, [], True)
    >>> users.forget(6, row_hashes).tolist()
    [0]
    """

    def __init__(self, k: int) -> None:
        self._tags: NDArray[np.uint64] = np.full((0, k), FREE)
        self._public: Mask = np.zeros(0, np.bool_)
        self._unattributed: Mask = np.zeros(0, np.bool_)

    def reserve(self, rows: int) -> None:
        """Allocate at least `rows` rows."""
        if rows > len(self._public):
            rows = max(rows, 64)
            self._tags = grow(self._tags, rows)
            self._public, self._unattributed = grow(self._public, rows), grow(self._unattributed, rows)

    def add(self, rows: NDArray[np.int64], user_hash: int, row_hashes: Hashes) -> None:
        """Add a user to rows.

        Parameters
        ----------
        rows : ndarray of int64, shape (m,)
        user_hash
            Hash of 64 bits.
        row_hashes : ndarray of uint64, shape (n,)
            Hash of each row (`IdIndex.hashes`).
        """
        add_user(rows, np.uint64(user_hash), row_hashes, self._tags, self._public)

    def is_public(self, row: int) -> bool:
        """Whether a row has had k users; False for -1."""
        return 0 <= row < len(self._public) and bool(self._public[row])

    def forget(self, user_hash: int, row_hashes: Hashes) -> NDArray[np.int64]:
        """Remove a user; return the rows to drop, shape (m,), which the caller passes to `drop`."""
        dropped = np.zeros(min(len(self._public), len(row_hashes)), np.bool_)
        forget_user(np.uint64(user_hash), row_hashes, self._tags, self._public, self._unattributed, dropped)
        return np.flatnonzero(dropped)

    def private_rows(self, used: Mask) -> NDArray[np.int64]:
        """The rows that are in use and not public, shape (m,).

        Parameters
        ----------
        used : ndarray of bool, shape (n,)
            Whether a row is in use (`IdIndex.used`).
        """
        self.reserve(len(used))
        return np.flatnonzero(used & ~self._public[: len(used)])

    def drop(self, rows: NDArray[Any]) -> None:
        """Empty rows."""
        rows = rows[rows < len(self._public)]
        self._tags[rows] = FREE
        self._public[rows] = self._unattributed[rows] = False

    def state(self, rows: int) -> State:
        """A copy of the first `rows` rows, as plain data."""
        self.reserve(rows)
        return {
            "tags": self._tags[:rows].copy(),
            "public": self._public[:rows].copy(),
            "unattributed": self._unattributed[:rows].copy(),
        }

    def restore(self, state: Mapping[str, Any] | None, used: Mask) -> None:
        """Load the result of `state` into empty rows.

        Parameters
        ----------
        state
            None, from before there were tags, gives rows of unknown users.
        used : ndarray of bool, shape (rows,)
            Whether a row is in use.
        """
        rows = len(used)
        self.reserve(rows)
        if state is None:
            self._unattributed[:rows] = used
            return
        self._tags[:rows] = state["tags"]
        self._public[:rows], self._unattributed[:rows] = state["public"], state["unattributed"]

    def memory(self) -> int:
        """Bytes held."""
        return resident_bytes((self._tags, self._public, self._unattributed))

"""Searched ids that may be a user's private text, because one user alone searched for them."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np

from stream_app.models.id_index import stable_hash
from stream_app.models.model_state import State

_BYTES_PER_ID: Final = 170
"""Size of a dict slot and two boxed integers."""

_UNKNOWN_USER: Final = 0


class TypedIds:
    """Rows of ids that one user typed, and that no other user typed and no list and no interaction had.

    Examples
    --------
    >>> typed = TypedIds()
    >>> typed.on_search(3, "ann", is_new=True)
    >>> typed.on_search(4, "ann", is_new=True)
    >>> typed.on_search(4, "bob", is_new=False)
    >>> typed.of_user("ann")
    [3]
    """

    def __init__(self) -> None:
        self._owners: dict[int, int] = {}

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._owners)

    def on_search(self, row: int, user: str, *, is_new: bool) -> None:
        """Record that a user typed an id; with a second user it is no longer private."""
        owner = stable_hash(user)
        if is_new:
            self._owners[row] = owner
        elif self._owners.get(row, owner) != owner:
            del self._owners[row]

    def drop(self, rows: Iterable[int]) -> None:
        """Drop rows: they are of items of the shop, or free."""
        for row in rows:
            self._owners.pop(row, None)

    def of_user(self, user: str) -> list[int]:
        """Rows that may be of a user: their own, and those from a state of an earlier version."""
        owners = (stable_hash(user), _UNKNOWN_USER)
        return [row for row, owner in self._owners.items() if owner in owners]

    def state(self) -> State:
        """All rows, as plain data."""
        return {
            "rows": np.array(list(self._owners), np.int64),
            "owners": np.array(list(self._owners.values()), np.uint64),
        }

    def restore(self, state: Mapping[str, Any] | None, possible_rows: Iterable[int]) -> None:
        """Load the result of `state`; None, from an earlier version, makes `possible_rows` those of unknown users."""
        if state is None:
            self._owners = dict.fromkeys(possible_rows, _UNKNOWN_USER)
        else:
            self._owners = dict(zip(state["rows"].tolist(), state["owners"].tolist(), strict=True))

    def memory(self) -> int:
        """Bytes held, to within a few percent."""
        return _BYTES_PER_ID * len(self._owners)

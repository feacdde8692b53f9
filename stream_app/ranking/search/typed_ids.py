"""Searched ids that may be users' private text, because these users alone had them."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np

from stream_app.models.id_index import stable_hash
from stream_app.models.model_state import State

_BYTES_PER_ID: Final = 260
"""Size of a dict slot, three boxed integers and a tuple."""

_UNKNOWN_USER: Final = 0

_MAX_OWNERS: Final = 2
"""Users stored per id, those with the smallest hashes; as many users make an id public."""


class TypedIds:
    """Rows of ids that users typed, and that no list and no interaction had, with their first users.

    An id of two users stays when one of them is erased, and ends with the second one, as a query does
    (`stream_app.models.known_users.KnownUsers`).

    Examples
    --------
    >>> typed = TypedIds()
    >>> typed.on_search(3, "ann", is_new=True)
    >>> typed.on_search(4, "ann", is_new=True)
    >>> typed.on_search(4, "bob", is_new=False)
    >>> typed.forget("ann"), typed.forget("bob")
    ([3], [4])
    """

    def __init__(self) -> None:
        self._owners: dict[int, tuple[int, ...]] = {}

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._owners)

    def on_search(self, row: int, user: str, *, is_new: bool) -> None:
        """Record that a user typed an id."""
        owners = () if is_new else self._owners.get(row)
        if owners is None:
            return  # an id of the shop
        known = sorted({stable_hash(user), *owners} - {_UNKNOWN_USER})[:_MAX_OWNERS]
        is_unknown = _UNKNOWN_USER in owners and len(known) < _MAX_OWNERS
        self._owners[row] = (_UNKNOWN_USER, *known) if is_unknown else tuple(known)

    def drop(self, rows: Iterable[int]) -> None:
        """Drop rows: they are of items of the shop, or free."""
        for row in rows:
            self._owners.pop(row, None)

    def forget(self, user: str) -> list[int]:
        """Remove a user; return the rows to drop: those without another user, and those of unknown users."""
        owner, dropped = stable_hash(user), []
        for row, owners in self._owners.items():
            if _UNKNOWN_USER in owners or owners == (owner,):
                dropped.append(row)
            elif owner in owners:
                self._owners[row] = tuple(each for each in owners if each != owner)
        self.drop(dropped)
        return dropped

    def forget_private(self) -> list[int]:
        """Remove the rows with fewer than two known users, and return them: they are to be dropped."""
        dropped = [
            row
            for row, owners in self._owners.items()
            if _UNKNOWN_USER in owners or len(owners) < _MAX_OWNERS
        ]
        self.drop(dropped)
        return dropped

    def state(self) -> State:
        """All rows, as plain data; 0 stands for no second user."""
        owners = [(*each, 0)[:_MAX_OWNERS] for each in self._owners.values()]
        return {
            "rows": np.array(list(self._owners), np.int64),
            "owners": np.array(owners, np.uint64).reshape(-1, _MAX_OWNERS),
        }

    def restore(self, state: Mapping[str, Any] | None, possible_rows: Iterable[int]) -> None:
        """Load the result of `state`; None, from an earlier version, makes `possible_rows` those of unknown users."""
        if state is None:
            self._owners = dict.fromkeys(possible_rows, (_UNKNOWN_USER,))
            return
        # Only the first may be unknown.
        self._owners = {
            row: (first, second) if second else (first,)
            for row, (first, second) in zip(state["rows"].tolist(), state["owners"].tolist(), strict=True)
        }

    def memory(self) -> int:
        """Bytes held, to within a few percent."""
        return _BYTES_PER_ID * len(self._owners)

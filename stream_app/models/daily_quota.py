"""How much of each user a statistic over all users has learned today."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from stream_app.models.id_index import stable_hash
from stream_app.models.model_state import State

_DAY_SECONDS: Final = 86_400.0
_MAX_USERS: Final = 10_000
_BYTES_PER_USER: Final = 300
"""Size of a dict slot, a tuple and three boxed numbers."""


class DailyQuota:
    """Lets the first `limit` observations of a user and a day (of event time, UTC) pass, and no further ones.

    Remembers the `_MAX_USERS` users who were observed last.

    Examples
    --------
    >>> quota = DailyQuota(10)
    >>> sum(quota.allows("ann", 60.0) for _ in range(40)), quota.allows("bob", 60.0), quota.allows("ann", 86_400.0)
    (10, True, True)
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        # day and number of observations, by the hash of the user
        self._counts: dict[int, tuple[int, int]] = {}

    def allows(self, user: str, ts: float) -> bool:
        """Whether a further observation may be learned, which is counted then; `ts` is the event time in seconds."""
        key, day = stable_hash(user), int(ts // _DAY_SECONDS)
        known_day, count = self._counts.pop(key, (day, 0))
        if day > known_day:
            known_day, count = day, 0
        is_allowed = count < self._limit
        self._counts[key] = known_day, count + is_allowed
        if len(self._counts) > _MAX_USERS:
            del self._counts[next(iter(self._counts))]
        return is_allowed

    def forget_user(self, user: str) -> None:
        """Drop the data of a user."""
        self._counts.pop(stable_hash(user), None)

    def state(self) -> State:
        """All counts, as plain data, the users who were observed last at the end."""
        return {
            "users": np.array(list(self._counts), np.uint64),
            "counts": np.array(list(self._counts.values()), np.int64).reshape(-1, 2),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Load the result of `state`."""
        self._counts = {
            user: (day, count)
            for user, (day, count) in zip(state["users"].tolist(), state["counts"].tolist(), strict=True)
        }

    def memory(self) -> int:
        """Bytes held, to within a few percent."""
        return _BYTES_PER_USER * len(self._counts)

"""Traces of open sessions."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

BYTES_PER_SESSION: Final = 500
"""Bytes of the Python objects of a session."""


class OpenSession(NamedTuple):
    """An open session."""

    last_ts: float  # event time of the last choice, seconds since the epoch
    # shape (features,): sum of the features of the choices so far, the earlier ones decayed
    trace: NDArray[np.float64]


class OpenSessions:
    """The open sessions of users, in a bounded store that evicts the longest idle one.

    A session ends after `gap` seconds of event time without a choice. The end needs no update: the value after the
    last choice is 0.

    Parameters
    ----------
    features
        Number of features.
    gap
        Seconds without a choice that end a session.
    capacity
        Maximum number of sessions held.

    Examples
    --------
    >>> sessions = OpenSessions(features=1, gap=60.0, capacity=2)
    >>> sessions.put("ann", OpenSession(0.0, np.ones(1)))
    >>> sessions.get("ann", 60.0).trace.tolist(), sessions.get("ann", 61.0), sessions.get("bob", 60.0)
    ([1.0], None, None)
    """

    def __init__(self, features: int, *, gap: float, capacity: int) -> None:
        if not gap > 0 or capacity < 1:
            raise ValueError("session_gap must be above 0, sessions 1 or more")
        self._features = features
        self._gap = gap
        self._capacity = capacity
        self._open: OrderedDict[str, OpenSession] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    def get(self, user: str, ts: float) -> OpenSession | None:
        """The open session at `ts`, or None; an event may be late by up to the gap."""
        session = self._open.get(user)
        return session if session is not None and abs(ts - session.last_ts) <= self._gap else None

    def put(self, user: str, session: OpenSession) -> None:
        """Store a session, unless the stored one is newer."""
        existing = self._open.get(user)
        if existing is not None and existing.last_ts > session.last_ts:
            return
        self._open[user] = session
        self._open.move_to_end(user)
        if len(self._open) > self._capacity:
            self._open.popitem(last=False)

    def forget(self, user: str) -> None:
        """Drop the session of a user."""
        self._open.pop(user, None)

    def clear(self) -> None:
        """Drop all sessions."""
        self._open.clear()

    def state(self) -> dict[str, Any]:
        """All sessions as plain data."""
        traces = np.zeros((len(self._open), self._features))
        for index, session in enumerate(self._open.values()):
            traces[index] = session.trace
        return {
            "users": list(self._open),
            "last": np.array([session.last_ts for session in self._open.values()], np.float64),
            "traces": traces,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore a `state`."""
        self.clear()
        for user, last_ts, trace in zip(state["users"], state["last"], state["traces"], strict=True):
            self._open[user] = OpenSession(float(last_ts), np.array(trace, np.float64))

    def memory(self) -> int:
        """Memory in bytes, to within a few percent."""
        return len(self._open) * (BYTES_PER_SESSION + 8 * self._features)

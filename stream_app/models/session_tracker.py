"""What each shopper did lately, and the session it belongs to."""

from collections.abc import Mapping
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.models.base import EMPTY_ITEMS, EMPTY_TIMES, NO_SESSION, Items, Times
from stream_app.models.id_index import IdIndex
from stream_app.models.item_index import ItemIndex
from stream_app.models.kernels.shared import drop_items, observe_tail, open_session
from stream_app.models.model_state import State, grown, stamped, verify

TAIL = 32
"""Recent events remembered of a shopper, of each stream."""


class Stream(IntEnum):
    """What is kept apart, so that arrival order across source topics cannot matter."""

    VIEWS = 0
    PURCHASES = 1


class Place(NamedTuple):
    """Where an event stands among the shopper's others.

    Attributes
    ----------
    session
        Serial number of its session.
    repeat
        Whether `previous_items` holds the item.
    previous_items, previous_times : ndarray, shape (n,)
        Events of the same stream within the session gap on either side, oldest first. Views on a buffer
        that the next event overwrites.
    """

    session: int
    repeat: bool
    previous_items: Items
    previous_times: Times


class _Tails:
    """The newest events of each row, sorted by time; the one with the smaller hash first in a tie."""

    def __init__(self) -> None:
        self.items: Items = np.zeros((0, TAIL), np.int32)
        self.times: Times = np.zeros((0, TAIL))
        self.sizes: NDArray[np.int32] = np.zeros(0, np.int32)

    def fit(self, rows: int) -> None:
        if rows > len(self.sizes):
            self.items = grown(self.items, max(rows, 64))
            self.times = grown(self.times, max(rows, 64))
            self.sizes = grown(self.sizes, max(rows, 64))

    def memory(self) -> int:
        return self.items.nbytes + self.times.nbytes + self.sizes.nbytes

    def state(self, rows: int) -> State:
        self.fit(rows)
        held = np.arange(TAIL) < self.sizes[:rows, None]
        return {
            "sizes": self.sizes[:rows].copy(),
            "items": self.items[:rows][held],
            "times": self.times[:rows][held],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self.__init__()  # type: ignore[misc]
        rows = len(state["sizes"])
        self.fit(rows)
        self.sizes[:rows] = state["sizes"]
        held = np.arange(TAIL) < self.sizes[:rows, None]
        self.items[:rows][held] = state["items"]
        self.times[:rows][held] = state["times"]


class SessionTracker:
    """Gives each event its session and the shopper's events around it.

    A session closes after `gap` seconds of inactivity in event time. A late event that falls within the gap
    of the open session belongs to it; an older one gets a session of its own and the open one stays open.

    Parameters
    ----------
    index
        The items; decides ties.
    gap
        Seconds of inactivity that close a session.
    max_users
        Shoppers remembered; about 1% are forgotten, the longest inactive first, when one more comes.

    Examples
    --------
    >>> index = ItemIndex(100)
    >>> shoe, sock = index.index("shoe", 0.0), index.index("sock", 0.0)
    >>> tracker = SessionTracker(index, gap=1800.0)
    >>> tracker.observe("ann", shoe, 100.0, Stream.VIEWS).session
    1
    >>> place = tracker.observe("ann", sock, 160.0, Stream.VIEWS)
    >>> place.session, place.repeat, place.previous_items.tolist(), place.previous_times.tolist()
    (1, False, [0], [100.0])
    >>> tracker.observe("ann", sock, 9000.0, Stream.VIEWS).session
    2
    """

    def __init__(self, index: ItemIndex, *, gap: float = 1800.0, max_users: int = 200_000) -> None:
        self._index = index
        self.gap = gap
        self.max_users = max_users
        self._clear()
        self._near_items: Items = np.zeros(TAIL, np.int32)
        self._near_times: Times = np.zeros(TAIL)

    def _clear(self) -> None:
        self._users = IdIndex(self.max_users, self._drop)
        self._buyers = IdIndex(self.max_users, self._drop_purchases)
        self._tails = (_Tails(), _Tails())
        self._serials: NDArray[np.int64] = np.zeros(64, np.int64)
        self._starts: Times = np.full(64, -np.inf)
        self._lasts: Times = np.full(64, -np.inf)
        self._queries: dict[int, tuple[float, str]] = {}
        self.newest_session = 0

    def __len__(self) -> int:
        return len(self._users)

    def session(self, user: str, ts: float) -> int:
        """Serial number of the session that an event of `user` at `ts` belongs to, opened if need be."""
        row = self._users.index(user, ts)
        if row >= len(self._serials):
            self._serials = grown(self._serials, row + 1)
            self._starts = grown(self._starts, row + 1, -np.inf)
            self._lasts = grown(self._lasts, row + 1, -np.inf)
        serial, self.newest_session = open_session(
            row, ts, self.gap, self.newest_session, self._serials, self._starts, self._lasts
        )
        return serial

    def open_session(self, user: str, ts: float) -> int:
        """Serial number of the shopper's session at `ts`, `NO_SESSION` where none is open."""
        row = self._users.find(user) if user else -1
        if row < 0 or ts > self._lasts[row] + self.gap:
            return NO_SESSION
        return int(self._serials[row])

    def search(self, user: str, query: str, ts: float) -> None:
        """Remember what a shopper searched for."""
        self.session(user, ts)
        row = self._users.find(user)
        if ts >= self._queries.get(row, (-np.inf, ""))[0]:
            self._queries[row] = (ts, query)

    def query(self, user: str, ts: float) -> str:
        """What a shopper last searched for in the session gap before `ts`; empty where nothing."""
        found, query = self._queries.get(self._users.find(user), (-np.inf, ""))
        return query if found <= ts <= found + self.gap else ""

    def outside(self, user: str, ts: float) -> Place:
        """Place of an event that belongs to no stream: its session, and nothing around it."""
        return Place(self.session(user, ts), False, EMPTY_ITEMS, EMPTY_TIMES)

    def observe(self, user: str, item: int, ts: float, stream: Stream) -> Place:
        """Take an event in and give it its place.

        Parameters
        ----------
        user
            The shopper.
        item
            Index of the item.
        ts
            Event time, seconds since the epoch.
        stream
            The stream it belongs to.
        """
        serial = self.session(user, ts)
        row = (self._users if stream is Stream.VIEWS else self._buyers).index(user, ts)
        tails = self._tails[stream]
        if row >= len(tails.sizes):
            tails.fit(row + 1)
        n, repeat = observe_tail(
            row,
            item,
            ts,
            self.gap,
            tails.items,
            tails.times,
            tails.sizes,
            self._index.hashes,
            self._near_items,
            self._near_times,
        )
        return Place(serial, repeat, self._near_items[:n], self._near_times[:n])

    def recent(self, user: str, stream: Stream) -> tuple[Items, Times]:
        """Copies of a shopper's newest items of a stream and their times, oldest first."""
        row = (self._users if stream is Stream.VIEWS else self._buyers).find(user)
        tails = self._tails[stream]
        if not 0 <= row < len(tails.sizes):
            return EMPTY_ITEMS, EMPTY_TIMES
        size = tails.sizes[row]
        return tails.items[row, :size].copy(), tails.times[row, :size].copy()

    def history(self, user: str, length: int) -> tuple[Items, Times, int, float]:
        """What a shopper did lately, views and purchases in one.

        Parameters
        ----------
        user
            The shopper.
        length
            Most events.

        Returns
        -------
        items : ndarray of int32, shape (n,)
            Oldest first.
        times : ndarray of float64, shape (n,)
            Their event times.
        session_start : int
            Place in `items` where the shopper's last session begins.
        last : float
            Event time of the last event; -inf for a stranger.
        """
        items, times = self.recent(user, Stream.VIEWS)
        bought, when = self.recent(user, Stream.PURCHASES)
        if len(bought):
            items, times = np.concatenate((items, bought)), np.concatenate((times, when))
            order = np.argsort(times, kind="stable")
            items, times = items[order], times[order]
        items, times = items[-length:], times[-length:]
        row = self._users.find(user)
        if row < 0:
            return items, times, 0, -np.inf
        return items, times, int(np.searchsorted(times, self._starts[row])), float(self._lasts[row])

    def forget_user(self, user: str) -> None:
        """Drop everything held of a shopper."""
        self._users.forget(user)
        self._buyers.forget(user)

    def forget_items(self, items: Items) -> None:
        """Take items out of every shopper's history."""
        gone = np.zeros(self._index.size, np.bool_)
        gone[items] = True
        for tails in self._tails:
            drop_items(tails.items, tails.times, tails.sizes, gone)

    def _drop(self, rows: Items) -> None:
        self._serials[rows] = 0
        self._starts[rows] = self._lasts[rows] = -np.inf
        self._tails[Stream.VIEWS].fit(int(rows.max()) + 1)
        self._tails[Stream.VIEWS].sizes[rows] = 0
        for row in rows.tolist():
            self._queries.pop(row, None)

    def _drop_purchases(self, rows: Items) -> None:
        self._tails[Stream.PURCHASES].sizes[rows] = 0

    @property
    def _parameters(self) -> dict[str, Any]:
        return {"gap": self.gap, "max_users": self.max_users}

    def state(self) -> State:
        """Everything remembered, as plain data."""
        size = self._users.size
        return stamped(
            "sessions",
            self._parameters,
            users=self._users.state(),
            buyers=self._buyers.state(),
            serials=self._serials[:size].copy(),
            starts=self._starts[:size].copy(),
            lasts=self._lasts[:size].copy(),
            newest=self.newest_session,
            queries=[[row, ts, query] for row, (ts, query) in sorted(self._queries.items())],
            views=self._tails[Stream.VIEWS].state(size),
            purchases=self._tails[Stream.PURCHASES].state(self._buyers.size),
        )

    def restore(self, state: Mapping[str, Any]) -> None:
        """Become the tracker that `state` was taken from.

        Raises
        ------
        ValueError
            If the state is of another format or was taken with another gap or bound.
        """
        verify(state, "sessions", self._parameters)
        self._clear()
        self._users.restore(state["users"])
        self._buyers.restore(state["buyers"])
        size = self._users.size
        self._serials = grown(self._serials, size)
        self._starts = grown(self._starts, size, -np.inf)
        self._lasts = grown(self._lasts, size, -np.inf)
        self._serials[:size] = state["serials"]
        self._starts[:size] = state["starts"]
        self._lasts[:size] = state["lasts"]
        self.newest_session = int(state["newest"])
        self._queries = {int(row): (float(ts), str(query)) for row, ts, query in state["queries"]}
        self._tails[Stream.VIEWS].restore(state["views"])
        self._tails[Stream.PURCHASES].restore(state["purchases"])

    def memory(self) -> int:
        """Bytes held, to within a few percent."""
        own = self._serials.nbytes + self._starts.nbytes + self._lasts.nbytes
        tails = sum(each.memory() for each in self._tails)
        queries = sum(200 + len(query) for _, query in self._queries.values())
        return own + tails + queries + self._users.memory() + self._buyers.memory()

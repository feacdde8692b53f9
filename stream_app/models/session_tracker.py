"""Recent events of each user, and their sessions."""

from collections.abc import Mapping
from enum import IntEnum
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.models.array_types import EMPTY_ITEMS, EMPTY_TIMES, NO_SESSION, Items, Mask, Times
from stream_app.models.columns import grow, grow_columns, item_mask, pack_rows, unpack_rows
from stream_app.models.estimator import Estimator
from stream_app.models.id_index import IdIndex
from stream_app.models.item_index import ItemIndex
from stream_app.models.kernels.bounded_rows import drop_items
from stream_app.models.kernels.jit import plain
from stream_app.models.kernels.session_tails import Heads, SessionTails, assign_session, insert_event
from stream_app.models.model_state import MIGRATIONS, VERSIONS, Restorable, State
from stream_app.models.repeated_choices import RepeatedChoices
from stream_app.models.resident import resident_bytes

RECENT_EVENTS = 32
"""Recent events stored per user and stream."""


_NO_HEADS: Final[Heads] = np.zeros(0, np.int8)

MAX_ITEMS_ALONE = 200_000
"""Largest number of items of a tracker without a shared index."""


class EventStream(IntEnum):
    """Events stored separately, so that the order of arrival across source topics does not matter."""

    VIEWS = 0
    PURCHASES = 1


class TrackedEvent(NamedTuple):
    """An event with its session and the events around it."""

    session: int  # serial number of the session
    repeat: bool  # whether `previous_items` holds the item
    # previous_items, previous_times, shape (n,): events of the same stream within the session gap on either
    # side, oldest first. Views of a buffer that the next event overwrites
    previous_items: Items
    previous_times: Times


class History(NamedTuple):
    """Recent events of a user, oldest first."""

    items: Items  # shape (n,)
    times: Times  # shape (n,): event times
    session_start: int  # position in `items` at which the last session begins
    last: float  # event time of the last event; -inf for an unknown user
    heads: Items  # shape (n,): what the user did, see `stream_app.models.two_tower_network.Head`


class _RecentEvents:
    """Newest events of each user of one stream."""

    def __init__(self) -> None:
        self.tails = SessionTails(
            np.zeros((0, RECENT_EVENTS), np.int32),
            np.zeros((0, RECENT_EVENTS)),
            np.zeros(0, np.int32),
            np.zeros((0, RECENT_EVENTS), np.int8),
        )

    def reserve(self, rows: int) -> None:
        if rows > len(self.tails.sizes):
            self.tails = grow_columns(self.tails, rows)

    def memory(self) -> int:
        return resident_bytes(self.tails)

    def state(self, rows: int) -> State:
        self.reserve(rows)
        tails = self.tails
        sizes = tails.sizes[:rows]
        return {
            "sizes": sizes.copy(),
            "items": pack_rows(tails.items, sizes),
            "times": pack_rows(tails.times, sizes),
            "heads": pack_rows(tails.heads, sizes),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Load the result of `state` into empty events."""
        sizes = state["sizes"]
        self.reserve(len(sizes))
        self.tails.sizes[: len(sizes)] = sizes
        unpack_rows(state["items"], sizes, self.tails.items)
        unpack_rows(state["times"], sizes, self.tails.times)
        if state["heads"] is not None:
            unpack_rows(state["heads"], sizes, self.tails.heads)

    def forget_items(self, removed_mask: Mask) -> None:
        items, times, sizes, heads = self.tails
        # of copies: the items and the sizes are needed again
        drop_items(items.copy(), heads, sizes.copy(), removed_mask)
        drop_items(items, times, sizes, removed_mask)


class SessionTracker(Estimator, Restorable):
    """Assigns events to sessions, and stores the recent events of each user.

    A session closes after `gap` seconds of inactivity in event time. A late event within the gap of the open session
    belongs to it; an older one gets a session of its own, and the open session stays open.

    Parameters
    ----------
    index
        The items; their hashes decide ties. None for an index of its own.
    gap
        Seconds of inactivity that close a session.
    max_users
        Users remembered; a full index evicts about 1%, the longest inactive first.
    half_life
        Seconds in which a choice of `count_choice` loses half its weight.

    Examples
    --------
    >>> index = ItemIndex(100)
    >>> shoe, sock = index.index("shoe", 0.0), index.index("sock", 0.0)
    >>> tracker = SessionTracker(index, gap=1800.0)
    >>> tracker.observe("ann", shoe, 100.0, EventStream.VIEWS).session
    1
    >>> tracked = tracker.observe("ann", sock, 160.0, EventStream.VIEWS)
    >>> tracked.session, tracked.repeat, tracked.previous_items.tolist(), tracked.previous_times.tolist()
    (1, False, [0], [100.0])
    >>> tracker.observe("ann", sock, 9000.0, EventStream.VIEWS).session
    2
    """

    def __init__(
        self,
        index: ItemIndex | None = None,
        *,
        gap: float = 1800.0,
        max_users: int = 200_000,
        half_life: float = 86_400.0,
    ) -> None:
        self._index = ItemIndex(MAX_ITEMS_ALONE, self.forget_items) if index is None else index
        self.gap = gap
        self.max_users = max_users
        self.half_life = half_life
        self._reset()
        self._window_items: Items = np.zeros(RECENT_EVENTS, np.int32)
        self._window_times: Times = np.zeros(RECENT_EVENTS)

    def _reset(self) -> None:
        self._users = IdIndex(self.max_users, self._drop)
        self._purchasing_users = IdIndex(self.max_users, self._drop_purchases)
        self._recent_events = (_RecentEvents(), _RecentEvents())
        self._choices = RepeatedChoices(self.half_life)
        self._serials: NDArray[np.int64] = np.zeros(64, np.int64)
        self._starts: Times = np.full(64, -np.inf)
        self._lasts: Times = np.full(64, -np.inf)
        self._queries: dict[int, tuple[float, str]] = {}
        self.newest_session = 0

    def __len__(self) -> int:
        return len(self._users)

    def session(self, user: str, ts: float) -> int:
        """Serial number of the session of an event at `ts`, opened if needed."""
        row = self._users.index(user, ts)
        if row >= len(self._serials):
            self._serials = grow(self._serials, row + 1)
            self._starts = grow(self._starts, row + 1, -np.inf)
            self._lasts = grow(self._lasts, row + 1, -np.inf)
        serial, self.newest_session = assign_session(
            row, ts, self.gap, self.newest_session, self._serials, self._starts, self._lasts
        )
        return serial

    def current_session(self, user: str, ts: float) -> int:
        """Serial number of the open session at `ts`, `NO_SESSION` if there is none."""
        row = self._users.find(user) if user else -1
        if row < 0 or ts > self._lasts[row] + self.gap:
            return NO_SESSION
        return int(self._serials[row])

    def search(self, user: str, query: str, ts: float) -> None:
        """Store the last query of a user."""
        self.session(user, ts)
        row = self._users.find(user)
        if ts >= self._queries.get(row, (-np.inf, ""))[0]:
            self._queries[row] = (ts, query)

    def query(self, user: str, ts: float) -> str:
        """Last query of a user within the session gap before `ts`; empty if there is none."""
        searched_at, query = self._queries.get(self._users.find(user), (-np.inf, ""))
        return query if searched_at <= ts <= searched_at + self.gap else ""

    def track_session(self, user: str, ts: float) -> TrackedEvent:
        """Assign an event without a stream to its session."""
        return TrackedEvent(self.session(user, ts), False, EMPTY_ITEMS, EMPTY_TIMES)

    def observe(self, user: str, item: int, ts: float, stream: EventStream, head: int = 0) -> TrackedEvent:
        """Store an event at `ts`, seconds since the epoch; return its session and the events around it.

        Parameters
        ----------
        head
            What the user did, see `stream_app.models.two_tower_network.Head`.
        """
        serial = self.session(user, ts)
        row = (self._users if stream is EventStream.VIEWS else self._purchasing_users).index(user, ts)
        events = self._recent_events[stream]
        events.reserve(row + 1)
        n, repeat = insert_event(
            row,
            item,
            ts,
            head,
            self.gap,
            plain(events.tails),
            self._index.hashes,
            self._window_items,
            self._window_times,
        )
        return TrackedEvent(serial, repeat, self._window_items[:n], self._window_times[:n])

    def n_views(self, user: str) -> int:
        """Number of recent events of a user, but purchases, that are known."""
        row, sizes = self._users.find(user), self._recent_events[EventStream.VIEWS].tails.sizes
        return int(sizes[row]) if 0 <= row < len(sizes) else 0

    def count_choice(self, user: str, item: int, ts: float, weight: float, group: int) -> tuple[float, float]:
        """Count a choice of a user whose event was assigned to a session; see `RepeatedChoices.count`."""
        row = self._users.find(user)
        self._choices.reserve(row + 1)
        return self._choices.count(row, item, ts, weight, group, self._index.hashes)

    def frequent_choices(self, user: str, ts: float, group: int, n_choices: float) -> Items:
        """The items that a user chose at least `n_choices` times lately; see `RepeatedChoices.frequent`."""
        return self._choices.frequent(self._users.find(user), ts, int(group), n_choices)

    def recent(self, user: str, stream: EventStream) -> tuple[Items, Times]:
        """Copies of a user's newest items of a stream and their times, oldest first."""
        row = (self._users if stream is EventStream.VIEWS else self._purchasing_users).find(user)
        tails = self._recent_events[stream].tails
        if not 0 <= row < len(tails.sizes):
            return EMPTY_ITEMS, EMPTY_TIMES
        size = tails.sizes[row]
        return tails.items[row, :size].copy(), tails.times[row, :size].copy()

    def _recent_heads(self, user: str, stream: EventStream) -> Heads:
        row = (self._users if stream is EventStream.VIEWS else self._purchasing_users).find(user)
        tails = self._recent_events[stream].tails
        return tails.heads[row, : tails.sizes[row]].copy() if 0 <= row < len(tails.sizes) else _NO_HEADS

    def history(self, user: str, length: int) -> History:
        """The newest `length` events of a user, views and purchases merged.

        The items are oldest first.
        """
        items, times = self.recent(user, EventStream.VIEWS)
        heads = self._recent_heads(user, EventStream.VIEWS)
        purchases, purchase_times = self.recent(user, EventStream.PURCHASES)
        if len(purchases):
            items, times = np.concatenate((items, purchases)), np.concatenate((times, purchase_times))
            heads = np.concatenate((heads, self._recent_heads(user, EventStream.PURCHASES)))
            order = np.argsort(times, kind="stable")
            items, times, heads = items[order], times[order], heads[order]
        items, times = items[-length:], times[-length:]
        numbers: Items = heads[-length:].astype(np.int32)
        row = self._users.find(user)
        if row < 0:
            return History(items, times, 0, -np.inf, numbers)
        start = int(np.searchsorted(times, self._starts[row]))
        return History(items, times, start, float(self._lasts[row]), numbers)

    def forget_user(self, user: str) -> None:
        """Drop the data of a user."""
        self._users.forget(user)
        self._purchasing_users.forget(user)

    def forget_items(self, items: Items) -> None:
        """Remove items from the events of every user."""
        removed_mask = item_mask(items, self._index.size)
        for events in self._recent_events:
            events.forget_items(removed_mask)
        self._choices.forget_items(removed_mask)

    def _drop(self, rows: Items) -> None:
        self._serials[rows] = 0
        self._starts[rows] = self._lasts[rows] = -np.inf
        self._recent_events[EventStream.VIEWS].reserve(int(rows.max()) + 1)
        self._recent_events[EventStream.VIEWS].tails.sizes[rows] = 0
        self._choices.drop(rows)
        for row in rows.tolist():
            self._queries.pop(row, None)

    def _drop_purchases(self, rows: Items) -> None:
        self._recent_events[EventStream.PURCHASES].tails.sizes[rows] = 0

    def _get_params(self) -> dict[str, Any]:
        return {"gap": self.gap, "max_users": self.max_users, "half_life": self.half_life}

    def _state_header(self) -> tuple[str, Mapping[str, Any]]:
        return "sessions", {"gap": self.gap, "max_users": self.max_users}

    def _get_state(self) -> State:
        size = self._users.size
        return {
            "users": self._users.state(),
            "purchasing_users": self._purchasing_users.state(),
            "serials": self._serials[:size].copy(),
            "starts": self._starts[:size].copy(),
            "lasts": self._lasts[:size].copy(),
            "newest": self.newest_session,
            "queries": [[row, ts, query] for row, (ts, query) in sorted(self._queries.items())],
            "views": self._recent_events[EventStream.VIEWS].state(size),
            "purchases": self._recent_events[EventStream.PURCHASES].state(self._purchasing_users.size),
            "choices": self._choices.state(size),
        }

    def _set_state(self, state: Mapping[str, Any]) -> None:
        self._users.restore(state["users"])
        self._purchasing_users.restore(state["purchasing_users"])
        size = self._users.size
        self._serials = grow(self._serials, size)
        self._starts = grow(self._starts, size, -np.inf)
        self._lasts = grow(self._lasts, size, -np.inf)
        self._serials[:size] = state["serials"]
        self._starts[:size] = state["starts"]
        self._lasts[:size] = state["lasts"]
        self.newest_session = int(state["newest"])
        self._queries = {int(row): (float(ts), str(query)) for row, ts, query in state["queries"]}
        self._recent_events[EventStream.VIEWS].restore(state["views"])
        self._recent_events[EventStream.PURCHASES].restore(state["purchases"])
        if state["choices"] is not None:
            self._choices.restore(state["choices"])

    def memory(self) -> int:
        """Bytes held, to within a few percent."""
        arrays = resident_bytes((self._serials, self._starts, self._lasts))
        events = sum(each.memory() for each in self._recent_events)
        queries = sum(200 + len(query) for _, query in self._queries.values())
        return (
            arrays
            + events
            + queries
            + self._choices.memory()
            + self._users.memory()
            + self._purchasing_users.memory()
        )


VERSIONS["sessions"] = 4
MIGRATIONS["sessions", 2] = lambda state: {**state, "choices": None}
MIGRATIONS["sessions", 3] = lambda state: {
    **state,
    **{name: {**state[name], "heads": None} for name in ("views", "purchases")},
}

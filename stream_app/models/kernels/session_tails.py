"""Newest events of each user, and the session an event belongs to."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.models.array_types import Hashes, Items, Sizes, Times
from stream_app.models.kernels.jit import jit

Heads = NDArray[np.int8]


class SessionTails(NamedTuple):
    """Newest events of each user, sorted by time, then by the hash of the item, then by head."""

    items: Items  # shape (users, length)
    times: Times  # shape (users, length)
    sizes: Sizes  # shape (users,): events held
    heads: Heads  # shape (users, length): what the user did, see `stream_app.models.two_tower_network.Head`


@jit()
def assign_session(
    row: int, ts: float, gap: float, newest: int, serials: NDArray[np.int64], starts: Times, lasts: Times
) -> tuple[int, int]:
    """Assign an event of the user in `row` to a session, which is opened if needed.

    Returns the serial number of the session, and the newest serial number now.

    Parameters
    ----------
    ts, gap
        Event time, and seconds of inactivity that close a session.
    newest
        Newest serial number in use.
    serials : ndarray of int64, shape (users,)
        Serial number of each user's open session.
    starts, lasts : ndarray of float64, shape (users,)
        First and last event time of it; -inf before the first event.
    """
    if lasts[row] == -math.inf or ts > lasts[row] + gap:
        newest += 1
        serials[row] = newest
        starts[row] = ts
        lasts[row] = ts
        return newest, newest
    if ts < starts[row] - gap:
        return newest + 1, newest + 1
    starts[row] = min(starts[row], ts)
    lasts[row] = max(lasts[row], ts)
    return serials[row], newest


@jit()
def insert_event(
    row: int,
    item: int,
    ts: float,
    head: int,
    gap: float,
    tails: SessionTails,
    ties: Hashes,
    out_items: Items,
    out_times: Times,
) -> tuple[int, bool]:
    """Copy the events within the gap of `ts`, then insert the event by time.

    Returns the number of events copied, and whether the item is among them.

    Parameters
    ----------
    row, item, head
        Row of the user, the item, and what the user did.
    out_items, out_times : ndarray, shape (length,)
        Receive the events, oldest first.
    """
    items, times, sizes, heads = tails
    size = sizes[row]
    length = items.shape[1]
    n = 0
    repeat = False
    slot = 0
    for at in range(size):
        other_ts = times[row, at]
        if abs(ts - other_ts) <= gap:
            out_items[n] = items[row, at]
            out_times[n] = other_ts
            n += 1
            repeat |= items[row, at] == item
        tie, own_tie = ties[items[row, at]], ties[item]
        is_before = tie < own_tie or (tie == own_tie and heads[row, at] <= head)
        if other_ts < ts or (other_ts == ts and is_before):
            slot = at + 1
    if size == length:
        if slot == 0:
            return n, repeat
        slot -= 1
        for at in range(slot):
            items[row, at] = items[row, at + 1]
            times[row, at] = times[row, at + 1]
            heads[row, at] = heads[row, at + 1]
    else:
        for at in range(size, slot, -1):
            items[row, at] = items[row, at - 1]
            times[row, at] = times[row, at - 1]
            heads[row, at] = heads[row, at - 1]
        sizes[row] = size + 1
    items[row, slot] = item
    times[row, slot] = ts
    heads[row, slot] = head
    return n, repeat

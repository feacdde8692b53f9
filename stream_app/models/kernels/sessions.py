"""Remembered sessions, and the postings of items in them; see `stream_app.models.session_store`."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.models.array_types import Items, Mask, Sizes, Times
from stream_app.models.kernels.jit import DIVISIONS, jit


class SessionArrays(NamedTuple):
    """Sessions and postings.

    Attributes
    ----------
    items : ndarray of int32, shape (sessions, length)
        Items clicked in each session, in order; `NO_ITEM` for a forgotten item.
    sizes : ndarray of int32, shape (sessions,)
        Clicks held.
    serials : ndarray of int64, shape (sessions,)
        Serial number of the session in each row, -1 for none; the row is serial modulo rows.
    owners : ndarray of uint64, shape (sessions,)
        Stable hash of the user.
    times : ndarray of float64, shape (sessions,)
        Event time of the newest click, seconds since the epoch.
    posting_sessions : ndarray of int64, shape (n_items, postings)
        Sessions of the item's newest clicks, a ring.
    posting_positions : ndarray of int8, shape (n_items, postings)
        Positions of these clicks in their sessions.
    clicks : ndarray of int64, shape (n_items,)
        Number of clicks of each item so far.
    first_session : ndarray of int64, shape (n_items,)
        Session of the item's first click.
    """

    items: Items
    sizes: Sizes
    serials: NDArray[np.int64]
    owners: NDArray[np.uint64]
    times: Times
    posting_sessions: NDArray[np.int64]
    posting_positions: NDArray[np.int8]
    clicks: NDArray[np.int64]
    first_session: NDArray[np.int64]


@jit(fastmath=DIVISIONS, numpy_errors=True)
def add_click(memory: SessionArrays, serial: int, owner: Any, item: int, ts: float) -> bool:
    """Add a click to its session and to the postings of its item.

    Parameters
    ----------
    memory
        Sessions to update.
    serial
        Serial number of the session; ignored if a newer session has its row.
    owner : uint64
        Stable hash of the user.
    item, ts
        The item and the event time.

    Returns
    -------
    bool
        False if the session is new.
    """
    memory = SessionArrays(*memory)
    row = serial % len(memory.sizes)
    opened = memory.serials[row] != serial
    if opened:
        if memory.serials[row] > serial:
            return True
        memory.serials[row] = serial
        memory.owners[row] = owner
        memory.sizes[row] = 0
        memory.times[row] = ts
    elif ts > memory.times[row]:
        memory.times[row] = ts
    size = memory.sizes[row]
    if size < memory.items.shape[1]:
        memory.items[row, size] = item
        memory.sizes[row] = size + 1
        clicks = memory.clicks[item]
        if clicks == 0:
            memory.first_session[item] = serial
        at = clicks % memory.posting_sessions.shape[1]
        memory.posting_sessions[item, at] = serial
        memory.posting_positions[item, at] = size
        memory.clicks[item] = clicks + 1
    return not opened


@jit(fastmath=DIVISIONS, numpy_errors=True)
def forget_items(memory: SessionArrays, removed_mask: Mask) -> None:
    """Remove the items marked in `removed_mask`, shape (n_items,), from every session, and their postings."""
    memory = SessionArrays(*memory)
    rows, _ = memory.items.shape
    for row in range(rows):
        for position in range(memory.sizes[row]):
            item = memory.items[row, position]
            if item >= 0 and removed_mask[item]:
                memory.items[row, position] = -1
    for item in range(min(len(removed_mask), len(memory.clicks))):
        if removed_mask[item]:
            memory.clicks[item] = 0
            memory.first_session[item] = 0

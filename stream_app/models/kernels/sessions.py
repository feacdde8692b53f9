"""Remembered sessions, and the postings of items in them; see `stream_app.models.session_store`."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.models.array_types import Items, Mask, Sizes, Times
from stream_app.models.kernels.jit import DIVISIONS, jit


class SessionArrays(NamedTuple):
    """Sessions and postings."""

    # shape (sessions, length): items clicked in each session, in order; `NO_ITEM` for a forgotten item
    items: Items
    sizes: Sizes  # shape (sessions,): clicks held
    # shape (sessions,): serial number of the session in each row, -1 for none; the row is serial modulo rows
    serials: NDArray[np.int64]
    owners: NDArray[np.uint64]  # shape (sessions,): stable hash of the user
    times: Times  # shape (sessions,): event time of the newest click, seconds since the epoch
    # shape (n_items, postings): sessions of the item's newest clicks, a ring
    posting_sessions: NDArray[np.int64]
    # shape (n_items, postings): positions of these clicks in their sessions
    posting_positions: NDArray[np.int8]
    clicks: NDArray[np.int64]  # shape (n_items,): number of clicks of each item so far
    first_session: NDArray[np.int64]  # shape (n_items,): session of the item's first click


@jit(fastmath=DIVISIONS, numpy_errors=True)
def add_click(memory: SessionArrays, serial: int, owner: np.uint64, item: int, ts: float) -> bool:
    """Add a click to its session and to the postings of its item; return False if the session is new.

    Parameters
    ----------
    serial
        Serial number of the session; ignored if a newer session has its row.
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

"""Republication after an assignment: marks the recently active users of the assigned partitions as pending."""

import asyncio
from collections.abc import Callable
from typing import Final

from state.row import ErasureStage, UserRow
from state.user_rows import UserRowStore
from stream_app.publishing.pending_queue import PendingQueue

_SCAN_BATCH: Final = 200
"""Rows scanned before other tasks run."""


async def republish_recent_users(
    rows: UserRowStore, queue: PendingQueue, oldest: float, is_interrupted: Callable[[], bool]
) -> int | None:
    """Mark recently active users as pending: a crash or Redis may have lost their lists.

    Parameters
    ----------
    queue
        Receives the users, the stale lists of their items and segments, and the erasures.
    oldest
        Users with an event at or after this time are published, seconds since the epoch.
    is_interrupted
        Whether the partitions were revoked meanwhile.

    Returns
    -------
    int or None
        Number of rows; None if the scan was interrupted.
    """
    n_rows = 0
    for user_id, row in rows.scan():
        n_rows += 1
        is_returned = bool(row.counts.total)
        if (row.erasure is not None or not is_returned) and _is_erasure_open(rows.get(user_id)):
            # A crash may have prevented the deletion from Redis. The second lookup excludes users who returned, or
            # whose erasure was completed, during the scan.
            queue.add_erasure(user_id)
        if is_returned and (row.last_ts >= oldest or row.erasure is not None):
            queue.mark_pending(user_id)
            queue.invalidate([entry.item_id for entry in row.recent], row.segments)
        if n_rows % _SCAN_BATCH == 0:
            await queue.wait_for_capacity()
            await asyncio.sleep(0)
        if is_interrupted():
            return None
    return n_rows


def _is_erasure_open(row: UserRow) -> bool:
    """Whether Redis may still have lists from before the erasure of a user; an earlier version left no mark."""
    if row.erasure is None:
        return not row.counts.total
    return row.erasure.stage is ErasureStage.PENDING

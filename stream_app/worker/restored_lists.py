"""Deletes lists in Redis that no event deletes any more.

Redis may return with older data: from a dump, or from a replica that lagged. The rows of erased users no longer have
their ids, but each key of a list has one, whose hash tells whether the user was erased.

The list of a query is deleted when an erasure makes the query private. Which queries wait for it is in memory alone,
so a worker that ended while Redis was unavailable has forgotten them: each start looks for queries that are private.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection
from typing import Final, Protocol

from stream_app.publishing.pending_queue import PendingQueue

_LOG: Final = logging.getLogger(__name__)
_PAUSE_SECONDS: Final = 0.005
"""Between two portions of keys: Redis serves readers meanwhile."""


class StoredLists(Protocol):
    """The part of `stream_app.publishing.sentinel.Sentinel` that is used."""

    def queries(self) -> AsyncIterator[list[str]]:
        """The queries with a key in the store, in portions."""

    def user_ids(self) -> AsyncIterator[list[str]]:
        """The users with a key in the store, in portions."""

    async def with_lists(self, user_ids: Collection[str]) -> list[str]:
        """Those of some users who have a list in the store."""


class ErasedUsers(Protocol):
    """The part of `state.user_table.FaustUserRows` that is used."""

    def is_erased(self, user_id: str) -> bool:
        """Whether a user of this worker's partitions was erased lately, and has not returned."""


async def erase_restored_lists(
    store: StoredLists,
    rows: ErasedUsers,
    queue: PendingQueue,
    is_interrupted: Callable[[], bool],
) -> int:
    """Queue the deletion of lists of erased users.

    Parameters
    ----------
    is_interrupted
        Whether the partitions were revoked meanwhile.

    Returns
    -------
    int
        Number of erased users with a list.

    Raises
    ------
    PublisherUnavailableError
        If Redis is unavailable.
    StoreError
        If the local store cannot be read.
    """
    n_found = 0
    async for portion in store.user_ids():
        if is_interrupted():
            break
        erased = [each for each in portion if rows.is_erased(each) and not queue.is_erasure_pending(each)]
        # For some minutes after an erasure the keys hold a mark: they are not erased for ever.
        for user_id in await store.with_lists(erased):
            queue.add_erasure(user_id)
            n_found += 1
        await queue.wait_for_capacity()
        await asyncio.sleep(_PAUSE_SECONDS)
    if n_found:
        _LOG.warning("Redis had lists of %d users who were erased; deleting them again", n_found)
    return n_found


async def withdraw_private_queries(
    store: StoredLists,
    is_public: Callable[[str], bool],
    queue: PendingQueue,
    is_interrupted: Callable[[], bool],
) -> int:
    """Queue the deletion of lists of queries that are not public.

    Parameters
    ----------
    is_public
        Whether a list of a query may be published. It is False for a query that the models have evicted, too.
    is_interrupted
        Whether the partitions were revoked meanwhile.

    Returns
    -------
    int
        Number of these queries; one may be counted twice.

    Raises
    ------
    PublisherUnavailableError
        If Redis is unavailable.
    """
    n_found = 0
    async for portion in store.queries():
        if is_interrupted():
            break
        private = [query for query in portion if not is_public(query)]
        queue.withdraw_queries(private)
        n_found += len(private)
        await queue.wait_for_capacity()
        await asyncio.sleep(_PAUSE_SECONDS)
    if n_found:
        _LOG.info(
            "Redis had the lists of %d queries that are not public, or no longer known; deleting them",
            n_found,
        )
    return n_found

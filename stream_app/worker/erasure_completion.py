"""Completes erasures once Redis has no list of the user: nothing stays stored under the user id.

An erasure empties the row and queues the deletion of the lists from Redis at once. While Redis is unavailable, or
after a crash, the emptied row under the user id is what remembers the deletion, so that it stays until Redis has
acknowledged it. Then `state.erased_rows` moves what is left of the row under a one-way hash.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from itertools import islice
from typing import Final

from state.erased_rows import Detachment, ErasedRows
from state.user_rows import DamagedStoreError, StoreError
from stream_app.kafka.partition_fence import NotOwnedError, PartitionFence

_LOG: Final = logging.getLogger(__name__)
_USERS_PER_STEP: Final = 500
RETRY_SECONDS: Final = 1.0


class ErasureCompletion:
    """Moves the rows of erased users.

    Parameters
    ----------
    fence
        The partitions that this worker owns.
    flush
        Waits until Kafka has acknowledged all appended records.
    is_pending
        Whether lists of a user are still to be deleted from Redis.
    clock
        Seconds since the epoch.

    Attributes
    ----------
    n_completed
        Number of users whose rows were moved.
    """

    def __init__(
        self,
        rows: ErasedRows,
        fence: PartitionFence,
        flush: Callable[[], Awaitable[None]],
        is_pending: Callable[[str], bool],
        clock: Callable[[], float] = time.time,
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        self._rows = rows
        self._fence = fence
        self._flush = flush
        self._is_pending = is_pending
        self._clock = clock
        self._retry_seconds = retry_seconds
        self._users: dict[str, None] = {}
        self._work_available: Final = asyncio.Event()
        self.n_completed = 0

    def on_erased(self, user_ids: Iterable[str]) -> None:
        """Add users whose lists Redis no longer has."""
        self._users.update(dict.fromkeys(user_ids))
        if self._users:
            self._work_available.set()

    def clear(self) -> None:
        """Drop all users: their partitions moved, and the next owner finds them in the rows."""
        self._users.clear()

    async def run(self) -> None:
        """Complete erasures for ever.

        Raises
        ------
        DeliveryError
            If Kafka did not acknowledge a record.
        DamagedStoreError
            If files of the local store are damaged.
        """
        while True:
            await self._work_available.wait()
            self._work_available.clear()
            while self._users:
                await self.complete()

    async def complete(self) -> None:
        """Complete the erasures of some users, the longest waiting first."""
        async with self._rows.lock:
            await self._complete()

    async def _complete(self) -> None:
        users = list(islice(self._users, _USERS_PER_STEP))
        generation = self._fence.generation
        try:
            # A user who is pending again was erased again; they come back when Redis has acknowledged that.
            detachments = [
                found
                for user in users
                if not self._is_pending(user)
                and (found := self._rows.append(user, self._clock())) is not None
            ]
            if detachments:
                await self._flush()
                # A batch that was begun under an earlier ownership was dropped, not sent.
                self._fence.verify(generation)
                for each in detachments:
                    self._fence.epoch(each.partition)
            changed = self._apply(detachments)
        except NotOwnedError:
            self.clear()
            return
        except DamagedStoreError:
            raise
        except StoreError as error:
            _LOG.info("the rows of %d erased users cannot be moved yet: %s", len(users), error)
            await asyncio.sleep(self._retry_seconds)
            return
        for user in users:
            self._users.pop(user, None)
        self._users.update(dict.fromkeys(changed))

    def _apply(self, detachments: list[Detachment]) -> list[str]:
        """Move rows in the local store; return the users whose rows an event has changed meanwhile."""
        changed = [each.user_id for each in detachments if not self._rows.apply(each)]
        self.n_completed += len(detachments) - len(changed)
        return changed

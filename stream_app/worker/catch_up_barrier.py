"""Holds events back after an assignment, until the worker has caught up; not beyond the assignment."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, Literal


class CatchUpBarrier(asyncio.Event):
    """Open while events may be handled.

    Before partitions are revoked, and before the worker stops, Faust waits for the event that the agent has. It must
    not wait for the logs: reading them may take minutes, and the group expels a member that does not join in time.

    Parameters
    ----------
    suspension
        The event that is set while Faust delivers no messages: since partitions are revoked, or the worker stops.
    """

    def __init__(self, suspension: Callable[[], Any]) -> None:
        super().__init__()
        self._suspension: Final = suspension

    async def wait(self) -> Literal[True]:
        """Wait until the barrier is open, or the event that waits is to be dropped."""
        await self.unless_suspended(super().wait())
        return True

    async def unless_suspended(self, waited: Coroutine[Any, Any, object]) -> None:
        """Wait for something, at most until Faust delivers no messages any more."""
        ends = [asyncio.ensure_future(each) for each in (waited, self._suspension().wait())]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in ends:
                each.cancel()

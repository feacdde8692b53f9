"""The lease of a consumer group's member on its partitions.

The coordinator gives the partitions of a member to others when it has received no heartbeat for the session timeout.
So until the session timeout has passed since the member sent its last acknowledged heartbeat, no other member owns
its partitions. The clock counts while the process or the machine is stopped.
"""

import time
from collections.abc import Callable
from typing import Any, Final

from aiokafka.protocol.group import HeartbeatRequest, SyncGroupRequest


def boot_time() -> float:
    """Seconds since the machine started, with those in which it was suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class GroupLease:
    """The lease of this process.

    Parameters
    ----------
    seconds
        The session timeout of the consumer group.
    clock
        Seconds, monotonic.

    Examples
    --------
    >>> now = 100.0
    >>> lease = GroupLease(10.0, clock=lambda: now)
    >>> lease.is_held()
    False
    >>> lease.renew(99.0)
    >>> lease.is_held()
    True
    >>> now = 110.0
    >>> lease.is_held()
    False
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = boot_time) -> None:
        self._seconds: Final = seconds
        self._clock = clock
        self._renewed_at = float("-inf")

    def renew(self, sent_at: float) -> None:
        """Renew the lease after the coordinator acknowledged a request that was sent at `sent_at`."""
        self._renewed_at = max(self._renewed_at, sent_at)

    def is_held(self) -> bool:
        """Whether no other member can own the partitions of this one."""
        return self._clock() < self._renewed_at + self._seconds

    def follow(self, coordinator: Any) -> None:
        """Renew the lease with each acknowledged heartbeat and assignment of an aiokafka group coordinator."""
        send = coordinator._send_req  # noqa: SLF001  # aiokafka reports no heartbeats
        if getattr(send, "is_followed", False):
            return

        async def send_and_renew(request: Any) -> Any:
            sent_at = self._clock()
            response = await send(request)
            if isinstance(request, (HeartbeatRequest, SyncGroupRequest)) and not response.error_code:
                self.renew(sent_at)
            return response

        send_and_renew.is_followed = True  # type: ignore[attr-defined]  # marks the replaced method
        coordinator._send_req = send_and_renew  # noqa: SLF001  # see above

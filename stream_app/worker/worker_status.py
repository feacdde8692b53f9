"""What a worker is doing, for its probes: whether its event loop runs, and whether it processes events."""

import asyncio
import logging
import time
from collections.abc import Callable
from enum import StrEnum
from typing import Final

_LOG: Final = logging.getLogger(__name__)

STALLED_SECONDS: Final = 60.0
"""An event loop that has not run for so long does not go on by itself."""

_BEAT_SECONDS: Final = 1.0


class Stage(StrEnum):
    """What a worker does before it processes events."""

    STARTING = "starting: compiling the models"
    JOINING = "waiting for partitions from the consumer group"
    RECOVERING = "recovering the users table"
    CATCHING_UP = "catching up with the logs of the models"
    RESTORING = "restoring published lists"
    LOADING = "waiting for the announced two-tower model"
    READY = "ready"
    STOPPING = "stopping"


class WorkerStatus:
    """The stage of a worker, and when its event loop ran last.

    Parameters
    ----------
    is_ready
        Whether the worker processes events now: it may not although it is at the last stage, if its store fails.
    clock
        Seconds, monotonic.

    Examples
    --------
    >>> status = WorkerStatus(lambda: False)
    >>> status.liveness(), status.readiness()
    ('', 'starting: compiling the models')
    """

    def __init__(self, is_ready: Callable[[], bool], clock: Callable[[], float] = time.monotonic) -> None:
        self._is_ready: Final = is_ready
        self._clock: Final = clock
        self._began: Final = clock()
        self._beat: float | None = None
        self._stage = Stage.STARTING

    def enter(self, stage: Stage) -> None:
        """Begin a stage; a worker that stops enters no other."""
        if self._stage is not Stage.STOPPING:
            self._stage = stage

    def liveness(self) -> str:
        """What is wrong if this process must be restarted; empty otherwise. A start counts as alive."""
        if self._beat is None or (silent := self._clock() - self._beat) <= STALLED_SECONDS:
            return ""
        return f"the event loop has not run for {silent:.0f} s"

    def readiness(self) -> str:
        """What this worker does instead of processing events; empty if it processes them."""
        if self._stage is not Stage.READY:
            return str(self._stage)
        return "" if self._is_ready() else "taking no events: the local store fails"

    def log_address(self, host: str, port: int) -> None:
        """Log where the metrics and probes are."""
        _LOG.info("metrics at http://%s:%d/metrics, probes at /livez and /readyz", host, port)

    def log_ready(self, partitions: int, users: int) -> None:
        """Log one line, when the worker begins to process events."""
        _LOG.info(
            "ready %.1f s after the start: %d partitions, %d users",
            self._clock() - self._began,
            partitions,
            users,
        )

    async def run(self) -> None:
        """Note each second that the event loop runs."""
        while True:
            self._beat = self._clock()
            await asyncio.sleep(_BEAT_SECONDS)

"""Starts a worker again when it ends, as the supervisor of a shop does."""

import time
from collections.abc import Callable
from typing import Final

from tests.support.integration_environment import IntegrationEnvironment
from tests.support.worker_handle import wait_until

_RESTART_SECONDS: Final = 1.0


class SupervisedWorker:
    """A worker that is started again when it ended.

    Attributes
    ----------
    handle
        The current process.
    n_restarts
        How often it was started again.
    """

    def __init__(self, environment: IntegrationEnvironment, number: int = 1) -> None:
        self._environment = environment
        self._number = number
        self._started_at = time.monotonic()
        self.handle = environment.start_worker(number)
        self.n_restarts = 0

    def restart_if_ended(self) -> None:
        """Start it again if it ended, at most once per second."""
        if not self.handle.alive and time.monotonic() >= self._started_at + _RESTART_SECONDS:
            self._started_at = time.monotonic()
            self.handle = self._environment.start_worker(self._number)
            self.n_restarts += 1

    def wait_until(
        self, condition: Callable[[], object], description: str, *, seconds: float = 240.0
    ) -> None:
        """Poll until `condition` holds, and restart the worker meanwhile."""

        def restart_then_condition() -> object:
            self.restart_if_ended()
            try:
                return self.handle.alive and condition()
            except AssertionError:
                # It ended meanwhile.
                if self.handle.alive:
                    raise
                return False

        try:
            wait_until(restart_then_condition, description, seconds=seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.handle.log}") from None

    def last(self, seconds: float) -> None:
        """Let time pass, and restart the worker meanwhile."""
        until = time.monotonic() + seconds

        def is_over() -> bool:
            self.restart_if_ended()
            return time.monotonic() >= until

        wait_until(is_over, "the time to pass", seconds=2 * seconds)

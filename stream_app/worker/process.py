"""Runs a Faust application as this process; imports no models, so that the benchmark's baselines start as fast."""

import gc
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Final, NoReturn

import faust

_LOG: Final = logging.getLogger(__name__)

FAILED_SECONDS: Final = 30.0
"""Seconds in which a process ends after a failure."""

STOP_SECONDS: Final = 90.0
"""Seconds in which a process ends after SIGTERM or Ctrl-C."""


def exit_at_once() -> NoReturn:
    """End this process with status 1, as after a crash: nothing is closed or waited for."""
    os._exit(1)


class EndDeadline:
    """Ends this process at once when its orderly end takes too long, even if its event loop is blocked.

    What an orderly end waits for (Kafka, Redis, a store of snapshots, a thread) may never answer. What is not done is
    done after the next start, as after a crash.

    Parameters
    ----------
    end
        Ends the process, or replaces it by a new one.
    """

    def __init__(self, end: Callable[[], object] = exit_at_once) -> None:
        self._end: Final = end
        self._lock: Final = threading.Lock()
        self._at = float("inf")

    def arm(self, seconds: float) -> None:
        """End the process after these seconds; of several calls, the earliest end counts."""
        at = time.monotonic() + seconds
        with self._lock:
            if at >= self._at:
                return
            self._at = at
        timer = threading.Timer(seconds, self._expire, (seconds,))
        # It must not hold up an end in time.
        timer.daemon = True
        timer.start()

    def _expire(self, seconds: float) -> None:
        _LOG.error("the worker did not end within %.0f s; ending it at once, as after a crash", seconds)
        self._end()


class _Process(faust.Worker):  # type: ignore[misc]
    """Faust's worker; it says when its end begins."""

    on_end: Callable[[float], object]
    on_crash: Callable[[BaseException], object]

    def _crash(self, reason: BaseException) -> None:
        # Called for a failure of any service, and in the thread of that service.
        self.on_end(FAILED_SECONDS)
        self.on_crash(reason)
        super()._crash(reason)

    def _stopped_set(self) -> None:
        self.on_end(STOP_SECONDS)
        super()._stopped_set()


def run_app(
    app: faust.App,
    on_end: Callable[[float], Any] = lambda _: None,
    on_crash: Callable[[BaseException], Any] = lambda _: None,
) -> None:
    """Run an application in this process until SIGTERM or Ctrl-C; ends the process.

    Parameters
    ----------
    on_end
        Called when the end begins, with the seconds that it may take; possibly several times, in any thread.
    on_crash
        Called with the error of a service that ends the process; possibly several times, in any thread.
    """
    # Rows and lists have no reference cycles, and a full collection of all of them adds milliseconds to freshness.
    gc.set_threshold(100_000, 50, 1_000)
    # Faust's own logging setup would set the root logger to DEBUG and filter in its handlers.
    worker = _Process(app, quiet=True, redirect_stdouts=False, override_logging=False)
    worker.on_end, worker.on_crash = on_end, on_crash
    # The spinner writes control codes to the log.
    worker.spinner = None
    worker.execute_from_commandline()


def restart() -> NoReturn:
    """Replace this process by a new one with the same arguments, and the same process id."""
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606  # its own command line

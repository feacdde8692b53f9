"""Runs a Faust application as this process; imports no models, so that the benchmark's baselines start as fast."""

import gc
import os
import sys
from typing import NoReturn

import faust


def run_app(app: faust.App) -> None:
    """Run an application in this process until SIGTERM or Ctrl-C; ends the process."""
    # Rows and lists have no reference cycles, and a full collection of all of them adds milliseconds to freshness.
    gc.set_threshold(100_000, 50, 1_000)
    # Faust's own logging setup would set the root logger to DEBUG and filter in its handlers.
    worker = faust.Worker(app, quiet=True, redirect_stdouts=False, override_logging=False)
    # The spinner writes control codes to the log.
    worker.spinner = None
    worker.execute_from_commandline()


def restart() -> NoReturn:
    """Replace this process by a new one with the same arguments, and the same process id."""
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606  # its own command line

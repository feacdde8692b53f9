"""A Faust application as the whole of this process; imports no models, so that the yardsticks start as fast."""

import gc

import faust


def run_app(app: faust.App) -> None:
    """Run an application in this process until SIGTERM or ctrl-C; ends the process."""
    # Rows and lists hold no cycles; a full collection over all of them costs milliseconds of freshness.
    gc.set_threshold(100_000, 50, 1_000)
    # Faust's own set-up of logging would put the root logger at DEBUG and filter in its handlers.
    worker = faust.Worker(app, quiet=True, redirect_stdouts=False, override_logging=False)
    # The spinner would write control codes into logs.
    worker.spinner = None
    worker.execute_from_commandline()

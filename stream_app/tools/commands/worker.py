"""Run a worker in this process."""

from stream_app.settings import load_settings
from stream_app.tools.cli.worker import WorkerOptions
from stream_app.worker.lifecycle import run_worker


def run(options: WorkerOptions) -> None:
    """Run a worker until a signal stops it."""
    run_worker(
        load_settings(
            data_dir=options.data_dir, metrics_port=options.metrics_port, log_level=options.log_level
        )
    )

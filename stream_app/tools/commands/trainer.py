"""Run a trainer in this process."""

from stream_app.encoders.optional_packages import import_package
from stream_app.settings import load_settings
from stream_app.tools.cli.trainer import TrainerOptions


def run(options: TrainerOptions) -> None:
    """Run a trainer until a signal stops it."""
    settings = load_settings(
        data_dir=options.data_dir, metrics_port=options.metrics_port, log_level=options.log_level
    )
    import_package("stream_app.trainer.process", "neural", "headrace trainer").run_trainer(settings)

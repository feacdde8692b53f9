"""A ``headrace`` process of a run, with its own folder, log and metrics port."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from stream_app.settings import child_environment
from stream_app.tools.embedded.child_process import free_port, start_process


class HeadraceChild:
    """A process that serves its metrics on a free port of this machine.

    Parameters
    ----------
    subcommand
        Of ``headrace``.
    folder, name
        Its data is in the folder of this name, its log beside it.
    settings
        Further settings by field name.
    command
        Command to run; by default this installation's ``headrace SUBCOMMAND``.

    Attributes
    ----------
    port
        Of its metrics.
    """

    def __init__(
        self,
        subcommand: str,
        folder: Path,
        name: str,
        settings: Mapping[str, object],
        command: tuple[str, ...] | None = None,
    ) -> None:
        self.port: Final = free_port()
        self.log_path: Final = folder / f"{name}.log"
        environment = child_environment(
            **settings, data_dir=folder / name, metrics_port=self.port, metrics_host="127.0.0.1"
        )
        with self.log_path.open("wb") as log:
            self.process: Final = start_process(
                command or (sys.executable, "-m", "stream_app", subcommand),
                log=log,
                environment={**environment, "PYTHONUNBUFFERED": "1"},
            )

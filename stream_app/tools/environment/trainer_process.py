"""A trainer of the two-tower model as a child process, beside the workers of a run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from stream_app.encoders.optional_packages import check_packages
from stream_app.errors import UserError
from stream_app.settings import embedded_override
from stream_app.tools.embedded.child_process import describe_exit, stop_process
from stream_app.tools.environment.child import HeadraceChild

CHECKPOINT_SECONDS: Final = 5.0
"""Between two checkpoints of a run that is watched."""

SNAPSHOT_SECONDS: Final = 30.0
"""Between two snapshots of the trainer of such a run."""

_STOP_SECONDS: Final = 20.0


def check_trainer(purpose: str) -> None:
    """Check, before anything is started, that a run may have a trainer of its own.

    Parameters
    ----------
    purpose
        What needs it, the subject of the message's sentence.

    Raises
    ------
    UserError
        If a package is not installed, or the broker is an external one: all workers of a broker follow the
        announcements of one trainer.
    """
    check_packages(("jax", "optax"), "neural", purpose)
    if broker := embedded_override("BROKER"):
        raise UserError(
            f"{purpose} needs a broker of its own: its trainer would announce models to all workers of {broker}. "
            "Unset HEADRACE_BROKER, or run `headrace trainer` there, and the workers with HEADRACE_NEURAL=true."
        )


class TrainerProcess(HeadraceChild):
    """One ``headrace trainer``.

    Parameters
    ----------
    folder
        Folder of its log.
    settings
        Further settings by field name.
    command
        Command to run; by default this installation's ``headrace trainer``.
    """

    def __init__(
        self, folder: Path, settings: Mapping[str, object], command: tuple[str, ...] | None = None
    ) -> None:
        super().__init__("trainer", folder, "trainer", settings, command)

    @property
    def failure(self) -> str:
        """How it ended, which it does only when it fails; empty while it runs."""
        code = self.process.poll()
        return "" if code is None else describe_exit(code)

    def stop(self) -> None:
        """Terminate it, wait, and kill it if it does not exit in time."""
        stop_process(self.process, seconds=_STOP_SECONDS)

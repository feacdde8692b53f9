"""``headrace rebuild``: fold the log into new models, compare them with a snapshot, and store them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import typer

from stream_app.tools.cli.command import add_command

HELP = (
    "Fold the log into new models, and compare them with those of the workers.\n\n"
    "The topics interactions, catalog.items and rewards are read from their starts. The new models are compared with "
    "those of the newest snapshot (HEADRACE_MODEL_STORE) as of its positions, by digests of the additive models: "
    "their sums do not depend on the order of arrival.\n\n"
    "Exit status 0: all are equal; 1: one is different; 3: no model could be compared. With `--write` it is 0 if the "
    "snapshot was written.\n\n"
    "To change hyperparameters without a gap, run `headrace rebuild --write --keep` with the new settings while the "
    "workers run with the old ones, then restart them with the new settings, one by one: each starts from the models "
    "that were learned here.\n\n"
    "Examples: `headrace rebuild`; "
    '`HEADRACE_MODEL_PARAMETERS=\'{"session_knn": {"postings": 300}}\' headrace rebuild --write --keep`.'
)


@dataclass(frozen=True, kw_only=True, slots=True)
class RebuildOptions:
    """Up to when to fold, and what to do with the models."""

    until: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d"],
            help="Fold the records up to this time of the broker's clock, UTC; by default all that there are at the "
            "start.",
        ),
    ] = None
    write: Annotated[
        bool,
        typer.Option(
            "--write",
            help="Store the models as a snapshot, after reading what arrived meanwhile (unless a time is given). "
            "Workers with these settings load it at their next start.",
        ),
    ] = False
    keep: Annotated[
        bool,
        typer.Option(
            "--keep",
            help="Only with `--write`: take the parts that fit these settings from the newest snapshot, and learn "
            "the others from the log. What was learned before the log begins is not lost.",
        ),
    ] = False


def register(cli: typer.Typer) -> None:
    """Add the command."""
    add_command(cli, "rebuild", "rebuild:run", RebuildOptions, help=HELP)

"""The entry point ``headrace`` (and ``python -m stream_app``)."""

import sys
from importlib import import_module
from typing import Annotated

import typer

from stream_app.errors import UserError

COMMAND_MODULES = (
    "demo",
    "simulate",
    "worker",
    "trainer",
    "replay",
    "show",
    "topics",
    "dead_letters",
    "republish",
    "snapshots",
    "rebuild",
    "doctor",
    "compile",
    "check_model",
    "settings",
    "policies",
    "evaluate",
    "tune",
    "embed",
    "federate",
)
"""Modules of `stream_app.tools.cli`, in the order that ``--help`` lists their commands."""


def build_cli() -> typer.Typer:
    """The command line with all commands registered."""
    cli = typer.Typer(
        name="headrace",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        help=(
            "Streaming recommender: from a shop's Kafka events to ranked lists in Redis within a tenth of a second. "
            "Start with `headrace demo`. Settings come from HEADRACE_* variables; `headrace settings` lists them."
        ),
    )

    @cli.callback(invoke_without_command=True)
    def root(
        version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    ) -> None:
        if version:
            from importlib.metadata import version as installed  # noqa: PLC0415  # slow, and only this option needs it

            typer.echo(f"headrace {installed('headrace')}")
            raise typer.Exit

    for module in COMMAND_MODULES:
        import_module(f"stream_app.tools.cli.{module}").register(cli)
    return cli


def main() -> None:
    """Run the command line; a `UserError` is printed as one sentence, with exit status 1."""
    try:
        build_cli()()
    except UserError as error:
        print(f"headrace: {error}", file=sys.stderr)  # noqa: T201  # output of the command line
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()

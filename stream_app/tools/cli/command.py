"""Commands declared by a dataclass of options and the name of the function that runs."""

import inspect
from collections.abc import Callable
from importlib import import_module
from typing import Any

import typer

COMMANDS = "stream_app.tools.commands"


def add_command(cli: typer.Typer, name: str, target: str, options: type | None = None, *, help: str) -> None:  # noqa: A002  # typer's name for it
    """Add a command to a command line or group.

    Parameters
    ----------
    cli
        The command line or group.
    name
        The name of the command.
    target
        ``module:function`` in `stream_app.tools.commands`; imported when the command runs.
    options
        A dataclass; each field, annotated with `typer.Option` or `typer.Argument`, is an option of the command. The
        function receives an instance. None for a command without options.
    help
        What the command does, with an example.

    Examples
    --------
    >>> cli = typer.Typer()
    >>> add_command(cli, "doctor", "doctor:run", help="Check the servers.")
    >>> [command.name for command in cli.registered_commands]
    ['doctor']
    """

    def command(**values: Any) -> None:
        if options is None:
            run_command(target)
        else:
            run_command(target, options(**values))

    # typer reads options from the signature
    command.__signature__ = inspect.Signature() if options is None else inspect.signature(options)  # type: ignore[attr-defined]
    command.__annotations__ = {} if options is None else options.__annotations__
    cli.command(name, help=help)(command)


def run_command(target: str, *arguments: object) -> None:
    """Import the module of a command and call its function with the options."""
    find_target(target)(*arguments)


def find_target(target: str) -> Callable[..., None]:
    """Import the function that ``module:function`` names."""
    module, _, function = target.partition(":")
    target_function: Callable[..., None] = getattr(import_module(f"{COMMANDS}.{module}"), function)
    return target_function

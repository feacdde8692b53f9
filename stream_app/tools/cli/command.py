"""Commands declared by a dataclass of options and the name of the function that runs."""

import inspect
from collections.abc import Callable
from importlib import import_module
from typing import Annotated, Any, NamedTuple, get_args

import typer

COMMANDS = "stream_app.tools.commands"


class ParsedText(NamedTuple):
    """Marks a field whose text on the command line is parsed, for types that typer does not support.

    Attributes
    ----------
    parse
        Converts the text to the value of the field.
    default
        The text that gives the field's default; None for an optional field.
    """

    parse: Callable[[str], object]
    default: str | None = None


def add_command(cli: typer.Typer, name: str, target: str, options: type | None = None, *, help: str) -> None:  # noqa: A002  # typer's name for it
    """Add a command to a command line or group.

    Parameters
    ----------
    target
        ``module:function`` in `stream_app.tools.commands`; imported when the command runs.
    options
        A dataclass; each field, annotated with `typer.Option` or `typer.Argument`, is an option of the command. The
        function receives an instance. None for a command without options. A field may have a
        `ParsedText` before its `typer.Option`.
    help
        What the command does, with an example.

    Examples
    --------
    >>> cli = typer.Typer()
    >>> add_command(cli, "doctor", "doctor:run", help="Check the servers.")
    >>> [command.name for command in cli.registered_commands]
    ['doctor']
    """
    cli.command(name, help=help)(with_options(options, lambda *values: run_command(target, *values)))


def with_options(options: type | None, run: Callable[..., None]) -> Callable[..., None]:
    """A function whose parameters typer reads as options, and that calls `run` with an instance of `options`."""
    parameters = {} if options is None else dict(inspect.signature(options).parameters)
    parsers: dict[str, Callable[[str], object]] = {}
    for field, parameter in parameters.items():
        for text in get_args(parameter.annotation):
            if isinstance(text, ParsedText):
                parsers[field] = text.parse
                parameters[field] = _text_parameter(parameter, text.default)

    def command(**values: Any) -> None:
        for field, parse in parsers.items():
            if values[field] is not None:
                values[field] = parse(values[field])
        run(*(() if options is None else (options(**values),)))

    # typer reads options from the signature
    command.__signature__ = inspect.Signature(list(parameters.values()))  # type: ignore[attr-defined]
    command.__annotations__ = {field: parameter.annotation for field, parameter in parameters.items()}
    return command


def _text_parameter(parameter: inspect.Parameter, default: str | None) -> inspect.Parameter:
    *_, option = get_args(parameter.annotation)
    return parameter.replace(annotation=Annotated[str | None, option], default=default)


def run_command(target: str, *arguments: object) -> None:
    """Import the module of a command and call its function with the options."""
    find_target(target)(*arguments)


def find_target(target: str) -> Callable[..., None]:
    """Import the function that ``module:function`` names."""
    module, _, function = target.partition(":")
    target_function: Callable[..., None] = getattr(import_module(f"{COMMANDS}.{module}"), function)
    return target_function

"""Commands whose options are the fields of a struct, so that each option is declared once.

A field is annotated with `msgspec.Meta`: `description` is the help text, `ge` and `le` are bounds. `extra` holds

- ``names``: option names, by default ``--`` and the name of the field;
- ``metavar``: name of the value in the help text;
- ``parse`` and ``default_text``: a function of the option's text, and the text that gives the field's default.
"""

import inspect
from collections.abc import Callable
from typing import Annotated, Any, TypeVar, get_args, get_type_hints

import msgspec
import typer

OptionsStruct = TypeVar("OptionsStruct", bound=msgspec.Struct)


def add_struct_command(
    cli: typer.Typer,
    name: str,
    options: type[OptionsStruct],
    run: Callable[[OptionsStruct], int],
    *,
    help_text: str,
) -> None:
    """Add a command that exits with the status that `run` returns for its options."""
    hints = get_type_hints(options, include_extras=True)
    parameters: list[inspect.Parameter] = []
    parsers: dict[str, Callable[[str], Any]] = {}
    for field in msgspec.structs.fields(options):
        annotation, meta = get_args(hints[field.name])
        extra = meta.extra or {}
        default = field.default
        if "parse" in extra:
            parsers[field.name] = extra["parse"]
            annotation, default = str | None, extra.get("default_text")
        option = typer.Option(
            *extra.get("names", ()),
            help=meta.description,
            metavar=extra.get("metavar"),
            min=meta.ge,
            max=meta.le,
        )
        parameters.append(
            inspect.Parameter(
                field.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=default,
                annotation=Annotated[annotation, option],
            )
        )

    def command(**values: Any) -> None:
        for field_name, parse in parsers.items():
            if values[field_name] is not None:
                values[field_name] = parse(values[field_name])
        raise typer.Exit(run(options(**values)))

    # typer reads the options of a command from its signature.
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    cli.command(name, help=help_text)(command)

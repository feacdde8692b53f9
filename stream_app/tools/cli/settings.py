"""``headrace settings``: every setting, its value and what it does."""

import sys

import typer


def register(cli: typer.Typer) -> None:
    """Add the command."""

    @cli.command()
    def settings() -> None:
        """List every setting: its variable, its value now, what it does."""
        from rich.console import Console  # noqa: PLC0415
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        from stream_app.settings import Settings, load_settings, without_password  # noqa: PLC0415

        current = load_settings()
        table = Table("variable", "value", "meaning", box=None, pad_edge=False)
        for name, field in Settings.model_fields.items():
            value = str(getattr(current, name))
            displayed = without_password(value) if name == "redis" else value
            table.add_row(f"HEADRACE_{name.upper()}", Text(displayed), Text(field.description or ""))
        # Into a pipe nothing is cut: whoever reads it there has no use for columns of a terminal.
        Console(width=None if sys.stdout.isatty() else 400).print(table)

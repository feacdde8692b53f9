"""``headrace settings``: every setting, its value and what it does."""

import typer


def register(cli: typer.Typer) -> None:
    """Add the command."""

    @cli.command()
    def settings() -> None:
        """List every setting: its variable, its value now, what it does."""
        from rich.console import Console  # noqa: PLC0415
        from rich.table import Table  # noqa: PLC0415

        from stream_app.settings import Settings, load_settings  # noqa: PLC0415

        current = load_settings()
        table = Table("variable", "value", "meaning", box=None, pad_edge=False)
        for name, field in Settings.model_fields.items():
            table.add_row(f"HEADRACE_{name.upper()}", str(getattr(current, name)), field.description)
        Console().print(table)

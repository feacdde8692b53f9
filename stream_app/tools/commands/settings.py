"""Print a table of all settings."""

import sys

from rich.console import Console
from rich.table import Table
from rich.text import Text

from stream_app.settings import Settings, load_settings, without_password


def run() -> None:
    """Print variable, value and meaning of each setting; passwords are left out."""
    current = load_settings()
    table = Table("variable", "value", "meaning", box=None, pad_edge=False)
    for name, field in Settings.model_fields.items():
        value = str(getattr(current, name))
        displayed = without_password(value) if name == "redis" else value
        table.add_row(f"HEADRACE_{name.upper()}", Text(displayed), Text(field.description or ""))
    # A pipe has no width: cells are not cut there.
    Console(width=None if sys.stdout.isatty() else 400).print(table)

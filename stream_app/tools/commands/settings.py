"""Print a table of all settings."""

import json
import sys

from rich.console import Console
from rich.table import Table
from rich.text import Text

from stream_app.settings import Settings, load_settings, without_password


def run() -> None:
    """Print variable, value and meaning of each setting.

    A value has the form that the variable takes, so that it can be copied: objects and lists are JSON. Passwords are
    left out.
    """
    values = load_settings().model_dump(mode="json")
    table = Table("variable", "value", "meaning", box=None, pad_edge=False)
    for name, field in Settings.model_fields.items():
        value = values[name] if isinstance(values[name], str) else json.dumps(values[name])
        value = "" if values[name] is None else value
        displayed = without_password(value) if name in ("redis", "model_store") else value
        table.add_row(f"HEADRACE_{name.upper()}", Text(displayed), Text(field.description or ""))
    # A pipe has no width: cells are not cut there.
    Console(width=None if sys.stdout.isatty() else 1_000).print(table)

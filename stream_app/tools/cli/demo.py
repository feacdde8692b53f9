"""``headrace demo``: all components on one machine, shown live on the terminal."""

import typer

from stream_app.tools.cli.command import add_command
from stream_app.tools.demo.demo_options import DemoOptions

HELP = (
    "Start an embedded Kafka broker, Redis and workers, feed events, and show how lists change.\n\n"
    "Without --events a small generated shop is fed until Ctrl-C, which stops everything cleanly. A log "
    "ends on its own once all its rows are processed.\n\n"
    "\b\nExamples:\n"
    "  headrace demo\n"
    "  headrace demo --seconds 30 --report results.json\n"
    "  headrace demo --neural\n"
    "  headrace demo --events events.csv.gz --format trivago\n\n"
    "HEADRACE_BROKER and HEADRACE_REDIS name external servers to use instead. On these the workers form a "
    "separate consumer group, start at the latest offsets, and leave topics and lists in place."
)


def register(cli: typer.Typer) -> None:
    """Add the command."""
    add_command(cli, "demo", "demo:run", DemoOptions, help=HELP)

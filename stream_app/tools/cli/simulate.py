"""``headrace simulate``: simulated users read lists and send events; results are compared by policy."""

import typer

from stream_app.tools.cli.command import add_command
from stream_app.tools.simulator.simulation_options import SimulationOptions

HELP = (
    "Run simulated users who read their lists and send events, and compare policies by the results.\n\n"
    "Simulated users are ordinary clients: they read Redis and send events to Kafka. With --sessions each replays "
    "a session of a real log, and clicks an examined item of the list if the session goes there later; without it "
    "users are generated, with tastes that change. docs/simulator.md describes how they examine, click and buy.\n\n"
    "\b\nFormats: diginetica (one JSON list of item ids per line), yoochoose, trivago, jsonl.\n\n"
    "\b\nExamples:\n"
    "  headrace simulate --own-servers --report report.json\n"
    "  headrace simulate --sessions train_sessions.jsonl.gz --warm-up 0.5 \\\n"
    "      --tenth 1/10 --own-servers --report report.json\n"
    "  headrace simulate --sessions events.csv.gz --format trivago --users 500\n\n"
    "HEADRACE_BROKER and HEADRACE_REDIS name servers that workers already use; --own-servers starts the servers "
    "that they do not name, and workers. Ctrl-C ends the run with a report of the results so far."
)


def register(cli: typer.Typer) -> None:
    """Add the command."""
    add_command(cli, "simulate", "simulate:run", SimulationOptions, help=HELP)

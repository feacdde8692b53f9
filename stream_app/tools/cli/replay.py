"""``headrace replay``: feed a log file into Kafka."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from stream_app.tools.cli.command import add_command
from stream_app.tools.cli.shared_options import FormatName, Limit, MappingFile, OrderName

HELP = (
    "Feed a log file into Kafka, as the shop would have done.\n\n"
    "Each row becomes an event on its topic, keyed by user. Unreadable rows are sent unchanged, so that they become "
    "dead letters and the counts add up.\n\n"
    "\b\nFormats:\n"
    "  jsonl    Headrace's events, one JSON object per line, with a `type`\n"
    "  csv      any delimited file with a header line, read by a --mapping\n"
    "  trivago  the hotel-search log of the RecSys Challenge 2019\n\n"
    "\b\nExamples:\n"
    "  headrace replay events.jsonl\n"
    "  headrace replay events.csv.gz --format trivago --rate 500\n"
    "  headrace replay shop.tsv --format csv --mapping shop.toml\n\n"
    "docs/feeds.md describes the formats and the mapping. The broker is HEADRACE_BROKER."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplayOptions:
    """A log, how to read it and how fast to feed it."""

    file: Annotated[Path, typer.Argument(metavar="FILE", help="The log; plain or gzip.", show_default=False)]
    format_name: FormatName = "jsonl"
    mapping: MappingFile = None
    rate: Annotated[
        float, typer.Option(min=0, help="Events per second; 0 feeds as fast as the broker accepts.")
    ] = 0
    limit: Limit = None
    order: OrderName = "time"
    keep_time: Annotated[
        bool,
        typer.Option(
            "--keep-time",
            help="Keep the times. By default an old log is shifted so that it ends now: workers accept only events "
            "of the last days (HEADRACE_MAX_EVENT_AGE).",
        ),
    ] = False


def register(cli: typer.Typer) -> None:
    """Add the command."""
    add_command(cli, "replay", "replay:run", ReplayOptions, help=HELP)

"""``headrace demo``: everything on one machine, live on the terminal."""

from pathlib import Path
from typing import Annotated

import typer

from stream_app.tools.cli.replay import FormatName, MappingFile
from stream_app.tools.cli.shared_options import OptionalReportFile, Seed, Workers

HELP = (
    "Start a Kafka broker, a Redis and workers of its own, feed events, and show lists change live.\n\n"
    "Without --events a small generated shop is fed, without end; ctrl-C stops everything cleanly. A log "
    "ends by itself when every row has been seen through.\n\n"
    "\b\nExamples:\n"
    "  headrace demo\n"
    "  headrace demo --seconds 30 --report figures.json\n"
    "  headrace demo --events events.csv.gz --format trivago\n\n"
    "With HEADRACE_BROKER and HEADRACE_REDIS set, those servers are used instead of its own: its workers are a "
    "group of their own there, begin where the topics end, and leave the topics and lists behind."
)


def register(cli: typer.Typer) -> None:
    """Add the command."""

    @cli.command(help=HELP)
    def demo(
        events: Annotated[
            Path | None, typer.Option(metavar="FILE", help="A log to feed; default: a generated shop.")
        ] = None,
        format_name: FormatName = "jsonl",
        mapping: MappingFile = None,
        rate: Annotated[
            float | None,
            typer.Option(
                min=0,
                help="Events a second; 0 goes as fast as the workers follow. "
                "Default: 50 for the generated shop, 500 for a log.",
            ),
        ] = None,
        seconds: Annotated[
            float | None, typer.Option(min=0, help="End feeding after so many seconds.")
        ] = None,
        report: OptionalReportFile = None,
        screenshot: Annotated[
            Path | None,
            typer.Option(metavar="FILE.svg", help="Draw the screen as it was when feeding ended."),
        ] = None,
        workers: Workers = 1,
        seed: Seed = 7,
        keep: Annotated[
            bool,
            typer.Option(
                "--keep", help="Leave the folders of the workers behind: their logs, tables, snapshots."
            ),
        ] = False,
    ) -> None:
        from rich.console import Console  # noqa: PLC0415

        from stream_app.tools.demo.demo_options import DemoOptions  # noqa: PLC0415
        from stream_app.tools.demo.runner import run_demo  # noqa: PLC0415

        options = DemoOptions(
            events=events,
            format=format_name,
            mapping=mapping,
            rate=rate,
            seconds=seconds,
            report=report,
            screenshot=screenshot,
            workers=workers,
            seed=seed,
            keep=keep,
        )
        raise typer.Exit(run_demo(options, Console()))

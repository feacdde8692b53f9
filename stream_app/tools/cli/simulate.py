"""``headrace simulate``: shoppers who read lists and answer with events, and what came of it by policy."""

from pathlib import Path
from typing import Annotated

import typer

from stream_app.tools.cli.shared_options import OptionalReportFile, Seed, Workers

HELP = (
    "Let simulated shoppers read their lists and answer with events, and compare the policies of the lists.\n\n"
    "Shoppers are clients like any: they read Redis and send events to Kafka. With --sessions each follows a "
    "session of a real log, and clicks what they see of their list if that session went there; without it they "
    "are generated, with tastes that change. docs/simulator.md says how they look, click and buy.\n\n"
    "\b\nFormats: diginetica (one JSON list of item ids a line), yoochoose, trivago, jsonl.\n\n"
    "\b\nExamples:\n"
    "  headrace simulate --own-servers --report report.json\n"
    "  headrace simulate --sessions train_sessions.jsonl.gz --warm-up 0.5 \\\n"
    "      --tenth 1/10 --own-servers --report report.json\n"
    "  headrace simulate --sessions events.csv.gz --format trivago --users 500\n\n"
    "HEADRACE_BROKER and HEADRACE_REDIS name the servers, on which workers run; with --own-servers those that they "
    "do not name are started, and a worker. ctrl-C ends it with a report of what was done so far."
)


def register(cli: typer.Typer) -> None:
    """Add the command."""

    @cli.command(help=HELP)
    def simulate(
        sessions: Annotated[
            Path | None,
            typer.Option(metavar="FILE", help="A log to follow; default: generated shoppers."),
        ] = None,
        format_name: Annotated[
            str, typer.Option("--format", "-f", help="diginetica, trivago, yoochoose or jsonl.")
        ] = "diginetica",
        users: Annotated[
            int | None,
            typer.Option(
                min=1, metavar="N", help="Follow only the first N shoppers, or generate N (default 1,000)."
            ),
        ] = None,
        seed: Seed = 7,
        rate: Annotated[
            float, typer.Option(min=0, help="Events a second; 0 goes as fast as lists come.")
        ] = 0.0,
        concurrency: Annotated[int, typer.Option(min=1, max=1_000, help="Shoppers in flight.")] = 48,
        tenth: Annotated[
            str | None, typer.Option(metavar="I/10", help="Follow one of ten disjoint parts of the log.")
        ] = None,
        warm_up: Annotated[
            str,
            typer.Option(
                metavar="SHARE|FILE",
                help="The share of the log, or another log, that is fed as it is first.",
            ),
        ] = "0",
        sessions_per_day: Annotated[
            float, typer.Option(min=1, help="How fast the shop's time passes in a log without times.")
        ] = 1000.0,
        days: Annotated[float, typer.Option(min=0.1, help="Days of the generated shop.")] = 10.0,
        shifts: Annotated[
            str, typer.Option(metavar="DAY,DAY,…", help="When tastes change in the generated shop.")
        ] = "4,7",
        items: Annotated[int, typer.Option(min=10, help="Items of the generated shop.")] = 500,
        own_servers: Annotated[
            bool, typer.Option("--own-servers", help="Start a broker, a Redis and --workers for it.")
        ] = False,
        workers: Workers = 1,
        run: Annotated[
            str | None,
            typer.Option(
                help="Put before the ids of shoppers, so that a second run on the same servers is not taken for the "
                "first. Default: by the time; nothing on its own servers."
            ),
        ] = None,
        report: OptionalReportFile = None,
        outcomes: Annotated[
            Path | None, typer.Option(metavar="FILE", help="Write the sums of each shopper, for --baseline.")
        ] = None,
        baseline: Annotated[
            Path | None,
            typer.Option(metavar="FILE", help="Compare with another run's --outcomes, shopper by shopper."),
        ] = None,
    ) -> None:
        from rich.console import Console  # noqa: PLC0415

        from stream_app.tools.simulator.log_split import Tenth  # noqa: PLC0415
        from stream_app.tools.simulator.simulation_options import SimulationOptions, parse_days, parse_warm_up  # noqa: PLC0415
        from stream_app.tools.simulator.simulation_runner import run_simulation  # noqa: PLC0415

        options = SimulationOptions(
            sessions=sessions,
            format=format_name,
            users=users,
            seed=seed,
            rate=rate,
            concurrency=concurrency,
            tenth=None if tenth is None else Tenth.parse(tenth),
            warm_up=parse_warm_up(warm_up),
            sessions_per_day=sessions_per_day,
            days=days,
            shifts=parse_days(shifts),
            items=items,
            own_servers=own_servers,
            workers=workers,
            run=run,
            report=report,
            outcomes=outcomes,
            baseline=baseline,
        )
        raise typer.Exit(run_simulation(options, Console()))

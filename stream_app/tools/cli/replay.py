"""``headrace replay``: a log file into Kafka."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stream_app.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from stream_app.kafka.event_sender import EventSender
    from stream_app.tools.feeds.event_log import EventLog, LogRequest, RowOrder
    from stream_app.tools.feeds.feeder import FeedStats

HELP = (
    "Feed a log file into Kafka, as the shop would have.\n\n"
    "Each row becomes an event on its topic, keyed by shopper. Rows that cannot be read are sent as they "
    "stand, so that they end among the dead letters and the counts add up.\n\n"
    "\b\nFormats:\n"
    "  jsonl    our own events, one JSON object a line, with a `type`\n"
    "  csv      any delimited file with a header line, read by a --mapping\n"
    "  trivago  the hotel-search log of the RecSys Challenge 2019\n\n"
    "\b\nExamples:\n"
    "  headrace replay events.jsonl\n"
    "  headrace replay events.csv.gz --format trivago --rate 500\n"
    "  headrace replay shop.tsv --format csv --mapping shop.toml\n\n"
    "docs/feeds.md describes the formats and the mapping. The broker is HEADRACE_BROKER."
)

LogFile = Annotated[
    Path, typer.Argument(metavar="FILE", help="The log; gzip is recognised by itself.", show_default=False)
]
FormatName = Annotated[str, typer.Option("--format", "-f", help="jsonl, csv or trivago.")]
MappingFile = Annotated[
    Path | None, typer.Option("--mapping", "-m", help="Column mapping of the format csv (TOML).")
]
Rate = Annotated[float, typer.Option(min=0, help="Events a second; 0 goes as fast as the broker takes them.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Only the first so many rows of the file.")]
OrderName = Annotated[
    str,
    typer.Option(
        help="`time` sorts the log by event time first (up to 5 million rows); `file` feeds it as it stands."
    ),
]
KeepTime = Annotated[
    bool,
    typer.Option(
        "--keep-time",
        help="Leave the times alone. By default an old log is moved so that it ends now: workers take only "
        "events of the last days (HEADRACE_MAX_EVENT_AGE).",
    ),
]


def register(cli: typer.Typer) -> None:
    """Add the command."""

    @cli.command(help=HELP)
    def replay(
        file: LogFile,
        format_name: FormatName = "jsonl",
        mapping: MappingFile = None,
        rate: Rate = 0,
        limit: Limit = None,
        order: OrderName = "time",
        keep_time: KeepTime = False,
    ) -> None:
        from stream_app.tools.feeds.event_log import LogRequest  # noqa: PLC0415
        from stream_app.tools.feeds.formats import reader  # noqa: PLC0415

        request = LogRequest(
            path=file,
            read=reader(format_name, mapping),
            order=parse_order(order),
            limit=limit,
            keep_time=keep_time,
        )
        if not run(request, rate):
            raise typer.Exit(130)


def parse_order(name: str) -> "RowOrder":
    """The order of that name.

    Raises
    ------
    UserError
        If there is none.
    """
    from stream_app.tools.feeds.event_log import RowOrder  # noqa: PLC0415

    try:
        return RowOrder(name)
    except ValueError:
        raise UserError(f"--order is time or file, not {name!r}.") from None


def run(request: "LogRequest", rate: float) -> bool:
    """Feed a log and say what was done.

    Returns
    -------
    bool
        False if it was interrupted.

    Raises
    ------
    UserError
        If the log cannot be read or the broker does not take it.
    """
    import logging  # noqa: PLC0415

    from rich.console import Console  # noqa: PLC0415

    from stream_app.kafka.kafka_event_sender import KafkaEventSender  # noqa: PLC0415
    from stream_app.settings import load_settings  # noqa: PLC0415
    from stream_app.tools.feeds.event_log import open_log  # noqa: PLC0415
    from stream_app.tools.feeds.time_shift import wall_clock  # noqa: PLC0415
    from stream_app.tools.progress import row_counter  # noqa: PLC0415

    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # what it would say is said in one sentence below
    settings = load_settings()
    console = Console(stderr=True)
    if not request.path.is_file():
        raise UserError(f"There is no file {request.path}; check the path.")
    sender = KafkaEventSender(settings.broker)  # before the reading, which takes its time
    try:
        with row_counter(console, f"reading {request.path.name}") as progress:
            log = open_log(request, now=wall_clock(), max_age=settings.max_event_age, progress=progress)
        for message in (log.shift_message, log.retention_warning(settings.max_event_age)):
            if message:
                console.print(message, highlight=False, soft_wrap=True)
        return _feed_log(log, sender, rate, console)
    finally:
        sender.close()


def _feed_log(log: "EventLog", sender: "EventSender", rate: float, console: "Console") -> bool:
    from stream_app.tools.feeds.feeder import Feeder  # noqa: PLC0415
    from stream_app.tools.progress import iterate_with_progress  # noqa: PLC0415

    feeder = Feeder(sender, rate=rate)
    interrupted = False
    try:
        feeder.feed(iterate_with_progress(log, log.total, console, "feeding"))
    except KeyboardInterrupt:
        interrupted = True
    acknowledged = sender.flush()
    print_feed_stats(console, feeder.stats, acknowledged, log.total if interrupted else None)
    return not interrupted


def print_feed_stats(
    console: "Console", stats: "FeedStats", acknowledged: int, interrupted_total: int | None
) -> None:
    """Say what was fed."""
    if interrupted_total is not None:
        console.print(f"interrupted after {stats.rows:,} of {interrupted_total:,} rows")
    console.print(
        f"{acknowledged:,} records of {len(stats.users):,} shoppers sent and acknowledged; "
        f"{stats.total_ignored:,} rows ignored; {stats.unreadable:,} unreadable",
        highlight=False,
        soft_wrap=True,
    )
    for kind, count in stats.ignored.most_common(5):
        console.print(f"  ignored: {kind}: {count:,}", highlight=False, markup=False, soft_wrap=True)
    for line, problem in stats.problems:
        console.print(f"  unreadable: line {line}: {problem}", highlight=False, markup=False, soft_wrap=True)
    if stats.unreadable:
        console.print("  unreadable rows were sent as they stand: `headrace dead-letters` shows them")

"""Feed a log file into Kafka and print the counts."""

import logging

import typer
from rich.console import Console

from stream_app.errors import UserError
from stream_app.kafka.event_sender import EventSender
from stream_app.kafka.kafka_event_sender import KafkaEventSender
from stream_app.settings import load_settings
from stream_app.tools.cli.replay import ReplayOptions
from stream_app.tools.feeds.event_log import EventLog, LogRequest, open_log, parse_order
from stream_app.tools.feeds.feeder import Feeder, FeedStats
from stream_app.tools.feeds.formats import reader
from stream_app.tools.feeds.time_shift import wall_clock
from stream_app.tools.progress import iterate_with_progress, row_counter


def run(options: ReplayOptions) -> None:
    """Feed the log; exit status 130 if it was interrupted.

    Raises
    ------
    UserError
        If an option is wrong, the log cannot be read or the broker does not accept it.
    """
    request = LogRequest(
        path=options.file,
        read=reader(options.format_name, options.mapping, options.file),
        order=parse_order(options.order),
        limit=options.limit,
        keep_time=options.keep_time,
    )
    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # a UserError reports its errors in one sentence
    settings = load_settings()
    console = Console(stderr=True)
    if not request.path.is_file():
        raise UserError(f"There is no file {request.path}; check the path.")
    # Connect before reading the log, which may take long: an unavailable broker is reported at once.
    sender = KafkaEventSender(settings.kafka)
    try:
        with row_counter(console, f"reading {request.path.name}") as progress:
            log = open_log(request, now=wall_clock(), max_age=settings.max_event_age, progress=progress)
        for message in (log.shift_message, log.retention_warning(settings.max_event_age)):
            if message:
                console.print(message, highlight=False, soft_wrap=True)
        interrupted = _feed_log(log, sender, options.rate, console)
    finally:
        sender.close()
    if interrupted:
        raise typer.Exit(130)


def _feed_log(log: EventLog, sender: EventSender, rate: float, console: Console) -> bool:
    """Feed and print the counts; return whether it was interrupted."""
    feeder = Feeder(sender, rate=rate)
    interrupted = False
    try:
        feeder.feed(iterate_with_progress(log, log.total, console, "feeding"))
    except KeyboardInterrupt:
        interrupted = True
    acknowledged = sender.flush()
    print_feed_stats(console, feeder.stats, acknowledged, log.total if interrupted else None)
    return interrupted


def print_feed_stats(
    console: Console, stats: FeedStats, acknowledged: int, interrupted_total: int | None
) -> None:
    """Print the counts of a feed, with the first unreadable rows."""
    if interrupted_total is not None:
        console.print(f"interrupted after {stats.rows:,} of {interrupted_total:,} rows")
    console.print(
        f"{acknowledged:,} records of {len(stats.users):,} users sent and acknowledged; "
        f"{stats.total_ignored:,} rows ignored; {stats.unreadable:,} unreadable",
        highlight=False,
        soft_wrap=True,
    )
    for kind, count in stats.ignored.most_common(5):
        console.print(f"  ignored: {kind}: {count:,}", highlight=False, markup=False, soft_wrap=True)
    for line, problem in stats.problems:
        console.print(f"  unreadable: line {line}: {problem}", highlight=False, markup=False, soft_wrap=True)
    if stats.unreadable:
        console.print("  unreadable rows were sent unchanged: `headrace dead-letters` shows them")

"""``headrace simulate`` from the first server to the report."""

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final, NamedTuple

from msgspec import structs
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from stream_app.client import AsyncClient
from stream_app.client.redis_contract import user_key
from stream_app.errors import UserError
from stream_app.kafka.event_records import event_record
from stream_app.kafka.kafka_event_sender import KafkaOutbox
from stream_app.settings import load_settings
from stream_app.tools.demo.demo_report import check_writable
from stream_app.tools.environment.setup import set_up
from stream_app.tools.environment.signals import Interrupts, Manner
from stream_app.tools.environment.startup_steps import Steps
from stream_app.tools.evaluation.report import write
from stream_app.tools.feeds.time_shift import spoken, wall_clock
from stream_app.tools.simulator.loop import Loop
from stream_app.tools.simulator.simulated_user import REACTIONS_NAMED
from stream_app.tools.simulator.simulation_options import Options
from stream_app.tools.simulator.simulation_report import Report, Setup, make_report, table_of
from stream_app.tools.simulator.tally import Tally
from stream_app.tools.simulator.user_outcomes import Outcomes
from stream_app.tools.simulator.user_sources import GeneratedSource, LogSource, Source
from topics.events import Click

_READ_SECONDS: Final = 2.0  # a page would not wait so long, but a measurement on a busy machine may
SCOUTS: Final = 20
"""Shoppers who come after the warm-up, to see whether it has been taken: some for each partition."""

_WARM_UP_PATIENCE: Final = 60.0
"""Seconds without a list for another of them, before the run ends; more after a longer warm-up."""

_LOOK_EVERY: Final = 0.25
_SAY_EVERY: Final = 10.0  # between two lines, where the output is no terminal
_WIDTH: Final = 130  # of the table, where the output is no terminal
AGAINST: Final = " (against)"


class _Servers(NamedTuple):
    broker: str
    redis: str


def run_simulation(options: Options, console: Console) -> int:
    """Start what is to be started, warm up, run the shoppers, report.

    Returns
    -------
    int
        The exit status: 130 if it was interrupted, else 0.

    Raises
    ------
    UserError
        If something is wrong with the log, the servers or the workers.
    """
    options.check()
    for file in (options.report, options.outcomes):
        if file is not None:
            check_writable(file)
    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # KafkaOutbox says its errors in one sentence
    against = None if options.against is None else Outcomes.read(options.against)
    now = wall_clock()
    run = options.run
    if run is None:
        # Servers of one's own have seen nobody: there the same run has the same ids, and the same policies.
        run = "" if options.own_servers else f"sim-{int(now):x}-"
    with console.status("reading the log" if options.sessions else "making the shop"):
        source: Source = (
            LogSource(options, run, now) if options.sessions else GeneratedSource(options, run, now)
        )
    with Interrupts() as interrupts, ExitStack() as stack:
        try:
            servers = _servers(options, source, console, stack)
            outbox = KafkaOutbox(servers.broker)
            stack.callback(outbox.close)
            asyncio.run(_warm_up(source, run, servers, outbox, console))
            interrupts.manner = Manner.COUNT
            tally, seconds = asyncio.run(_follow(options, source, servers, outbox, interrupts, console))
        finally:
            interrupts.manner = Manner.IGNORE
            stack.close()
    interrupted = interrupts.count > 0
    outcomes = Outcomes.of(tally, run, options.seed)
    if options.outcomes is not None:
        outcomes.write(options.outcomes)
    if against is not None:
        outcomes = outcomes.beside(against, AGAINST)
    setup = Setup(
        shoppers=source.title,
        seed=options.seed,
        tenth=options.tenth.number if options.tenth else None,
        warm_up_events=source.warm_up_events,
        at_once=options.at_once,
        rate=options.rate,
    )
    report = make_report(
        tally, outcomes, setup, seconds=seconds, interrupted=interrupted, regret=source.regret(tally)
    )
    show(report, console)
    if options.report is not None:
        write(report, options.report)
    return 130 if interrupted else 0


def _servers(options: Options, source: Source, console: Console, stack: ExitStack) -> _Servers:
    """Those of the settings, or own ones with workers."""
    settings = load_settings()
    max_age = settings.max_event_age
    too_long = bool(max_age) and wall_clock() - source.oldest > max_age
    if options.own_servers:
        age = 0.0 if too_long else max_age
        stage = set_up(
            stack,
            Steps(console),
            prefix="simulate",
            workers=options.workers,
            max_event_age=age,
            settings=REACTIONS_NAMED,
        )
        return _Servers(stage.broker, stage.redis)
    if too_long:
        console.print(
            f"the shop's time goes back {spoken(wall_clock() - source.oldest)}, more than the {spoken(max_age)} that "
            "workers take events for: they must run with HEADRACE_MAX_EVENT_AGE=0",
            highlight=False,
            soft_wrap=True,
        )
    return _Servers(settings.broker, settings.redis)


async def _warm_up(
    source: Source, run: str, servers: _Servers, outbox: KafkaOutbox, console: Console
) -> None:
    """Feed what comes before, and wait until the workers have taken it.

    Nobody but Redis tells how far they are. So some shoppers whom nobody has seen yet look at the last item once;
    when they have lists, everything before them has been taken.
    """
    last: Click | None = None
    with _bar(console, "warming up", source.warm_up_events) as (bar, task):
        for number, event in enumerate(source.warm_up()):
            outbox.send(event_record(event))
            if isinstance(event, Click):
                last = event
            if number % 1_000 == 0:
                bar.update(task, completed=number)
    if last is not None:
        waiting = [f"{run}scout-{number}" for number in range(SCOUTS)]
        for scout in waiting:
            click = structs.replace(last, user_id=scout, event_id=scout, session_id=None)
            outbox.send(event_record(click))
    outbox.flush()
    if last is None:
        return
    started = since = time.monotonic()
    patience = _WARM_UP_PATIENCE + source.warm_up_events / 500
    with console.status("waiting until the workers have taken it"):
        async with AsyncClient(servers.redis, _READ_SECONDS) as client:
            while waiting:
                found = await asyncio.gather(*(client.read_key(user_key(user)) for user in waiting))
                left = [user for user, each in zip(waiting, found, strict=True) if each is None]
                if len(left) < len(waiting):
                    since = time.monotonic()
                elif time.monotonic() - since > patience:
                    raise UserError(
                        "The shoppers of the warm-up get no lists: does a worker run on this broker and Redis? "
                        "`headrace doctor` says more."
                    )
                waiting = left
                await asyncio.sleep(_LOOK_EVERY)
    console.print(
        f"[green]✓[/] {source.warm_up_events:,} events of the warm-up "
        f"[dim](taken {time.monotonic() - started:.1f} s after the last was sent)[/]",
        highlight=False,
    )


async def _follow(
    options: Options,
    source: Source,
    servers: _Servers,
    outbox: KafkaOutbox,
    interrupts: Interrupts,
    console: Console,
) -> tuple[Tally, float]:
    """Run the shoppers; what they did, and in how many seconds."""
    tally = Tally()
    console.print(f"following {source.title}; ctrl-C ends it with a report", highlight=False)
    started = time.monotonic()
    async with AsyncClient(servers.redis, _READ_SECONDS) as client:
        loop = Loop(client, outbox, tally, at_once=options.at_once, rate=options.rate)
        running = asyncio.create_task(loop.run(source.shoppers(), source.arrivals()))
        with _bar(console, "", 1_000) as (bar, task):
            said = started
            while not running.done():
                await asyncio.wait((running,), timeout=_LOOK_EVERY)
                if interrupts.count:
                    loop.stop()
                now = time.monotonic()
                share = (tally.at - source.begin) / max(source.end - source.begin, 1e-9)
                share = max(0.0, min(1.0, share))
                doing = _doing(tally, now - started)
                bar.update(task, completed=share * 1_000, description=doing)
                if not console.is_terminal and now - said >= _SAY_EVERY:
                    said = now
                    console.print(f"{share:.0%} · {doing}", highlight=False, markup=False, soft_wrap=True)
        await running
    seconds = time.monotonic() - started
    outbox.flush()
    return tally, seconds


def _doing(tally: Tally, seconds: float) -> str:
    rate = tally.events / seconds if seconds else 0.0
    through = tally.clicked / tally.lists if tally.lists else 0.0
    return f"{tally.lists:,} lists · click-through {through:.4f} · {rate:,.0f} events/s"


@contextmanager
def _bar(console: Console, title: str, total: float) -> Iterator[tuple[Progress, TaskID]]:
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
    task = bar.add_task(title, total=total)
    if not total or not console.is_terminal:
        yield bar, task
        return
    with bar:
        yield bar, task


def show(report: Report, console: Console) -> None:
    """The figures on the screen."""
    if not console.is_terminal:
        console.width = _WIDTH
    console.print(table_of(report))
    said = (
        f"{report.events:,} events ({report.events_per_second:,.0f}/s) and {report.lists:,} lists of "
        f"{report.shoppers:,} shoppers in {report.seconds:.0f} s"
    )
    for count, what in (
        (report.late, "lists had not come in time"),
        (report.unlisted, "steps without a list"),
        (report.sales_without_list, "order lines without a list"),
    ):
        if count:
            said += f"; {count:,} {what}"
    console.print(said, highlight=False, soft_wrap=True)
    if report.interrupted:
        console.print("interrupted: the figures are of what was done so far")

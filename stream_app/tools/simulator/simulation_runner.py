"""A run of ``headrace simulate``, from starting servers to writing the report."""

import asyncio
import logging
import time
from contextlib import ExitStack
from typing import Final, NamedTuple

from msgspec import structs
from rich.console import Console

from stream_app.client import AsyncClient
from stream_app.client.redis_contract import user_key
from stream_app.errors import UserError
from stream_app.kafka.event_records import event_record
from stream_app.kafka.kafka_event_sender import KafkaEventSender
from stream_app.redis_server import RedisServer
from stream_app.settings import load_settings
from stream_app.tools.environment.setup import start_environment
from stream_app.tools.environment.signals import InterruptHandler, SignalMode
from stream_app.tools.environment.startup_steps import StartupSteps
from stream_app.tools.feeds.time_shift import format_duration, wall_clock
from stream_app.tools.progress import progress_bar
from stream_app.tools.report_file import check_writable, write_report
from stream_app.tools.simulator.loop import SimulationLoop
from stream_app.tools.simulator.simulated_user import NAMED_REACTION_SETTINGS
from stream_app.tools.simulator.simulation_options import SimulationOptions
from stream_app.tools.simulator.simulation_report import (
    SimulationReport,
    SimulationSetup,
    build_report,
    build_table,
)
from stream_app.tools.simulator.tally import SimulationTally
from stream_app.tools.simulator.user_outcomes import UserOutcomes
from stream_app.tools.simulator.user_sources import GeneratedUserSource, LoggedUserSource, UserSource
from topics.events import Click
from topics.kafka_connection import Broker

_READ_TIMEOUT: Final = 2.0  # longer than a page would wait: a busy machine must not distort the measurement
N_PROBE_USERS: Final = 20
"""Users who check that the warm-up has been processed: several per partition."""

_WARM_UP_TIMEOUT: Final = 60.0
"""Seconds without a new list of a probe user until the run fails; extended for a long warm-up."""

_POLL_INTERVAL: Final = 0.25
_LOG_INTERVAL: Final = 10.0  # seconds between status lines when the output is not a terminal
_TABLE_WIDTH: Final = 130  # columns of the table when the output is not a terminal
BASELINE_SUFFIX: Final = " (baseline)"


class _Servers(NamedTuple):
    broker: Broker
    redis: RedisServer


def run_simulation(options: SimulationOptions, console: Console) -> int:
    """Start embedded servers if requested, warm up, run the users, and report.

    Returns
    -------
    int
        The exit status: 130 if the run was interrupted, else 0.

    Raises
    ------
    UserError
        If the log cannot be read, a server or worker is unavailable, or lists are not published.
    """
    options.validate()
    for option, file in (("--report", options.report), ("--outcomes", options.outcomes)):
        if file is not None:
            check_writable(file, option)
    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # KafkaEventSender reports errors in one sentence
    baseline = None if options.baseline is None else UserOutcomes.read(options.baseline)
    now = wall_clock()
    run = _id_prefix(options, now)
    with console.status("reading the log" if options.sessions else "generating the shop"):
        source: UserSource = (
            LoggedUserSource(options, run, now)
            if options.sessions
            else GeneratedUserSource(options, run, now)
        )
    with InterruptHandler() as interrupts, ExitStack() as stack:
        try:
            servers = _resolve_servers(options, source, console, stack)
            sender = KafkaEventSender(servers.broker)
            stack.callback(sender.close)
            asyncio.run(_warm_up(source, run, servers, sender, console))
            interrupts.signal_mode = SignalMode.COUNT
            tally, seconds = asyncio.run(_run_users(options, source, servers, sender, interrupts, console))
        finally:
            interrupts.signal_mode = SignalMode.IGNORE
            stack.close()
    interrupted = interrupts.count > 0
    outcomes = UserOutcomes.of(tally, run, options.seed)
    if options.outcomes is not None:
        outcomes.write(options.outcomes)
    if baseline is not None:
        outcomes = outcomes.merge_with(baseline, BASELINE_SUFFIX)
    report = build_report(
        tally,
        outcomes,
        _describe_setup(options, source),
        seconds=seconds,
        interrupted=interrupted,
        regret=source.regret(tally),
    )
    print_report(report, console)
    if options.report is not None:
        write_report(report, options.report)
    return 130 if interrupted else 0


def _id_prefix(options: SimulationOptions, now: float) -> str:
    """Prefix of the user and event ids of a run."""
    if options.run is not None:
        return options.run
    # New embedded servers have no users yet: without a prefix, equal runs have equal ids and policy assignments.
    return "" if options.own_servers else f"sim-{int(now):x}-"


def _describe_setup(options: SimulationOptions, source: UserSource) -> SimulationSetup:
    return SimulationSetup(
        users=source.title,
        seed=options.seed,
        tenth=options.tenth.number if options.tenth else None,
        warm_up_events=source.warm_up_events,
        concurrency=options.concurrency,
        rate=options.rate,
    )


def _resolve_servers(
    options: SimulationOptions, source: UserSource, console: Console, stack: ExitStack
) -> _Servers:
    """The servers of the settings, or embedded ones with workers."""
    settings = load_settings()
    max_age = settings.max_event_age
    too_long = bool(max_age) and wall_clock() - source.oldest > max_age
    if options.own_servers:
        age = 0.0 if too_long else max_age
        environment = start_environment(
            stack,
            StartupSteps(console),
            prefix="simulate",
            workers=options.workers,
            max_event_age=age,
            settings=NAMED_REACTION_SETTINGS,
        )
        return _Servers(environment.broker, environment.redis)
    if too_long:
        console.print(
            f"simulated time starts {format_duration(wall_clock() - source.oldest)} ago, but workers accept events "
            f"up to {format_duration(max_age)} old: run them with HEADRACE_MAX_EVENT_AGE=0",
            highlight=False,
            soft_wrap=True,
        )
    return _Servers(settings.kafka, settings.redis_server)


async def _warm_up(
    source: UserSource, run: str, servers: _Servers, sender: KafkaEventSender, console: Console
) -> None:
    """Feed the warm-up events and wait until the workers have processed them.

    Progress is observed by Redis alone: new probe users click the last clicked item; once they have lists, all
    earlier events of their partitions are processed.
    """
    last: Click | None = None
    with progress_bar(console, "warming up", source.warm_up_events) as update_bar:
        for number, event in enumerate(source.warm_up()):
            sender.send(event_record(event))
            if isinstance(event, Click):
                last = event
            if number % 1_000 == 0:
                update_bar(number)
    if last is None:
        sender.flush()
        return
    probe_users = [f"{run}probe-{number}" for number in range(N_PROBE_USERS)]
    for probe_user in probe_users:
        click = structs.replace(last, user_id=probe_user, event_id=probe_user, session_id=None)
        sender.send(event_record(click))
    sender.flush()
    await _wait_for_lists(probe_users, servers, source.warm_up_events, console)


async def _wait_for_lists(users: list[str], servers: _Servers, n_events: int, console: Console) -> None:
    pending_users = users
    started = last_progress = time.monotonic()
    warm_up_timeout = _WARM_UP_TIMEOUT + n_events / 500
    with console.status("waiting until the workers have processed it"):
        async with AsyncClient(servers.redis, _READ_TIMEOUT) as client:
            while pending_users:
                user_lists = await asyncio.gather(
                    *(client.read_key(user_key(user)) for user in pending_users)
                )
                still_pending = [
                    user for user, each in zip(pending_users, user_lists, strict=True) if each is None
                ]
                if len(still_pending) < len(pending_users):
                    last_progress = time.monotonic()
                elif time.monotonic() - last_progress > warm_up_timeout:
                    raise UserError(
                        "No lists are published after the warm-up. "
                        "Check that a worker runs on this broker and Redis with `headrace doctor`."
                    )
                pending_users = still_pending
                await asyncio.sleep(_POLL_INTERVAL)
    console.print(
        f"[green]✓[/] {n_events:,} events of the warm-up "
        f"[dim](processed {time.monotonic() - started:.1f} s after the last was sent)[/]",
        highlight=False,
    )


async def _run_users(
    options: SimulationOptions,
    source: UserSource,
    servers: _Servers,
    sender: KafkaEventSender,
    interrupts: InterruptHandler,
    console: Console,
) -> tuple[SimulationTally, float]:
    """Run the users; return their results and the duration in seconds."""
    tally = SimulationTally()
    console.print(f"running {source.title}; Ctrl-C ends the run with a report", highlight=False)
    started = time.monotonic()
    async with AsyncClient(servers.redis, _READ_TIMEOUT) as client:
        loop = SimulationLoop(client, sender, tally, concurrency=options.concurrency, rate=options.rate)
        running = asyncio.create_task(loop.run(source.users(), source.arrivals()))
        with progress_bar(console, "", 1_000) as update_bar:
            last_logged = started
            while not running.done():
                await asyncio.wait((running,), timeout=_POLL_INTERVAL)
                if interrupts.count:
                    loop.stop()
                now = time.monotonic()
                share = (tally.shop_time - source.begin) / max(source.end - source.begin, 1e-9)
                share = max(0.0, min(1.0, share))
                status_text = _status_text(tally, now - started)
                update_bar(share * 1_000, status_text)
                if not console.is_terminal and now - last_logged >= _LOG_INTERVAL:
                    last_logged = now
                    console.print(
                        f"{share:.0%} · {status_text}", highlight=False, markup=False, soft_wrap=True
                    )
        await running
    seconds = time.monotonic() - started
    sender.flush()
    return tally, seconds


def _status_text(tally: SimulationTally, seconds: float) -> str:
    rate = tally.events / seconds if seconds else 0.0
    click_through_rate = tally.clicked / tally.lists if tally.lists else 0.0
    return f"{tally.lists:,} lists · click-through {click_through_rate:.4f} · {rate:,.0f} events/s"


def print_report(report: SimulationReport, console: Console) -> None:
    """Print the table and a summary."""
    if not console.is_terminal:
        console.width = _TABLE_WIDTH
    console.print(build_table(report))
    summary = (
        f"{report.events:,} events ({report.events_per_second:,.0f}/s) and {report.lists:,} lists of "
        f"{report.users:,} users in {report.seconds:.0f} s"
    )
    for count, label in (
        (report.late_lists, "lists late"),
        (report.steps_without_list, "steps without a list"),
        (report.sales_without_list, "order lines without a list"),
    ):
        if count:
            summary += f"; {count:,} {label}"
    console.print(summary, highlight=False, soft_wrap=True)
    if report.interrupted:
        console.print("interrupted: these are partial results")

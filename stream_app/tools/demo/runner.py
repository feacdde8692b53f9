"""The demo from the first server to the report."""

import logging
import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from rich.console import Console, RenderableType
from rich.live import Live

from stream_app.client import Client, ClientUnavailableError
from stream_app.client.redis_contract import SearchList, user_key
from stream_app.errors import UserError
from stream_app.kafka.kafka_event_sender import KafkaOutbox
from stream_app.settings import load_settings
from stream_app.tools.demo import demo_report as reports
from stream_app.tools.demo.demo_options import Options
from stream_app.tools.demo.event_sources import EventSource, LogSource, ShopSource
from stream_app.tools.demo.featured_user import Spotlight
from stream_app.tools.demo.feeder_thread import FeedingThread
from stream_app.tools.demo.formatting import line, summary
from stream_app.tools.demo.read_latency import time_reads
from stream_app.tools.demo.screen import PICTURE, Size, draw, save_picture
from stream_app.tools.demo.screen_state import View
from stream_app.tools.demo.search_comparison import LatestSearch, ShownSearch
from stream_app.tools.demo.stop_condition import STALL_PATIENCE, Ending
from stream_app.tools.environment.setup import set_up
from stream_app.tools.environment.signals import Interrupts, Manner
from stream_app.tools.environment.startup_steps import Steps
from stream_app.tools.environment.worker_metrics import Figures, History
from stream_app.tools.environment.worker_pool import WorkerError, Workers
from stream_app.tools.feeds.feed_progress import counting
from stream_app.tools.feeds.feeder import Feeder
from topics.records import RecommendationList

_LOOK_EVERY: Final = 0.25
_SAY_EVERY: Final = 5.0  # between two lines, where the output is no terminal
_SEARCH_REPORTED: Final = 20  # places of the latest search in the report


def run_demo(options: Options, console: Console) -> int:
    """Start everything, feed, show, report, stop everything.

    Parameters
    ----------
    options
        What is asked.
    console
        Where it is shown.

    Returns
    -------
    int
        The exit status: 130 if a log was interrupted before its end, else 0.

    Raises
    ------
    UserError
        If something cannot be started, or stops working.
    """
    options.check()
    if options.report is not None:
        reports.check_writable(options.report)
    logging.getLogger("kafka").setLevel(
        logging.CRITICAL
    )  # its errors are said in one sentence by KafkaOutbox
    with Interrupts() as interrupts, ExitStack() as stack:
        run = _Run(options, console, interrupts, stack)
        try:
            run.start()
            interrupts.manner = Manner.COUNT
            report = run.watch()
            console.print(summary(report), highlight=False, markup=False, soft_wrap=True)
            if options.report is not None:
                reports.write(report, options.report)
        except WorkerError:
            run.keep = True  # its sentence names a log
            raise
        finally:
            interrupts.manner = Manner.IGNORE
            console.print("[dim]stopping workers and servers …[/]")
            stack.close()
    if report.interrupted:
        return 130 if options.events is not None else 0
    # Events without an outcome are lost, or the workers hang: nothing that may end well.
    return 1 if report.unfinished and options.events is not None else 0


class _Run:
    """One run; `start` leaves on the stack what must be stopped again."""

    _workers: Workers
    _feeding: FeedingThread
    _client: Client

    def __init__(self, options: Options, console: Console, interrupts: Interrupts, stack: ExitStack) -> None:
        self._options = options
        self._console = console
        self._interrupts = interrupts
        self._stack = stack
        self.keep = options.keep
        self._settings = load_settings()
        self._source = self._open_source()
        self._baseline = Figures()
        self._history = History()

    def _open_source(self) -> EventSource:
        options, max_age = self._options, self._settings.max_event_age
        if options.events is None:
            return ShopSource(options, max_age)
        with counting(self._console, f"reading {options.events.name}") as progress:
            return LogSource(options, max_age, progress)

    def start(self) -> None:
        """Everything up to the first event."""
        options, steps, stack = self._options, Steps(self._console), self._stack
        for note in self._source.notes:
            self._console.print(f"  {note}", highlight=False, soft_wrap=True)
        stage = set_up(
            stack,
            steps,
            prefix="demo",
            workers=options.workers,
            max_event_age=self._source.max_event_age,
            settings=self._source.worker_settings,
            left_behind=self._tidy,
        )
        self._workers = stage.workers
        outbox = KafkaOutbox(stage.broker)
        stack.callback(outbox.close)
        self._client = stack.enter_context(Client(stage.redis))
        self._baseline = self._feed_catalogue(outbox, steps)
        self._feeding = FeedingThread(outbox, self._source.rows(self._client), options.events_per_second)
        stack.callback(self._feeding.stop)

    def _feed_catalogue(self, outbox: KafkaOutbox, steps: Steps) -> Figures:
        """Send the descriptions of items; the figures count from where the workers have taken them."""
        before = self._workers.figures()
        feeder = Feeder(outbox)
        feeder.feed(self._source.catalogue())
        if not feeder.tally.sent:
            return before
        with steps.step("the shop's catalogue") as outcome:
            outbox.flush()
            wanted = before.finished + feeder.tally.sent
            if not _within(STALL_PATIENCE, lambda: self._workers.figures().finished >= wanted):
                raise WorkerError("The workers do not take the catalogue; their logs may say why.")
            outcome.say(f"{feeder.tally.sent} items")
        return self._workers.figures()

    def _tidy(self, folder: Path) -> None:
        if not self.keep:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            self._console.print(f"the workers' folders are in {folder}", highlight=False, soft_wrap=True)

    def watch(self) -> reports.Report:
        """Feed and show until the end, then read lists and sum up."""
        spotlight, search = Spotlight(self._own_list), LatestSearch(self._last_search)
        started = time.monotonic()
        self._feeding.start()
        picture: RenderableType | None = None
        live = Live(console=self._console, auto_refresh=False, transient=True)
        ending = Ending(started, self._options.seconds)
        with live if self._console.is_terminal else ExitStack():
            said = started
            while True:
                now = time.monotonic()
                figures = self._workers.figures().since(self._baseline)
                self._feeding.note_finished(figures.finished)
                self._history.add(now, figures)
                recent = tuple(self._feeding.tally.recent)
                spotlight.look(now, recent)
                search.look(now, recent)
                over = ending.reached(
                    now,
                    figures,
                    sent=self._feeding.tally.sent,
                    fed=self._feeding.done,
                    interrupts=self._interrupts.count,
                )
                if ending.cut:
                    self._feeding.end()
                view = self._view(figures, now - started, ending.phase)
                shown = view, spotlight, search.shown, self._source.titles
                if self._options.picture is not None and not self._feeding.done:
                    picture = draw(*shown, PICTURE)
                if self._console.is_terminal:
                    live.update(draw(*shown, Size(*self._console.size)), refresh=True)
                elif over or now - said >= _SAY_EVERY:
                    said = now
                    self._console.print(line(view), highlight=False, soft_wrap=True, markup=False)
                if over:
                    break
                time.sleep(_LOOK_EVERY)
        if self._options.picture is not None and picture is not None:
            save_picture(picture, self._options.picture)
        return self._sum_up(figures, search.shown, ending.worked_until - started)

    def _own_list(self, user_id: str) -> RecommendationList | None:
        try:
            return self._client.read_key(user_key(user_id))
        except ClientUnavailableError:
            return None  # a slow moment of a busy machine; the next look asks again

    def _last_search(self, user_id: str) -> SearchList | None:
        try:
            return self._client.last_search(user_id)
        except ClientUnavailableError:
            return None

    def _view(self, figures: Figures, seconds: float, phase: str) -> View:
        tally = self._feeding.tally
        return View(
            title=self._source.title,
            phase=phase,
            seconds=seconds,
            rows=tally.rows,
            rows_total=self._source.total,
            ignored=tally.total_ignored,
            users=len(tally.users),
            sent=tally.sent,
            figures=figures,
            lately=self._history.lately,
            rate=self._history.rate,
            quality=self._workers.quality,
            policies=self._workers.policies,
        )

    def _sum_up(self, figures: Figures, search: ShownSearch | None, seconds: float) -> reports.Report:
        tally = self._feeding.tally
        try:
            reads = time_reads(self._client, tally.users, self._options.seed)
        except ClientUnavailableError as error:
            raise UserError(f"Redis does not answer at the end of the run ({error}).") from None
        unfinished = tally.sent - figures.finished
        return reports.Report(
            events_read=tally.rows,
            accepted=round(figures.accepted),
            duplicates=round(figures.duplicates),
            dead_lettered=round(figures.dead_lettered),
            ignored=tally.total_ignored,
            users=len(tally.users),
            lists_published=round(figures.lists_published),
            search_lists_published=round(figures.lists_of_searches),
            events_per_second=round(figures.finished / seconds, 1) if seconds > 0 else 0.0,
            freshness_ms=reports.freshness_ms(figures),
            redis_read_ms=reports.quantiles_ms(reads.seconds),
            hit_rate_at_20=figures.hit_rate,
            mrr_at_20=figures.mrr,
            list_quality=self._workers.quality,
            policies=reports.policy_reports(self._workers.policies),
            latest_search=search and search.first(_SEARCH_REPORTED),
            seconds=round(seconds, 2),
            workers=self._options.workers,
            interrupted=self._interrupts.count > 0,
            unfinished=unfinished,
            reads=len(reads.seconds),
            users_read=reads.shoppers,
            users_with_list=reads.own,
        )


def _within(seconds: float, condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True

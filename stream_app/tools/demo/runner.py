"""A run of the demo, from starting servers to writing the report."""

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
from stream_app.kafka.kafka_event_sender import KafkaEventSender
from stream_app.settings import load_settings
from stream_app.tools.demo import demo_report as reports
from stream_app.tools.demo.demo_options import DemoOptions
from stream_app.tools.demo.event_sources import EventSource, GeneratedShopSource, LogEventSource
from stream_app.tools.demo.featured_user import FeaturedUser
from stream_app.tools.demo.feeder_thread import FeederThread
from stream_app.tools.demo.formatting import format_summary, status_line
from stream_app.tools.demo.read_latency import measure_read_latencies
from stream_app.tools.demo.screen import SCREENSHOT_SIZE, Size, draw, save_screenshot
from stream_app.tools.demo.screen_state import ScreenState
from stream_app.tools.demo.search_comparison import LatestSearchTracker, SearchComparison
from stream_app.tools.demo.stop_condition import STALL_TIMEOUT, StopCondition
from stream_app.tools.embedding.catalog_embedder import catalog_line
from stream_app.tools.environment.metrics_history import MetricsHistory
from stream_app.tools.environment.setup import start_environment
from stream_app.tools.environment.signals import InterruptHandler, SignalMode
from stream_app.tools.environment.startup_steps import StartupSteps
from stream_app.tools.environment.trainer_process import TrainerProcess
from stream_app.tools.environment.worker_metrics import ScrapedMetrics
from stream_app.tools.environment.worker_pool import WorkerError, WorkerPool
from stream_app.tools.feeds.event_log import LogRequest
from stream_app.tools.feeds.feeder import Feeder
from stream_app.tools.feeds.formats import reader
from stream_app.tools.feeds.rows import EventRow
from stream_app.tools.progress import row_counter
from stream_app.tools.report_file import check_writable, write_report
from topics.events import CatalogItem
from topics.records import RecommendationList

_POLL_INTERVAL: Final = 0.25
_LOG_INTERVAL: Final = 5.0  # seconds between status lines when the output is not a terminal
_REPORTED_SEARCH_RANKS: Final = 20  # ranks of the latest search in the report


def run_demo(options: DemoOptions, console: Console) -> int:
    """Start servers and workers, feed events, show results, write the report, stop all processes.

    Returns
    -------
    int
        The exit status, as of `stream_app.tools.demo.demo_report.exit_status`.

    Raises
    ------
    UserError
        If a server or worker cannot be started, or fails during the run.
    """
    options.validate()
    if options.report is not None:
        check_writable(options.report)
    # KafkaEventSender reports errors of kafka-python in one sentence.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    with InterruptHandler() as interrupts, ExitStack() as stack:
        run = _DemoRun(options, console, interrupts, stack)
        try:
            run.start()
            interrupts.signal_mode = SignalMode.COUNT
            report = run.run_until_stopped()
            run.keep |= report.has_failed_trainer  # its log says why
            console.print(format_summary(report), highlight=False, markup=False, soft_wrap=True)
            if options.report is not None:
                write_report(report, options.report)
        except WorkerError:
            run.keep = True  # the error names a log in the folder
            raise
        finally:
            interrupts.signal_mode = SignalMode.IGNORE
            console.print("[dim]stopping workers and servers …[/]")
            stack.close()
    return reports.exit_status(report, is_log=options.events is not None)


class _DemoRun:
    """One run; `start` registers the shutdown of everything it starts on the stack."""

    _workers: WorkerPool
    _trainer: TrainerProcess | None
    _feeder_thread: FeederThread
    _client: Client

    def __init__(
        self, options: DemoOptions, console: Console, interrupts: InterruptHandler, stack: ExitStack
    ) -> None:
        self._options = options
        self._console = console
        self._interrupts = interrupts
        self._stack = stack
        self.keep = options.keep
        self._settings = load_settings()
        self._source = self._open_source()
        self._baseline = ScrapedMetrics()
        self._metrics_history = MetricsHistory()

    def _open_source(self) -> EventSource:
        options, max_age = self._options, self._settings.max_event_age
        if options.events is None:
            return GeneratedShopSource(options, max_age)
        with row_counter(self._console, f"reading {options.events.name}") as progress:
            request = LogRequest(
                path=options.events, read=reader(options.format, options.mapping, options.events)
            )
            return LogEventSource(request, max_age, progress)

    def start(self) -> None:
        """Start servers, workers, client and feeder, and feed the catalog."""
        options, steps, stack = self._options, StartupSteps(self._console), self._stack
        for note in self._source.notes:
            self._console.print(f"  {note}", highlight=False, soft_wrap=True)
        environment = start_environment(
            stack,
            steps,
            prefix="demo",
            workers=options.workers,
            max_event_age=self._source.max_event_age,
            settings=self._source.worker_settings,
            trainer=options.neural,
            on_exit=self._remove_folder,
        )
        self._workers, self._trainer = environment.workers, environment.trainer
        sender = KafkaEventSender(environment.broker)
        stack.callback(sender.close)
        self._client = stack.enter_context(Client(environment.redis))
        self._baseline = self._feed_catalog(sender, steps)
        if self.keep:
            self._keep_catalog(environment.folder)
        self._feeder_thread = FeederThread(sender, self._source.rows(self._client), options.events_per_second)
        stack.callback(self._feeder_thread.stop)

    def _feed_catalog(self, sender: KafkaEventSender, steps: StartupSteps) -> ScrapedMetrics:
        """Feed the catalog; return the metrics once the workers have processed it, the baseline of the run."""
        baseline = self._workers.worker_metrics()
        feeder = Feeder(sender)
        feeder.feed(self._source.catalog())
        if not feeder.stats.sent:
            return baseline
        with steps.step("the shop's catalog") as step_status:
            sender.flush()
            expected = baseline.n_finished + feeder.stats.sent
            if not _wait_until(STALL_TIMEOUT, lambda: self._workers.worker_metrics().n_finished >= expected):
                raise WorkerError("The workers did not process the catalog; check their logs.")
            step_status.set_result(f"{feeder.stats.sent} items")
        return self._workers.worker_metrics()

    def _keep_catalog(self, folder: Path) -> None:
        """Write the catalog beside the kept files, for `headrace embed plot` with a checkpoint."""
        entries = (row.event for row in self._source.catalog() if isinstance(row, EventRow))
        lines = [catalog_line(entry) for entry in entries if isinstance(entry, CatalogItem)]
        if lines:
            (folder / "catalog.jsonl").write_bytes(b"".join(lines))

    def _remove_folder(self, folder: Path) -> None:
        if not self.keep:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            self._console.print(f"the workers' folders are in {folder}", highlight=False, soft_wrap=True)

    def run_until_stopped(self) -> reports.DemoReport:
        """Feed and show until the run ends, then measure reads and build the report."""
        featured_user, search = (
            FeaturedUser(self._read_user_list),
            LatestSearchTracker(self._read_search_list),
        )
        started = time.monotonic()
        self._feeder_thread.start()
        screenshot: RenderableType | None = None
        live = Live(console=self._console, auto_refresh=False, transient=True)
        stop_condition = StopCondition(started, self._options.seconds)
        with live if self._console.is_terminal else ExitStack():
            last_logged = started
            while True:
                now = time.monotonic()
                worker_metrics = self._workers.worker_metrics().delta_since(self._baseline)
                self._feeder_thread.set_finished(worker_metrics.n_finished)
                self._metrics_history.add(now, worker_metrics)
                recent = tuple(self._feeder_thread.stats.recent)
                featured_user.update(now, recent)
                search.update(now, recent)
                stopped = stop_condition.is_met(
                    now,
                    worker_metrics,
                    sent=self._feeder_thread.stats.sent,
                    feeding_done=self._feeder_thread.done,
                    interrupts=self._interrupts.count,
                )
                if stop_condition.cut_short:
                    self._feeder_thread.stop_feeding()
                state = self._screen_state(worker_metrics, now - started, stop_condition.phase)
                displayed = state, featured_user, search.displayed, self._source.titles
                if self._options.screenshot is not None and not self._feeder_thread.done:
                    screenshot = draw(*displayed, SCREENSHOT_SIZE)
                if self._console.is_terminal:
                    live.update(draw(*displayed, Size(*self._console.size)), refresh=True)
                elif stopped or now - last_logged >= _LOG_INTERVAL:
                    last_logged = now
                    self._console.print(status_line(state), highlight=False, soft_wrap=True, markup=False)
                if stopped:
                    break
                time.sleep(_POLL_INTERVAL)
        if self._options.screenshot is not None and screenshot is not None:
            save_screenshot(screenshot, self._options.screenshot)
        return self._build_report(worker_metrics, search.displayed, stop_condition.last_progress - started)

    def _read_user_list(self, user_id: str) -> RecommendationList | None:
        try:
            return self._client.read_key(user_key(user_id))
        except ClientUnavailableError:
            return None  # Redis is slow on a busy machine; the next update reads again

    def _read_search_list(self, user_id: str) -> SearchList | None:
        try:
            return self._client.last_search(user_id)
        except ClientUnavailableError:
            return None

    def _screen_state(self, worker_metrics: ScrapedMetrics, seconds: float, phase: str) -> ScreenState:
        stats = self._feeder_thread.stats
        return ScreenState(
            title=self._source.title,
            phase=phase,
            seconds=seconds,
            rows=stats.rows,
            rows_total=self._source.total,
            ignored=stats.total_ignored,
            users=len(stats.users),
            sent=stats.sent,
            worker_metrics=worker_metrics,
            recent_metrics=self._metrics_history.recent_metrics,
            rate=self._metrics_history.rate,
            quality=self._workers.quality,
            policies=self._workers.policies,
            neural=self._workers.neural if self._trainer is not None else None,
            trainer_failure=self._trainer_failure,
        )

    @property
    def _trainer_failure(self) -> str:
        return "" if self._trainer is None else self._trainer.failure

    def _build_report(
        self, worker_metrics: ScrapedMetrics, search: SearchComparison | None, seconds: float
    ) -> reports.DemoReport:
        stats = self._feeder_thread.stats
        try:
            reads = measure_read_latencies(self._client, stats.users, self._options.seed)
        except ClientUnavailableError as error:
            raise UserError(f"Redis does not respond at the end of the run: {error}.") from None
        unfinished = stats.sent - worker_metrics.n_finished
        return reports.DemoReport(
            events_read=stats.rows,
            accepted=round(worker_metrics.accepted),
            duplicates=round(worker_metrics.duplicates),
            dead_lettered=round(worker_metrics.dead_lettered),
            ignored=stats.total_ignored,
            users=len(stats.users),
            lists_published=round(worker_metrics.lists_published),
            search_lists_published=round(worker_metrics.search_lists),
            events_per_second=round(worker_metrics.n_finished / seconds, 1) if seconds > 0 else 0.0,
            freshness_ms=reports.freshness_ms(worker_metrics),
            redis_read_ms=reports.quantiles_ms(reads.seconds),
            hit_rate_at_20=worker_metrics.hit_rate,
            mrr_at_20=worker_metrics.mrr,
            list_quality=self._workers.quality,
            policies=reports.build_policy_reports(self._workers.policies),
            latest_search=search and search.first(_REPORTED_SEARCH_RANKS),
            seconds=round(seconds, 2),
            workers=self._options.workers,
            interrupted=self._interrupts.count > 0,
            unfinished=unfinished,
            reads=len(reads.seconds),
            users_read=reads.n_users,
            users_with_list=reads.n_with_list,
            neural=None
            if self._trainer is None
            else reports.neural_report(self._workers.neural, self._trainer_failure),
        )


def _wait_until(seconds: float, condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True

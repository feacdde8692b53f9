"""Runs one worker process: checks its environment, serves /metrics, starts Faust."""

import fcntl
import logging
import re
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import IO, Final

from prometheus_client import ProcessCollector

from state.snapshots.files import FolderFiles
from stream_app.client import Client, ClientUnavailableError
from stream_app.client.redis_reasons import unusable
from stream_app.errors import UserError
from stream_app.kafka.event_logs import TopicIncarnations, resolve_event_logs
from stream_app.kafka.required_rights import require_rights
from stream_app.logs import configure_logging
from stream_app.metrics import Metrics
from stream_app.probe_server import serve
from stream_app.publishing.redis_publisher import RedisPublisher
from stream_app.publishing.redis_sentinel import RedisSentinel
from stream_app.settings import Settings
from stream_app.worker import worker_status
from stream_app.worker.deferred_imports import defer_imports
from stream_app.worker.log_rate import limit_log_rate
from stream_app.worker.skipped_records import start_at_zero
from stream_app.worker.worker_status import Stage, WorkerStatus
from topics import admin, topic_checks
from topics.access import Program, rights_of
from topics.broker_client import BrokerUnavailableError, TopicAdminError, denial
from topics.catalog import CLICKS, USER_EVENTS, changelog

_LOG: Final = logging.getLogger(__name__)
_COMPILATION: Final = "stream_app.worker.kernel_compilation"
_TOPIC_ID: Final = re.compile(rb"[A-Za-z0-9_-]{16,64}")
"""An id as Kafka shows it, a UUID in Base64, or in hexadecimal digits."""


def run_worker(settings: Settings) -> None:
    """Run until SIGTERM or Ctrl-C; ends the process.

    Raises
    ------
    UserError
        If the broker, its topics, Redis, the data folder or the metrics port is not usable.
    """
    partitions = verified_partition_count(settings)
    check_redis(settings)
    lock = lock_data_dir(settings.data_dir)
    # Faust would set the root logger to DEBUG and filter in the handlers, at 20 µs per record of aiokafka.
    configure_logging(settings.log_level, settings.log_format, worker_status.__name__, _COMPILATION)
    log_rate = limit_log_rate()
    incarnations = topic_incarnations(settings)
    metrics = Metrics()
    ProcessCollector(registry=metrics.registry)
    start_at_zero(metrics)
    if not settings.model_store:
        set_aside_unless_folder(
            settings.data_dir / "models", metrics.local_state_set_aside.labels("snapshot").inc
        )
    status = WorkerStatus(lambda: _is_ready(metrics))
    probes = {"/livez": status.liveness, "/readyz": status.readiness}
    port = serve(metrics.registry, probes, settings.metrics_host, settings.metrics_port)
    status.log_address(settings.metrics_host, port)
    _log_capacities(settings)
    defer_imports()
    # Faust and numba are slow to import: a wrong setting is reported before.
    from stream_app.worker import app, kernel_compilation, process  # noqa: PLC0415  # see above

    kernel_compilation.compile_kernels(settings)
    publisher = RedisPublisher(settings.redis_server, settings.list_ttl)
    faust_app = app.create_app(
        settings,
        publisher,
        partitions=partitions,
        metrics=metrics,
        status=status,
        incarnations=incarnations,
        sentinel=RedisSentinel(settings.redis_server, publisher),
    )

    def end_at_once() -> None:
        if faust_app.headrace_worker.must_restart:
            process.restart()
        process.exit_at_once()

    deadline = process.EndDeadline(end_at_once)

    def on_end(seconds: float) -> None:
        # Nothing can make it ready again.
        status.enter(Stage.STOPPING)
        metrics.ready.set_function(float)
        deadline.arm(seconds)

    try:
        with lock:
            process.run_app(faust_app, on_end, partial(_log_denial, settings))
    finally:
        log_rate.report(at_exit=True)
        if faust_app.headrace_worker.must_restart:
            process.restart()


def _log_denial(settings: Settings, error: BaseException) -> None:
    if sentence := denial(settings.kafka, error):
        _LOG.error("this worker ends: %s", sentence)


def _is_ready(metrics: Metrics) -> bool:
    # Of this metric alone: others take a while to collect.
    [ready] = metrics.registry.restricted_registry(["headrace_ready"]).collect()
    return ready.samples[0].value == 1.0


def verified_partition_count(settings: Settings, program: Program = Program.WORKER) -> int:
    """The partition count of the user event topics, after a check of all topics that a program uses.

    Raises
    ------
    UserError
        If the broker is unavailable or refuses the request, if topics are missing or differ from the catalog, or if
        this client lacks a right.
    """
    used = {right.name for right in rights_of(program, settings.app_id)}
    specs = [spec for spec in settings.topics if spec.name in used]
    try:
        described = admin.describe(specs, settings.kafka)
        require_rights(program, settings.app_id, described, settings.kafka)
        problems = [each for each in topic_checks.problems(described) if each.is_blocking]
        if problems:
            summary = "; ".join(str(problem) for problem in problems[:3])
            remaining = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
            raise UserError(
                f"The topics differ from the catalog: {summary}{remaining}. `headrace topics create` creates "
                "missing topics, `headrace topics check` lists all differences."
            )
    except (BrokerUnavailableError, TopicAdminError) as error:
        raise UserError(str(error)) from None
    clicks = (each.partitions for each in described if each.spec.name == CLICKS.name)
    return next(clicks, None) or settings.partitions


def topic_incarnations(settings: Settings) -> TopicIncarnations:
    """The ids of all topics, compared with those that this folder and the topic ``control`` remember.

    Raises
    ------
    UserError
        If the broker is unavailable, or the changelog was made anew while the folder has rows of the deleted one.
    """
    spec = changelog(settings.app_id)
    try:
        topic_ids = admin.topic_ids(settings.topics, settings.kafka)
    except (BrokerUnavailableError, TopicAdminError) as error:
        raise UserError(str(error)) from None
    table, remembered = settings.data_dir / "table", settings.data_dir / "changelog-id"
    known = _remembered_id(remembered)
    current = topic_ids.get(spec.name, "")
    if known and current and known != current and table.exists():
        raise UserError(
            f"The topic {spec.name} was deleted and created anew; {table} has the rows of the deleted one. Move that "
            "folder away to start with the rows of the new topic."
        )
    if current != known:
        FolderFiles(settings.data_dir).write(remembered.name, current.encode())
    event_ids = {each.name: topic_ids.get(each.name, "") for each in USER_EVENTS}
    return TopicIncarnations(topic_ids, resolve_event_logs(settings.kafka, event_ids))


def _remembered_id(path: Path) -> str:
    """The id of a topic in a file; empty if there is none, or what is there is no id."""
    try:
        content = path.read_bytes().strip()
    except FileNotFoundError:
        return ""
    if not _TOPIC_ID.fullmatch(content):
        if content:
            _LOG.warning("ignoring damaged file %s: it has no id of a topic", path)
        return ""
    return content.decode()


def check_redis(settings: Settings) -> None:
    """Check that Redis answers.

    Raises
    ------
    UserError
        If it does not.
    """
    try:
        with Client(settings.redis_server, timeout=2.0) as client:
            # Several keys: a node of a cluster refuses them.
            client.read("", session_items=["", " "])
    except ClientUnavailableError as error:
        raise UserError(str(unusable(error.__cause__ or error, settings.redis_server))) from None
    except ValueError as error:
        raise UserError(f"HEADRACE_REDIS: {error}.") from None


def lock_data_dir(folder: Path) -> IO[bytes]:
    """Lock the data folder for this worker.

    Returns
    -------
    file
        Holds the lock while it is open, at most until the process ends.

    Raises
    ------
    UserError
        If the folder is not writable, or another worker holds the lock.
    """
    path = folder / "lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            path.rename(folder / f"lock.damaged-{time.time_ns()}")
        lock = path.open("ab")
    except OSError as error:
        raise UserError(
            f"The data folder {folder} cannot be written to ({error.strerror}). Set HEADRACE_DATA_DIR."
        ) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise UserError(
            f"Another worker uses the data folder {folder}: set a separate HEADRACE_DATA_DIR for each worker."
        ) from None
    return lock


def set_aside_unless_folder(path: Path, on_set_aside: Callable[[], None]) -> None:
    """Set aside what is in the place of the folder of the snapshots: none could be read or written.

    Raises
    ------
    UserError
        If it cannot be renamed.
    """
    if not path.exists() or path.is_dir():
        return
    kept = path.with_name(f"{path.name}.damaged-{time.time_ns()}")
    try:
        path.rename(kept)
    except OSError as error:
        raise UserError(f"{path} is no folder, and cannot be renamed ({error.strerror}).") from None
    on_set_aside()
    _LOG.warning("set aside %s, which is no folder, as %s; models start without a snapshot", path, kept.name)


def _log_capacities(settings: Settings) -> None:
    if settings.memory_budget:
        capacities = settings.capacities
        _LOG.info(
            "a memory budget of %d MiB: at most %d users and %d items in the models, %d lists, %d pending users",
            settings.memory_budget,
            capacities.max_users,
            capacities.max_items,
            capacities.retained_lists,
            capacities.max_pending,
        )

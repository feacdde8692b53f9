"""Start of servers, topics and workers for one run."""

import shutil
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NamedTuple

from stream_app.redis_server import RedisServer
from stream_app.settings import load_settings, scratch_dir, without_password
from stream_app.tools.embedded import EmbeddedServers
from stream_app.tools.environment.external_servers import (
    check_external_servers,
    clean_up,
    create_missing_topics,
    describe_servers,
    start_at_latest,
    temporary_app_id,
)
from stream_app.tools.environment.startup_steps import StartupSteps
from stream_app.tools.environment.trainer_process import (
    CHECKPOINT_SECONDS,
    SNAPSHOT_SECONDS,
    TrainerProcess,
)
from stream_app.tools.environment.worker_pool import WorkerPool, WorkerProcess
from topics.kafka_connection import Broker

DEFAULT_PARTITIONS: Final = 4
"""Partitions of new topics, unless there are more workers."""


class Environment(NamedTuple):
    """The addresses of the servers of a run, its workers, which are ready, and its trainer, which is started.

    `folder` has the workers' and the trainer's logs, tables and stores.
    """

    folder: Path
    broker: Broker
    redis: RedisServer
    workers: WorkerPool
    trainer: TrainerProcess | None = None


def start_environment(
    stack: ExitStack,
    steps: StartupSteps,
    *,
    prefix: str,
    workers: int,
    max_event_age: float,
    settings: Mapping[str, object] | None = None,
    trainer: bool = False,
    on_exit: Callable[[Path], object] = lambda folder: shutil.rmtree(folder, ignore_errors=True),
) -> Environment:
    """Start servers that no environment variable names, create missing topics, and start workers.

    Parameters
    ----------
    stack
        Receives a callback for everything to stop or remove.
    prefix
        Prefix of the folder of the workers' tables and logs.
    max_event_age
        Age in seconds up to which the workers accept events; 0 accepts any age.
    settings
        Further settings of the workers; environment variables override them.
    trainer
        Whether a trainer of the two-tower model runs, too, and the workers use its models; to be preceded by
        `check_trainer`.
    on_exit
        Called with the workers' folder at the end; by default it removes the folder.

    Raises
    ------
    UserError
        If a server or a worker cannot be started.
    """
    folder = scratch_dir(prefix)
    stack.callback(on_exit, folder)
    servers = _start_servers(stack, steps)
    broker, redis = servers.broker_connection, servers.redis_address
    with steps.step("topics") as step_status:
        app_id, n_topics = _create_topics(stack, servers, max(DEFAULT_PARTITIONS, workers))
        step_status.set_result(f"{n_topics} in the catalog")
    worker_pool = WorkerPool()
    stack.callback(worker_pool.stop)
    worker_settings = {
        **_unset_in_environment(settings or {}),
        "app_id": app_id,
        "broker": broker,
        "redis": redis,
        "max_event_age": max_event_age,
    }
    trainer_process = None
    if trainer:
        worker_settings |= {"neural": True, "model_store": str(folder / "store")}
        trainer_process = _start_trainer(folder, worker_settings)
        stack.callback(trainer_process.stop)
    label = "a worker" if workers == 1 else f"{workers} workers"
    with steps.step(f"{label}: Faust application, models, table"):
        for number in range(1, workers + 1):
            worker_pool.start(WorkerProcess(number, folder, worker_settings))
        worker_pool.wait_until_ready()
    return Environment(folder, broker, servers.redis_server, worker_pool, trainer_process)


def _start_servers(stack: ExitStack, steps: StartupSteps) -> EmbeddedServers:
    servers = EmbeddedServers()
    stack.callback(servers.stop)
    with steps.step(describe_servers(servers)) as step_status:
        check_external_servers(servers)
        servers.start(step_status.show_progress)
        step_status.set_result(f"{servers.broker_address} and {without_password(servers.redis_address)}")
    return servers


def _start_trainer(folder: Path, worker_settings: Mapping[str, object]) -> TrainerProcess:
    paces = {"checkpoint_interval": CHECKPOINT_SECONDS, "trainer_snapshot_interval": SNAPSHOT_SECONDS}
    return TrainerProcess(folder, {**_unset_in_environment(paces), **worker_settings})


def _create_topics(stack: ExitStack, servers: EmbeddedServers, partitions: int) -> tuple[str, int]:
    """Create missing topics; return the application id of the workers and the number of topics."""
    app_id, broker = load_settings().app_id, servers.broker_connection
    if servers.broker is not None:
        return app_id, create_missing_topics(app_id, broker, partitions)
    app_id = temporary_app_id(app_id)
    stack.callback(clean_up, app_id, broker)
    n_topics = create_missing_topics(app_id, broker, partitions)
    start_at_latest(app_id, broker)
    return app_id, n_topics


def _unset_in_environment(settings: Mapping[str, object]) -> dict[str, object]:
    """The settings that no environment variable sets."""
    overridden = load_settings().model_fields_set
    return {name: value for name, value in settings.items() if name not in overridden}

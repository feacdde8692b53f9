"""Runs one worker process: checks what it needs, serves /metrics, hands over to Faust."""

import fcntl
import logging
import warnings
from pathlib import Path
from typing import IO

from prometheus_client import start_http_server

from stream_app.errors import UserError
from stream_app.metrics import Metrics
from stream_app.settings import Settings, without_password


def run_worker(settings: Settings) -> None:
    """Run until SIGTERM or ctrl-C; ends the process.

    Raises
    ------
    UserError
        If the broker, its topics, Redis, the data folder or the metrics port is not as needed.
    """
    partitions = verified_partition_count(settings)
    check_redis(settings)
    lock = lock_data_dir(settings.data_dir)
    # Faust would set the root logger to DEBUG and filter in the handlers, at 20 µs a record of aiokafka.
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    metrics = Metrics()
    port = serve_metrics(metrics, settings)
    print(f"headrace worker: metrics at http://{settings.metrics_host}:{port}/metrics", flush=True)  # noqa: T201
    # Faust and numba are slow to import: a wrong setting is told before.
    from stream_app.publishing.redis_publisher import RedisPublisher  # noqa: PLC0415
    from stream_app.worker.app import create_app  # noqa: PLC0415
    from stream_app.worker.process import run_app  # noqa: PLC0415
    from stream_app.worker.warm_up import warm_up  # noqa: PLC0415

    warm_up(settings)
    publisher = RedisPublisher(settings.redis, settings.list_ttl)
    with lock:
        run_app(create_app(settings, publisher, partitions=partitions, metrics=metrics))


def verified_partition_count(settings: Settings) -> int:
    """The partition count of the shoppers' topics, after checking that all topics are as they must be.

    Raises
    ------
    UserError
        If the broker is away or refuses, or topics are missing or differ.
    """
    from topics.admin import check, describe  # noqa: PLC0415
    from topics.broker_client import BrokerUnavailableError, TopicAdminError  # noqa: PLC0415
    from topics.catalog import CLICKS, catalog  # noqa: PLC0415

    specs = catalog(settings.app_id)
    try:
        problems = check(specs, settings.broker)
        if problems:
            summary = "; ".join(str(problem) for problem in problems[:3])
            remaining = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
            raise UserError(
                f"The topics are not as they must be: {summary}{remaining}. `headrace topics create` makes "
                "those that are missing, `headrace topics check` lists everything."
            )
        described = describe(specs, settings.broker)
    except (BrokerUnavailableError, TopicAdminError) as error:
        raise UserError(str(error)) from None
    return next(state.partitions for state in described if state.spec is CLICKS) or settings.partitions


def check_redis(settings: Settings) -> None:
    """Make sure Redis answers.

    Raises
    ------
    UserError
        If it does not.
    """
    from stream_app.client import Client, ClientUnavailableError  # noqa: PLC0415

    try:
        with Client(settings.redis, timeout=2.0) as client:
            client.popular()
    except ClientUnavailableError as error:
        raise UserError(
            f"No Redis answers at {without_password(settings.redis)} ({error}). Start one, or set HEADRACE_REDIS."
        ) from None
    except ValueError as error:
        raise UserError(f"HEADRACE_REDIS: {error}.") from None


def lock_data_dir(folder: Path) -> IO[bytes]:
    """Make sure the data folder can be written to, and that no other worker uses it.

    Returns
    -------
    file
        The folder is held as long as it is open, and at the longest until this process ends, however it does.

    Raises
    ------
    UserError
        If it cannot be written to, or another worker holds it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("ab")
    except OSError as error:
        raise UserError(
            f"The data folder {folder} cannot be written to ({error.strerror}). Set HEADRACE_DATA_DIR."
        ) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise UserError(
            f"Another worker uses the data folder {folder}: give each a HEADRACE_DATA_DIR of its own."
        ) from None
    return lock


def serve_metrics(metrics: Metrics, settings: Settings) -> int:
    """Serve /metrics from a thread of its own, so that it answers while the event loop is busy.

    Returns
    -------
    int
        The port.

    Raises
    ------
    UserError
        If the port is taken.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            server, _ = start_http_server(
                settings.metrics_port, addr=settings.metrics_host, registry=metrics.registry
            )
    except OSError as error:
        raise UserError(
            f"/metrics cannot be served at {settings.metrics_host}:{settings.metrics_port} "
            f"({error.strerror}). Set HEADRACE_METRICS_PORT; 0 takes a free port."
        ) from None
    return int(server.server_port)

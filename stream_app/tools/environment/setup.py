"""Servers, topics and workers of one run, started step by step: what the demo and the simulator stand on."""

import shutil
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NamedTuple

from stream_app.settings import load_settings, scratch_dir, without_password
from stream_app.tools.embedded import EmbeddedServers
from stream_app.tools.environment.external_servers import (
    introduction,
    lodger_id,
    make_topics,
    move_in,
    move_out,
    try_own,
)
from stream_app.tools.environment.startup_steps import Steps
from stream_app.tools.environment.worker_pool import WorkerProcess, Workers

PARTITIONS: Final = 4
"""Of the topics, unless there are more workers."""


class Stage(NamedTuple):
    """Where a run takes place.

    Attributes
    ----------
    broker, redis
        Their addresses.
    workers
        Ready.
    """

    broker: str
    redis: str
    workers: Workers


def set_up(
    stack: ExitStack,
    steps: Steps,
    *,
    prefix: str,
    workers: int,
    max_event_age: float,
    settings: Mapping[str, object] | None = None,
    left_behind: Callable[[Path], object] = lambda folder: shutil.rmtree(folder, ignore_errors=True),
) -> Stage:
    """Start what the environment does not name, and workers on it.

    Parameters
    ----------
    stack
        Whatever must be stopped again is left on it.
    steps
        Says what is done.
    prefix
        Of the folder for the workers' tables and logs.
    workers
        Worker processes.
    max_event_age
        Seconds that they take events for; 0 takes events of any age.
    settings
        Further settings of theirs, where the environment does not say otherwise.
    left_behind
        Given that folder in the end; by default it is removed.

    Raises
    ------
    UserError
        If something cannot be started.
    """
    folder = scratch_dir(prefix)
    stack.callback(left_behind, folder)
    servers = EmbeddedServers()
    stack.callback(servers.stop)
    with steps.step(introduction(servers)) as outcome:
        try_own(servers)
        servers.start(outcome.tell)
        broker, redis = servers.broker_address, servers.redis_address
        outcome.say(f"{broker} and {without_password(redis)}")
    app_id = load_settings().app_id
    with steps.step("topics") as outcome:
        if servers.broker is None:
            app_id = lodger_id(app_id)
            stack.callback(move_out, app_id, broker)
        made = make_topics(app_id, broker, max(PARTITIONS, workers))
        if servers.broker is None:
            move_in(app_id, broker)
        outcome.say(f"{made} in the catalogue")
    running = Workers()
    stack.callback(running.stop)
    what = "a worker" if workers == 1 else f"{workers} workers"
    with steps.step(f"{what}: Faust application, models, table"):
        said = load_settings().model_fields_set
        theirs = {
            **{name: value for name, value in (settings or {}).items() if name not in said},
            "app_id": app_id,
            "broker": broker,
            "redis": redis,
            "max_event_age": max_event_age,
        }
        for number in range(1, workers + 1):
            running.start(WorkerProcess(number, folder, theirs))
        running.await_ready()
    return Stage(broker, redis, running)

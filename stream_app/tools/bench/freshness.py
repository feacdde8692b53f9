"""Freshness at a steady rate, and the latency of client reads under it."""

import itertools
import multiprocessing
import shutil
import time
from contextlib import ExitStack
from multiprocessing.synchronize import Event
from typing import Final

import numpy as np

from stream_app.client import Client
from stream_app.errors import UserError
from stream_app.kafka.kafka_event_sender import KafkaEventSender
from stream_app.settings import scratch_dir
from stream_app.tools.bench.results import FreshnessResults, Percentiles
from stream_app.tools.bench.throughput import PARTITIONS, StatusCallback, isolated_servers
from stream_app.tools.demo.read_latency import measure_read_latencies
from stream_app.tools.embedded.child_process import log_tail
from stream_app.tools.environment.trainer_process import TrainerProcess
from stream_app.tools.environment.worker_pool import WorkerPool, WorkerProcess
from stream_app.tools.feeds.feeder import Feeder
from stream_app.tools.feeds.rows import EventRow
from stream_app.tools.simulator.benchmark_load import benchmark_events
from topics.kafka_connection import Broker

_WARM_UP_SECONDS: Final = 10.0
"""Warm-up before the measurement, at most as long as the measurement."""

_CHECKPOINT_SECONDS: Final = 10
"""So that models are replaced during the measurement, too."""

_MODEL_TIMEOUT: Final = 180.0
"""Seconds until the worker has the first model; the first step of a trainer compiles it."""


def measure_freshness(
    rate: float, seconds: float, users: int, update_status: StatusCallback, *, trainer: bool = False
) -> FreshnessResults:
    """Feed one worker at a steady rate and read its freshness histogram.

    Parameters
    ----------
    rate
        Events per second.
    seconds
        Duration of the measurement, after a warm-up.
    trainer
        Whether the worker ranks with the two-tower model, and a trainer learns from the same events on this machine.
        The warm-up begins when the worker has adopted the first model.

    Raises
    ------
    UserError
        If a server, the worker or the trainer cannot be started or ends.
    """
    # A separate process: in a thread the feeder and the timed reads would compete for the GIL.
    processes = multiprocessing.get_context("spawn")
    stop = processes.Event()
    name = "freshness beside a trainer" if trainer else "freshness"
    folder = scratch_dir("bench-freshness")
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        servers = stack.enter_context(isolated_servers())
        update_status(f"{name}: starting a worker")
        settings: dict[str, object] = {
            "broker": servers.broker_connection,
            "redis": servers.redis_address,
            "partitions": PARTITIONS,
        }
        workers = WorkerPool()
        stack.callback(workers.stop)
        stack.callback(stop.set)
        if trainer:
            settings |= {"neural": True, "model_store": str(folder / "store")}
        workers.start(WorkerProcess(1, folder, settings))
        workers.wait_until_ready()
        feeder = processes.Process(
            target=_feed, args=(servers.broker_connection, rate, users, stop), daemon=True
        )
        feeder.start()
        if trainer:
            process = TrainerProcess(folder, {**settings, "checkpoint_interval": _CHECKPOINT_SECONDS})
            stack.callback(process.stop)
            update_status(f"{name}: waiting for the first model")
            _wait_for_model(workers, process)
        warm_up = min(_WARM_UP_SECONDS, seconds)
        update_status(f"{name}: {rate:g} events/s, warming up for {warm_up:g} s")
        time.sleep(warm_up)
        before, started = workers.worker_metrics(), time.perf_counter()
        update_status(f"{name}: {rate:g} events/s, measuring for {seconds:g} s")
        time.sleep(seconds)
        after, elapsed = workers.worker_metrics(), time.perf_counter() - started
        update_status("redis: reading lists with the client while events continue")
        with Client(servers.redis_address) as client:
            reads = measure_read_latencies(client, [f"user-{n}" for n in range(users)], seed=7)
        stop.set()
        feeder.join()
    delta = after.delta_since(before)
    milliseconds = np.array(reads.seconds) * 1e3
    return FreshnessResults(
        target_rate=rate,
        achieved_rate=delta.accepted / elapsed,
        freshness_ms=Percentiles(*((delta.freshness.quantile(q) or 0.0) * 1e3 for q in (0.5, 0.99))),
        redis_read_ms=Percentiles(*(float(np.percentile(milliseconds, q)) for q in (50, 99))),
        lists_read=reads.n_with_list,
        model_version=round(workers.neural.version),
    )


def _wait_for_model(workers: WorkerPool, trainer: TrainerProcess) -> None:
    deadline = time.monotonic() + _MODEL_TIMEOUT
    while workers.worker_metrics() and not workers.neural.version:
        if trainer.failure or time.monotonic() > deadline:
            state = trainer.failure or f"announced no model within {_MODEL_TIMEOUT:.0f} s"
            raise UserError(f"The trainer {state}. {log_tail(trainer.log_path)}")
        time.sleep(0.25)


def _feed(broker: Broker, rate: float, users: int, stop: Event) -> None:
    sender = KafkaEventSender(broker)
    try:
        events = benchmark_events(10**9, clock=time.time, users=users)
        events_until_stop = itertools.takewhile(lambda _: not stop.is_set(), events)
        rows = (EventRow(number, event) for number, event in enumerate(events_until_stop))
        Feeder(sender, rate=rate).feed(rows)
        sender.flush()
    finally:
        sender.close()

"""Catching up with a backlog, and freshness at shares of the capacity, with one and with two workers."""

import multiprocessing
import shutil
import time
from collections.abc import Sequence
from contextlib import ExitStack
from multiprocessing.synchronize import Event
from typing import Final

from stream_app.errors import UserError
from stream_app.kafka.event_records import event_record
from stream_app.kafka.kafka_event_sender import KafkaEventSender
from stream_app.settings import scratch_dir
from stream_app.tools.bench.results import LoadResults, LoadStep, Percentiles
from stream_app.tools.bench.throughput import PARTITIONS, StatusCallback, isolated_servers
from stream_app.tools.environment.worker_metrics import ScrapedMetrics
from stream_app.tools.environment.worker_pool import WorkerPool, WorkerProcess
from stream_app.tools.feeds.feeder import Feeder
from stream_app.tools.feeds.rows import EventRow
from stream_app.tools.simulator.benchmark_load import benchmark_events
from topics.kafka_connection import Broker

SHARES: Final = (0.5, 0.8, 1.0, 2.0)
"""Rates of events, as shares of the rate at which the workers catch up with a backlog."""

_POLL_SECONDS: Final = 0.2
_TIMEOUT: Final = 300.0


def measure_load(
    workers: int,
    events: int,
    seconds: float,
    users: int,
    update_status: StatusCallback,
    shares: Sequence[float] = SHARES,
) -> LoadResults:
    """Let workers catch up with a backlog, then feed them at shares of the rate at which they did.

    Parameters
    ----------
    workers
        Number of workers.
    events
        Events of the backlog.
    seconds
        Duration of the feed at each share; then the workers catch up.

    Raises
    ------
    UserError
        If a server or a worker cannot be started or ends, or if the workers do not process every event.
    """
    folder = scratch_dir("bench-load")
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        servers = stack.enter_context(isolated_servers())
        name = f"load, {workers} worker{'s' * (workers > 1)}"
        pool = WorkerPool()
        stack.callback(pool.stop)
        update_status(f"{name}: starting")
        for number in range(1, workers + 1):
            settings: dict[str, object] = {
                "broker": servers.broker_connection,
                "redis": servers.redis_address,
                "partitions": PARTITIONS,
            }
            pool.start(WorkerProcess(number, folder, settings))
        pool.wait_until_ready()
        update_status(f"{name}: catching up with {events:,} events")
        before, started = pool.worker_metrics(), time.perf_counter()
        _feed(servers.broker_connection, events, 0.0, users, "backlog")
        after = _wait_until_processed(pool, before, events)
        elapsed = time.perf_counter() - started
        capacity = events / elapsed
        steps = [
            _measure_step(
                pool, servers.broker_connection, share, capacity, seconds, users, name, update_status
            )
            for share in shares
        ]
    return LoadResults(
        workers=workers,
        catch_up_rate=capacity,
        cpu_us_per_event=1e6 * after.delta_since(before).cpu_seconds / events,
        steps=steps,
    )


def _measure_step(
    pool: WorkerPool,
    broker: Broker,
    share: float,
    capacity: float,
    seconds: float,
    users: int,
    name: str,
    update_status: StatusCallback,
) -> LoadStep:
    rate = share * capacity
    n_events = max(1, round(rate * seconds))
    update_status(f"{name}: {rate:.0f} events/s ({share:.0%} of the capacity) for {seconds:g} s")
    before = pool.worker_metrics()
    # A process of its own: in a thread it would compete with the reading of the metrics.
    processes = multiprocessing.get_context("spawn")
    is_connected = processes.Event()
    feeder = processes.Process(
        target=_feed, args=(broker, n_events, rate, users, f"{share}", is_connected), daemon=True
    )
    feeder.start()
    while feeder.is_alive() and not is_connected.wait(_POLL_SECONDS):
        pool.worker_metrics()
    started = time.perf_counter()
    while feeder.is_alive():
        feeder.join(_POLL_SECONDS)
        pool.worker_metrics()
    if feeder.exitcode:
        raise UserError(f"The feeder of the benchmark ended with status {feeder.exitcode}.")
    fed, backlog = time.perf_counter(), n_events - pool.worker_metrics().delta_since(before).n_finished
    after = _wait_until_processed(pool, before, n_events)
    quantile = after.delta_since(before).freshness.quantile
    return LoadStep(
        share=share,
        rate=n_events / (fed - started),
        freshness_ms=Percentiles(*((quantile(q) or 0.0) * 1e3 for q in (0.5, 0.99))),
        backlog=max(0, backlog),
        catch_up_seconds=time.perf_counter() - fed,
    )


def _wait_until_processed(pool: WorkerPool, before: ScrapedMetrics, events: int) -> ScrapedMetrics:
    """Wait until events have an outcome and the lists that reflect them are published; return the metrics."""
    deadline = time.monotonic() + _TIMEOUT
    while True:
        now = pool.worker_metrics()
        since = now.delta_since(before)
        if since.n_finished >= events and not now.pending_users:
            if since.n_finished > events:
                raise UserError(f"The workers counted {since.n_finished} events of {events}.")
            return now
        if time.monotonic() > deadline:
            raise UserError(
                f"The workers processed {since.n_finished} of {events} events within {_TIMEOUT:.0f} s; "
                f"{now.pending_users:.0f} users wait for their lists."
            )
        time.sleep(_POLL_SECONDS)


def _feed(
    broker: Broker, events: int, rate: float, users: int, run: str, is_connected: Event | None = None
) -> None:
    """Send events at a rate, or at full speed if it is 0."""
    sender = KafkaEventSender(broker, linger=0.0 if rate else 0.05)
    if is_connected is not None:
        is_connected.set()
    try:
        generated = benchmark_events(events, clock=time.time, users=users, run=run)
        if rate:
            Feeder(sender, rate=rate).feed(EventRow(number, event) for number, event in enumerate(generated))
        else:
            for event in generated:
                sender.send(event_record(event))
        sender.flush()
    finally:
        sender.close()

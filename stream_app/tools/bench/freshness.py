"""Freshness at a steady rate, and the client's reads meanwhile."""

import itertools
import multiprocessing
import shutil
import time
from multiprocessing.synchronize import Event
from typing import Any, Final

import numpy as np

from stream_app.client import Client
from stream_app.kafka.kafka_event_sender import KafkaEventSender
from stream_app.settings import scratch_dir
from stream_app.tools.bench.throughput import PARTITIONS, StatusCallback, isolated_servers
from stream_app.tools.demo.read_latency import measure_read_latencies
from stream_app.tools.environment.worker_pool import WorkerPool, WorkerProcess
from stream_app.tools.feeds.feeder import Feeder
from stream_app.tools.feeds.rows import EventRow
from stream_app.tools.simulator.benchmark_load import benchmark_events

_WARM_UP_SECONDS: Final = 10.0
"""Events before the measurement, unless that is shorter itself."""


def measure_freshness(
    rate: float, seconds: float, users: int, update_status: StatusCallback
) -> dict[str, Any]:
    """Feed one worker at `rate` events a second and read its own freshness histogram.

    Parameters
    ----------
    rate
        Events a second.
    seconds
        How long is measured, after a warm-up.
    users
        Shoppers the events are spread over.
    update_status
        Told what is being done.

    Returns
    -------
    dict
        ``freshness_ms`` and ``redis_read_ms`` with p50 and p99, and the rate reached.
    """
    # A process of its own: in a thread the feeder and the timed reads would wait for one another.
    processes = multiprocessing.get_context("spawn")
    stop = processes.Event()
    with isolated_servers() as servers:
        workers = WorkerPool()
        folder = scratch_dir("bench-freshness")
        addresses = {"broker": servers.broker_address, "redis": servers.redis_address}
        update_status("freshness: starting a worker")
        try:
            workers.start(WorkerProcess(1, folder, {**addresses, "partitions": PARTITIONS}))
            workers.wait_until_ready()
            feeder = processes.Process(
                target=_feed, args=(servers.broker_address, rate, users, stop), daemon=True
            )
            feeder.start()
            warm_up = min(_WARM_UP_SECONDS, seconds)
            update_status(f"freshness: {rate:g} events/s, warming up for {warm_up:g} s")
            time.sleep(warm_up)
            before, started = workers.worker_metrics(), time.perf_counter()
            update_status(f"freshness: {rate:g} events/s, measuring for {seconds:g} s")
            time.sleep(seconds)
            after, elapsed = workers.worker_metrics(), time.perf_counter() - started
            update_status("redis: reading lists with the client while events go on")
            with Client(servers.redis_address) as client:
                reads = measure_read_latencies(client, [f"user-{n}" for n in range(users)], seed=7)
            stop.set()
            feeder.join()
        finally:
            stop.set()
            workers.stop()
            shutil.rmtree(folder, ignore_errors=True)
    delta = after.delta_since(before)
    milliseconds = np.array(reads.seconds) * 1e3
    return {
        "target_rate": rate,
        "achieved_rate": delta.accepted / elapsed,
        "freshness_ms": {
            name: (delta.freshness.quantile(q) or 0.0) * 1e3 for name, q in (("p50", 0.5), ("p99", 0.99))
        },
        "redis_read_ms": {
            "p50": float(np.percentile(milliseconds, 50)),
            "p99": float(np.percentile(milliseconds, 99)),
        },
        "lists_read": reads.n_with_list,
    }


def _feed(broker: str, rate: float, users: int, stop: Event) -> None:
    sender = KafkaEventSender(broker)
    try:
        events = benchmark_events(10**9, clock=time.time, users=users)
        events_until_stop = itertools.takewhile(lambda _: not stop.is_set(), events)
        rows = (EventRow(number, event) for number, event in enumerate(events_until_stop))
        Feeder(sender, rate=rate).feed(rows)
        sender.flush()
    finally:
        sender.close()

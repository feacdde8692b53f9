"""How far a trainer process is behind a log that grows at a steady rate."""

import shutil
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from state.dedup import RecordId
from state.fold import interaction_of
from stream_app.errors import UserError
from stream_app.kafka.event_records import ProducerRecord
from stream_app.kafka.kafka_event_sender import KafkaEventSender
from stream_app.settings import child_environment, scratch_dir
from stream_app.tools.embedded import EmbeddedServers
from stream_app.tools.embedded.child_process import free_port, log_tail, start_process, stop_process
from stream_app.tools.environment.metrics_endpoint import fetch_metrics, parse_samples
from stream_app.tools.feeds.pacing import Pacer
from stream_app.tools.simulator.benchmark_load import benchmark_events
from topics import admin
from topics.catalog import INTERACTIONS, catalog
from topics.kafka_connection import Broker
from topics.records import Interaction, Source

_START_SECONDS: Final = 120.0
_CHECKPOINT_SECONDS: Final = 10
_ENDLESS: Final = 10**9
_USERS: Final = 500
"""So few that their sequences soon have several items to learn from."""

_PINNED: Final = (
    "import os, runpy, sys; hasattr(os, 'sched_setaffinity') and "
    "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); "
    "sys.argv = ['headrace', 'trainer']; runpy.run_module('stream_app', run_name='__main__')"
)
"""Runs a trainer on one core."""


class TrainerLag(msgspec.Struct, frozen=True):
    """What a trainer's ``headrace_trainer_lag_seconds`` said, read each second of the second half of the feed.

    Attributes
    ----------
    achieved_rate
        Interactions per second that the trainer learned.
    checkpoints
        Checkpoints that it wrote meanwhile, one per 10 s if it kept up.
    """

    target_rate: float
    achieved_rate: float
    median_seconds: float
    largest_seconds: float
    checkpoints: int


def benchmark_interactions(count: int, clock: Callable[[], float]) -> Iterator[Interaction]:
    """The interactions among so many events of `benchmark_events`.

    Examples
    --------
    >>> found = list(benchmark_interactions(100, lambda: 1.5e9))
    >>> 0 < len(found) <= 100, len(found[0].lines)
    (True, 1)
    """
    for offset, event in enumerate(benchmark_events(count, clock=clock, users=_USERS)):
        interaction = interaction_of(event, RecordId(Source.CLICK, 0, offset))
        if interaction is not None and interaction.lines:
            yield interaction


def measure_lag(rate: float, seconds: float) -> TrainerLag:
    """Feed a trainer process through an embedded broker and read its metrics.

    Parameters
    ----------
    rate
        Interactions per second.
    seconds
        Of feeding; the first half is the warm-up, which compiles the training step.

    Raises
    ------
    UserError
        If the trainer exits, or is not elected.
    """
    folder = scratch_dir("bench-neural")
    try:
        with EmbeddedServers() as servers:
            broker, port = servers.broker_connection, free_port()
            admin.create(catalog(), broker, partitions=1, replication=1)
            environment = child_environment(
                broker=broker,
                data_dir=folder / "trainer",
                metrics_port=port,
                metrics_host="127.0.0.1",
                checkpoint_interval=_CHECKPOINT_SECONDS,
            )
            log = folder / "trainer.log"
            with log.open("wb") as file:
                process = start_process(
                    (sys.executable, "-c", _PINNED),
                    log=file,
                    environment={**environment, "OMP_NUM_THREADS": "1"},
                )
            try:
                deadline = time.monotonic() + _START_SECONDS
                while _metrics(port).get("headrace_trainer_active") != 1.0:
                    if process.poll() is not None or time.monotonic() > deadline:
                        raise UserError(f"The trainer was not elected. {log_tail(log)}")
                    time.sleep(0.2)
                return _feed(broker, port, rate, seconds)
            finally:
                stop_process(process)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _feed(broker: Broker, port: int, rate: float, seconds: float) -> TrainerLag:
    encoder, pacer, sender = msgspec.msgpack.Encoder(), Pacer(rate), KafkaEventSender(broker)
    started = time.monotonic()
    read_at, lags = started + seconds / 2, []
    first: dict[str, float] = {}
    first_at = started
    try:
        for interaction in benchmark_interactions(_ENDLESS, time.time):
            now = time.monotonic()
            if now >= started + seconds:
                break
            if now >= read_at:
                read = _metrics(port)
                if read and not first:
                    first, first_at = read, now
                if "headrace_trainer_lag_seconds" in read:  # else it did not answer in time
                    lags.append(read["headrace_trainer_lag_seconds"])
                read_at += 1.0
            time.sleep(pacer.wait(now))
            sender.send(
                ProducerRecord(INTERACTIONS.name, interaction.user_id.encode(), encoder.encode(interaction))
            )
        sender.flush()
        last, elapsed = _metrics(port), time.monotonic() - first_at
    finally:
        sender.close()
    if not lags:
        raise UserError("The trainer did not answer at /metrics during the feed; feed for longer.")
    learned, written = (
        last.get(name, 0.0) - first.get(name, 0.0)
        for name in ("headrace_trainer_interactions_total", "headrace_trainer_checkpoints_total")
    )
    return TrainerLag(rate, learned / elapsed, statistics.median(lags), max(lags), round(written))


def _metrics(port: int) -> dict[str, float]:
    text = fetch_metrics(port)
    return {} if text is None else {sample.name: sample.value for sample in parse_samples(text)}

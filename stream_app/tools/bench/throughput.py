"""Events a second of a bare agent, of one with a table write, and of the whole: in turn, on one broker."""

import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from stream_app.errors import UserError
from stream_app.kafka.event_records import event_record
from stream_app.kafka.kafka_event_sender import KafkaEventSender
from stream_app.settings import child_environment, scratch_dir
from stream_app.tools.embedded.child_process import log_tail, start_process, stop_process
from stream_app.tools.embedded.embedded_servers import EmbeddedServers
from stream_app.tools.simulator.benchmark_load import benchmark_events
from topics import admin
from topics.catalog import catalog

PARTITIONS: Final = 4
_TIMEOUT_SECONDS: Final = 180.0
AGENTS: Final = ("bare", "table", "headrace", "full_ranking", "rrf")
SETTINGS_BY_AGENT: Final[Mapping[str, Mapping[str, object]]] = {
    "headrace": {},
    "full_ranking": {"degraded_ranking": False},
    "rrf": {
        "models": '["popularity","item_to_item","session_knn"]',
        "fusion": "rrf",
        "degraded_ranking": False,
    },
}
"""Settings of the whole: as they are; never in a hurry; with lists that are fused by ranks, which is what the path
costs without what the learned lists do."""

_AGENTS_BY_BROKER: Final = (("bare", "table", "headrace"), ("full_ranking",), ("rrf",))
"""A worker learns what is in the log already: each variant of the whole needs topics of its own."""

_APP_IDS: Final = {"headrace": "headrace", "full_ranking": "bench-full-ranking", "rrf": "bench-rrf"}
StatusCallback = Callable[[str], None]


@contextmanager
def isolated_servers() -> Iterator[EmbeddedServers]:
    """A broker with empty topics and a Redis, of this measurement alone."""
    with EmbeddedServers() as servers:
        for app_id in _APP_IDS.values():
            admin.create(catalog(app_id), servers.broker_address, partitions=PARTITIONS, replication=1)
        yield servers


def measure_throughput(events: int, rounds: int, users: int, update_status: StatusCallback) -> dict[str, Any]:
    """Measure each kind in each round, each reading the same events, and compare within the round.

    Parameters
    ----------
    events
        Events each process consumes.
    rounds
        Rounds; medians are reported.
    users
        Shoppers the events are spread over.
    update_status
        Told what is being done.

    Returns
    -------
    dict
        Events a second of each, and the ratios c/a, c/b, d/b and e/b: medians and each round's.
    """
    results_by_round: list[dict[str, dict[str, Any]]] = []
    for number in range(1, rounds + 1):
        results = {}
        for kinds in _AGENTS_BY_BROKER:
            with isolated_servers() as servers:
                update_status(f"round {number} of {rounds}: {events:,} events into Kafka")
                _fill(servers.broker_address, events, users, run=str(number))
                for kind in kinds:
                    update_status(f"round {number} of {rounds}: {kind}")
                    results[kind] = _consume(kind, servers, events)
        results_by_round.append(results)
    rates = {kind: [r[kind]["events"] / r[kind]["seconds"] for r in results_by_round] for kind in AGENTS}
    ratios = {
        name: [
            numerator / denominator
            for numerator, denominator in zip(rates[kind], rates[reference], strict=True)
        ]
        for name, kind, reference in (
            ("c/a", "headrace", "bare"),
            ("c/b", "headrace", "table"),
            ("d/b", "full_ranking", "table"),
            ("e/b", "rrf", "table"),
        )
    }
    return {
        "events": events,
        "users": users,
        "events_per_second": {kind: statistics.median(values) for kind, values in rates.items()},
        "cpu_us_per_event": {
            kind: statistics.median(
                1e6 * r[kind]["cpu_seconds"] / r[kind]["events"] for r in results_by_round
            )
            for kind in AGENTS
        },
        "ratios": {name: statistics.median(values) for name, values in ratios.items()},
        "rounds": {"events_per_second": rates, "ratios": ratios},
        "lists_per_event": statistics.median(
            r["headrace"]["user_lists"] / r["headrace"]["fresh_events"] for r in results_by_round
        ),
        "degraded_share": statistics.median(
            r["headrace"]["degraded_lists"] / r["headrace"]["user_lists"] for r in results_by_round
        ),
    }


def _fill(broker: str, events: int, users: int, run: str) -> None:
    sender = KafkaEventSender(broker, linger=0.05)
    try:
        for event in benchmark_events(events, clock=time.time, users=users, run=run):
            sender.send(event_record(event))
        sender.flush()
    finally:
        sender.close()


def _consume(kind: str, servers: EmbeddedServers, events: int) -> dict[str, Any]:
    folder = scratch_dir(f"bench-{kind}")
    try:
        return _consume_in(folder, kind, servers, events)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _consume_in(folder: Path, kind: str, servers: EmbeddedServers, events: int) -> dict[str, Any]:
    output = folder / "output"
    environment = child_environment(
        broker=servers.broker_address,
        redis=servers.redis_address,
        data_dir=folder,
        partitions=PARTITIONS,
        app_id=_APP_IDS.get(kind, f"bench-{kind}"),
        **SETTINGS_BY_AGENT.get(kind, {}),
    )
    with output.open("wb") as log:
        command = (sys.executable, "-m", "stream_app.tools.bench.consumer_process", kind, str(events))
        process = start_process(command, log=log, environment=environment)
    try:
        process.wait(_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        raise UserError(
            f"The {kind} agent was not done after {_TIMEOUT_SECONDS:.0f} s. {log_tail(output)}"
        ) from None
    finally:
        stop_process(process)
    for line in output.read_text(errors="replace").splitlines():
        if line.startswith("{"):
            result: dict[str, Any] = json.loads(line)
            return result
    raise UserError(f"The {kind} agent gave no result. {log_tail(output)}")

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
from stream_app.kafka.kafka_event_sender import KafkaOutbox
from stream_app.settings import child_environment, scratch_dir
from stream_app.tools.embedded.child_process import log_tail, start_process, stop_process
from stream_app.tools.embedded.embedded_servers import EmbeddedServers
from stream_app.tools.simulator.benchmark_load import benchmark_events
from topics import admin
from topics.catalog import catalogue

PARTITIONS: Final = 4
_PATIENCE: Final = 180.0
KINDS: Final = ("bare", "table", "whole", "patient", "ranks")
VARIANTS: Final[Mapping[str, Mapping[str, object]]] = {
    "whole": {},
    "patient": {"hurry": False},
    "ranks": {"models": '["popularity","item_to_item","session_knn"]', "fusion": "rrf", "hurry": False},
}
"""Settings of the whole: as they are; never in a hurry; with lists that are fused by ranks, which is what the path
costs without what the learned lists do."""

_ON_ONE_BROKER: Final = (("bare", "table", "whole"), ("patient",), ("ranks",))
"""A worker learns what is in the log already: each variant of the whole needs topics of its own."""

_APP_IDS: Final = {"whole": "headrace", "patient": "bench-patient", "ranks": "bench-ranks"}
Say = Callable[[str], None]


@contextmanager
def fresh_servers() -> Iterator[EmbeddedServers]:
    """A broker with empty topics and a Redis, of this measurement alone."""
    with EmbeddedServers() as servers:
        for app_id in _APP_IDS.values():
            admin.create(catalogue(app_id), servers.broker_address, partitions=PARTITIONS, replication=1)
        yield servers


def measure_throughput(events: int, rounds: int, users: int, say: Say) -> dict[str, Any]:
    """Measure each kind in each round, each reading the same events, and compare within the round.

    Parameters
    ----------
    events
        Events each process consumes.
    rounds
        Rounds; medians are reported.
    users
        Shoppers the events are spread over.
    say
        Told what is being done.

    Returns
    -------
    dict
        Events a second of each, and the ratios c/a, c/b, d/b and e/b: medians and each round's.
    """
    measured: list[dict[str, dict[str, Any]]] = []
    for number in range(1, rounds + 1):
        results = {}
        for kinds in _ON_ONE_BROKER:
            with fresh_servers() as servers:
                say(f"round {number} of {rounds}: {events:,} events into Kafka")
                _fill(servers.broker_address, events, users, run=str(number))
                for kind in kinds:
                    say(f"round {number} of {rounds}: {kind}")
                    results[kind] = _consume(kind, servers, events)
        measured.append(results)
    rates = {kind: [r[kind]["events"] / r[kind]["seconds"] for r in measured] for kind in KINDS}
    ratios = {
        name: [mine / other for mine, other in zip(rates[kind], rates[against], strict=True)]
        for name, kind, against in (
            ("c/a", "whole", "bare"),
            ("c/b", "whole", "table"),
            ("d/b", "patient", "table"),
            ("e/b", "ranks", "table"),
        )
    }
    return {
        "events": events,
        "users": users,
        "events_per_second": {kind: statistics.median(values) for kind, values in rates.items()},
        "cpu_us_per_event": {
            kind: statistics.median(1e6 * r[kind]["cpu_seconds"] / r[kind]["events"] for r in measured)
            for kind in KINDS
        },
        "ratios": {name: statistics.median(values) for name, values in ratios.items()},
        "rounds": {"events_per_second": rates, "ratios": ratios},
        "lists_per_event": statistics.median(
            r["whole"]["user_lists"] / r["whole"]["fresh_events"] for r in measured
        ),
        "hurried_share": statistics.median(
            r["whole"]["hurried_lists"] / r["whole"]["user_lists"] for r in measured
        ),
    }


def _fill(broker: str, events: int, users: int, run: str) -> None:
    outbox = KafkaOutbox(broker, linger=0.05)
    try:
        for event in benchmark_events(events, clock=time.time, users=users, run=run):
            outbox.send(event_record(event))
        outbox.flush()
    finally:
        outbox.close()


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
        **VARIANTS.get(kind, {}),
    )
    with output.open("wb") as log:
        command = (sys.executable, "-m", "stream_app.tools.bench.consumer_process", kind, str(events))
        process = start_process(command, log=log, environment=environment)
    try:
        process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        raise UserError(
            f"The {kind} agent was not done after {_PATIENCE:.0f} s. {log_tail(output)}"
        ) from None
    finally:
        stop_process(process)
    for line in output.read_text(errors="replace").splitlines():
        if line.startswith("{"):
            result: dict[str, Any] = json.loads(line)
            return result
    raise UserError(f"The {kind} agent gave no result. {log_tail(output)}")

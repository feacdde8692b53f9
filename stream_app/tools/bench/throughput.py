"""Throughput of a bare Faust agent, of one with a table write, and of Headrace, one after another."""

import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from stream_app.errors import UserError
from stream_app.kafka.event_records import event_record
from stream_app.kafka.kafka_event_sender import KafkaEventSender
from stream_app.settings import Settings, child_environment, scratch_dir
from stream_app.tools.bench.random_model import announce_random_model
from stream_app.tools.bench.results import ConsumerRun, RoundValues, ThroughputResults
from stream_app.tools.embedded.child_process import log_tail, start_process, stop_process
from stream_app.tools.embedded.embedded_servers import EmbeddedServers
from stream_app.tools.simulator.benchmark_load import benchmark_events, benchmark_items
from stream_app.worker.model_stores import make_checkpoint_store
from topics import admin
from topics.catalog import catalog
from topics.kafka_connection import Broker

PARTITIONS: Final = 4
_TIMEOUT_SECONDS: Final = 180.0
AGENTS: Final = ("bare", "table", "headrace", "full_ranking", "rrf", "neural")
STAGE_AGENTS: Final = ("headrace", "full_ranking")
"""The agents whose time is reported by stage."""

SETTINGS_BY_AGENT: Final[Mapping[str, Mapping[str, object]]] = {
    "headrace": {},
    "full_ranking": {"degraded_ranking": False},
    "rrf": {
        "models": '["popularity","item_to_item","session_knn"]',
        "fusion": "rrf",
        "degraded_ranking": False,
    },
    "neural": {"degraded_ranking": False, "neural": True},
}
"""Settings of the Headrace variants: the defaults; without degraded ranking; without degraded ranking, learned fusion
and most models, which leaves the cost of the path of an event; and without degraded ranking, with two towers."""

_AGENTS_BY_BROKER: Final = (("bare", "table", "headrace"), ("full_ranking",), ("rrf",), ("neural",))
"""A worker learns the whole log, so each variant of Headrace needs its own topics."""

_APP_IDS: Final = {
    "headrace": "headrace",
    "full_ranking": "bench-full-ranking",
    "rrf": "bench-rrf",
    "neural": "bench-neural",
}
StatusCallback = Callable[[str], None]


@contextmanager
def isolated_servers() -> Iterator[EmbeddedServers]:
    """A broker with empty topics and a Redis for one measurement; external servers keep their topics."""
    with EmbeddedServers() as servers:
        for app_id in _APP_IDS.values():
            admin.create(catalog(app_id), servers.broker_connection, partitions=PARTITIONS, replication=1)
        yield servers


def measure_throughput(
    events: int, rounds: int, users: int, update_status: StatusCallback
) -> ThroughputResults:
    """Measure each agent in each round on the same events, and compare within the round.

    Parameters
    ----------
    events
        Events that each process consumes.
    rounds
        Number of rounds; medians over the rounds are reported.
    """
    runs_by_round: list[dict[str, ConsumerRun]] = []
    for number in range(1, rounds + 1):
        runs: dict[str, ConsumerRun] = {}
        for agents in _AGENTS_BY_BROKER:
            with isolated_servers() as servers:
                update_status(f"round {number} of {rounds}: writing {events:,} events to Kafka")
                _fill(servers.broker_connection, events, users, run=str(number))
                for agent in agents:
                    update_status(f"round {number} of {rounds}: {agent}")
                    runs[agent] = _consume(agent, servers, events)
        runs_by_round.append(runs)
    rates = {agent: [runs[agent].events / runs[agent].seconds for runs in runs_by_round] for agent in AGENTS}
    ratios = {
        name: [
            numerator / denominator
            for numerator, denominator in zip(rates[agent], rates[reference], strict=True)
        ]
        for name, agent, reference in (
            ("c/a", "headrace", "bare"),
            ("c/b", "headrace", "table"),
            ("d/b", "full_ranking", "table"),
            ("e/b", "rrf", "table"),
            ("f/d", "neural", "full_ranking"),
        )
    }
    headrace_runs = [runs["headrace"] for runs in runs_by_round]
    return ThroughputResults(
        events=events,
        users=users,
        events_per_second={agent: statistics.median(values) for agent, values in rates.items()},
        cpu_us_per_event={
            agent: statistics.median(
                1e6 * runs[agent].cpu_seconds / runs[agent].events for runs in runs_by_round
            )
            for agent in AGENTS
        },
        ratios={name: statistics.median(values) for name, values in ratios.items()},
        rounds=RoundValues(events_per_second=rates, ratios=ratios),
        stage_us_per_event={
            agent: _stage_medians([runs[agent] for runs in runs_by_round]) for agent in STAGE_AGENTS
        },
        neural_us_per_list=statistics.median(
            _cpu_us_per_list(runs["neural"]) - _cpu_us_per_list(runs["full_ranking"])
            for runs in runs_by_round
        ),
        lists_per_event=statistics.median(run.user_lists / run.fresh_events for run in headrace_runs),
        degraded_share=statistics.median(run.degraded_lists / run.user_lists for run in headrace_runs),
    )


def _stage_medians(runs: Sequence[ConsumerRun]) -> dict[str, float]:
    """Medians over the rounds of the microseconds per event of each stage, and of the rest of the CPU time."""
    by_round = [
        {**run.stage_seconds, "rest": run.cpu_seconds - sum(run.stage_seconds.values())} for run in runs
    ]
    return {
        stage: statistics.median(
            1e6 * seconds[stage] / run.events for run, seconds in zip(runs, by_round, strict=True)
        )
        for stage in by_round[0]
    }


def _cpu_us_per_list(run: ConsumerRun) -> float:
    return 1e6 * run.cpu_seconds / run.events / (run.user_lists / run.fresh_events)


def _fill(broker: Broker, events: int, users: int, run: str) -> None:
    sender = KafkaEventSender(broker, linger=0.05)
    try:
        for event in benchmark_events(events, clock=time.time, users=users, run=run):
            sender.send(event_record(event))
        sender.flush()
    finally:
        sender.close()


def _consume(agent: str, servers: EmbeddedServers, events: int) -> ConsumerRun:
    folder = scratch_dir(f"bench-{agent}")
    try:
        return _consume_in(folder, agent, servers, events)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _consume_in(folder: Path, agent: str, servers: EmbeddedServers, events: int) -> ConsumerRun:
    output = folder / "output"
    environment = child_environment(
        broker=servers.broker_connection,
        redis=servers.redis_address,
        data_dir=folder,
        partitions=PARTITIONS,
        app_id=_APP_IDS.get(agent, f"bench-{agent}"),
        **SETTINGS_BY_AGENT.get(agent, {}),
    )
    if agent == "neural":
        announce_random_model(
            servers.broker_connection, make_checkpoint_store(Settings(data_dir=folder)), benchmark_items()
        )
    with output.open("wb") as log:
        command = (sys.executable, "-m", "stream_app.tools.bench.consumer_process", agent, str(events))
        process = start_process(command, log=log, environment=environment)
    try:
        process.wait(_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        raise UserError(
            f"The agent {agent} did not finish within {_TIMEOUT_SECONDS:.0f} s. {log_tail(output)}"
        ) from None
    finally:
        stop_process(process)
    for line in output.read_text(errors="replace").splitlines():
        if line.startswith("{"):
            return msgspec.json.decode(line, type=ConsumerRun)
    raise UserError(f"The agent {agent} printed no result. {log_tail(output)}")

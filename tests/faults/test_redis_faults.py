"""Redis stops, is killed, emptied, full or read-only: no list is lost, and workers recover by themselves.

After each fault the lists of all users are there, and equal those of a run without a fault.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from stream_app.tools.embedded import EmbeddedRedis, EmbeddedServers
from tests.support.generated_log import GeneratedLog
from tests.support.integration_environment import (
    IntegrationEnvironment,
    clean_environment,
    send_click,
)
from tests.support.log_feeder import LogFeeder
from tests.support.reacting_users import with_reactions
from tests.support.redis_runs import (
    RATE,
    REDIS_SETTINGS,
    assert_no_list_is_older_than_an_event,
    final_outcome,
    wait_until_published,
    wait_until_republished,
)
from tests.support.run_outcome import RunOutcome, assert_same_outcome
from tests.support.server_faults import configure, resume, suspend


class Fault(NamedTuple):
    """A fault of Redis, its end, and what the worker logs meanwhile."""

    begin: Callable[[EmbeddedRedis], Any]
    end: Callable[[EmbeddedRedis], Any]
    logged: str


FAULTS: Final = {
    "stopped": Fault(suspend, resume, "no reply within 2 s"),
    "killed": Fault(EmbeddedRedis.kill, EmbeddedRedis.start, "Redis is unavailable"),
    "full": Fault(
        lambda redis: configure(redis, "CONFIG", "SET", "maxmemory", "1"),
        lambda redis: configure(redis, "CONFIG", "SET", "maxmemory", "0"),
        "Redis is full and refuses writes",
    ),
    "read_only": Fault(
        lambda redis: configure(redis, "REPLICAOF", "127.0.0.1", "1"),
        lambda redis: configure(redis, "REPLICAOF", "NO", "ONE"),
        "Redis is a read-only replica",
    ),
    "without_replicas": Fault(
        lambda redis: configure(redis, "CONFIG", "SET", "min-replicas-to-write", "1"),
        lambda redis: configure(redis, "CONFIG", "SET", "min-replicas-to-write", "0"),
        "min-replicas-to-write",
    ),
}


def worker_log(environment: IntegrationEnvironment) -> str:
    return (environment.folder / "worker-1.log").read_text()


@pytest.mark.faults
@pytest.mark.parametrize("name", FAULTS)
def test_lists_are_published_after_an_outage(
    servers: EmbeddedServers, tmp_path: Path, log: GeneratedLog, reference: RunOutcome, name: str
) -> None:
    """Promise: events are learned meanwhile; afterwards each user has the list of a run without the outage."""
    fault = FAULTS[name]
    with (
        EmbeddedRedis() as redis,
        clean_environment(servers, tmp_path, redis=redis.address, **REDIS_SETTINGS) as environment,
    ):
        worker = environment.start_worker().wait_until_ready()
        log = with_reactions(environment, log, worker)
        n_before = worker.events("accepted")
        with LogFeeder(environment, log.records, rate=RATE, until_fraction=0.5) as feed:
            worker.wait_until(lambda: worker.events("accepted") > n_before + 500, "the first events")
            fault.begin(redis)
            feed.advance_to(1.0)
            worker.wait_until(
                lambda: worker.metric("headrace_flush_failures_total") > 1, "two failed flushes", seconds=240
            )
        worker.wait_until(lambda: environment.uncommitted() == 0, "events to be learned", seconds=240)
        assert fault.logged in worker_log(environment)
        assert worker_log(environment).count("Redis is unavailable") == 1
        fault.end(redis)
        wait_until_published(environment, worker, log.users)
        assert_no_list_is_older_than_an_event(environment, log.users)
        assert_same_outcome(final_outcome(environment, worker, log), reference)


@pytest.mark.faults
def test_an_emptied_redis_has_all_lists_again_without_an_event(
    servers: EmbeddedServers, tmp_path: Path, log: GeneratedLog, reference: RunOutcome
) -> None:
    """Promise: an emptied Redis is noticed, and all lists are published again."""
    with clean_environment(servers, tmp_path, **REDIS_SETTINGS) as environment:
        worker = environment.start_worker().wait_until_ready()
        log = with_reactions(environment, log, worker)
        with LogFeeder(environment, log.records, rate=RATE):
            pass
        wait_until_published(environment, worker, log.users)
        republications = worker.metric("headrace_republications_total")
        environment.redis.flushall()
        wait_until_republished(environment, worker, log.users, republications)
        assert "Redis lacks lists" in worker_log(environment)
        # Each list was ranked by the final models: nothing else has to be done.
        assert_same_outcome(final_outcome(environment, worker, log, republish=False), reference)


@pytest.mark.faults
def test_a_redis_that_returns_with_old_data_has_all_lists_again(
    servers: EmbeddedServers, tmp_path: Path, log: GeneratedLog, reference: RunOutcome
) -> None:
    """Promise: a Redis that went back to older data is noticed, and all lists are published again."""
    with clean_environment(servers, tmp_path, **REDIS_SETTINGS) as environment:
        worker = environment.start_worker().wait_until_ready()
        log = with_reactions(environment, log, worker)
        with LogFeeder(environment, log.records, rate=RATE, until_fraction=0.3) as feed:
            worker.wait_until(lambda: environment.redis.hexists("headrace:epoch", "epoch"), "an epoch")
            old = {key: environment.redis.dump(key) for key in environment.redis.scan_iter()}
            feed.advance_to(1.0)
        wait_until_published(environment, worker, log.users)
        republications = worker.metric("headrace_republications_total")
        pipeline = environment.redis.pipeline(transaction=True)
        pipeline.flushall()
        for key, value in old.items():
            if value is not None:
                pipeline.restore(key, 0, value)
        pipeline.execute()
        wait_until_republished(environment, worker, log.users, republications)
        assert "Redis lost its newest writes" in worker_log(environment)
        # Without a command: each list was ranked by the final models.
        assert_same_outcome(final_outcome(environment, worker, log, republish=False), reference)


@pytest.mark.faults
def test_fresh_events_come_before_lists_that_are_published_again(
    servers: EmbeddedServers, tmp_path: Path, log: GeneratedLog
) -> None:
    """Promise: the list of a fresh event does not wait for the lists that are published again."""
    # About 15 s of work for each of two workers.
    with clean_environment(servers, tmp_path, republish_rate=5, **REDIS_SETTINGS) as environment:
        workers = [environment.start_worker(number) for number in (1, 2)]
        for worker in workers:
            worker.wait_until_ready()
        with LogFeeder(environment, log.records, rate=RATE):
            pass
        for worker in workers:
            wait_until_published(environment, worker, log.users)
        first = workers[0]
        environment.redis.flushall()
        first.wait_until(lambda: len(environment.user_lists(log.users)) > 10, "the first lists")
        send_click(environment, "fresh", "item-1")
        first.wait_until(lambda: environment.user_lists(["fresh"]), "the list of the fresh event")
        assert len(environment.user_lists(log.users)) < len(log.users)
        first.wait_until(
            lambda: environment.user_lists(log.users).keys() == log.users,
            "all lists",
            seconds=240,
        )

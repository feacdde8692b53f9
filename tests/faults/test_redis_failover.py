"""Promise: lists are complete and correct after a failover of Redis, and while Redis is slow."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from redis import Redis

from stream_app.client.redis_contract import user_key
from stream_app.kafka.event_records import event_record
from stream_app.tools.embedded import EmbeddedRedis, EmbeddedServers
from tests.support.generated_log import GeneratedLog
from tests.support.integration_environment import clean_environment
from tests.support.kafka_records import KafkaRecord
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
from tests.support.server_faults import configure
from tests.support.tcp_proxy import TcpProxy
from topics.events import Click, Erasure

SLOW: Final = 0.3
"""Seconds of a slow reply that arrives in time."""

TOO_SLOW: Final = 2.5
"""Seconds of a reply that arrives after the worker's timeout of 2 s."""


@pytest.fixture
def primary() -> Iterator[EmbeddedRedis]:
    with EmbeddedRedis() as redis:
        yield redis


@pytest.fixture
def proxy(primary: EmbeddedRedis) -> Iterator[TcpProxy]:
    """The address that the workers know."""
    with TcpProxy(primary.port) as proxy:
        yield proxy


def address_of(proxy: TcpProxy) -> str:
    return f"redis://127.0.0.1:{proxy.port}/0"


def is_replicated(primary: EmbeddedRedis, replica: EmbeddedRedis) -> bool:
    """Whether the replica has every write of the primary."""
    with Redis.from_url(primary.address) as first, Redis.from_url(replica.address) as second:
        found = second.info("replication")
        return bool(
            found.get("master_link_status") == "up"
            and found["slave_repl_offset"] >= first.info("replication")["master_repl_offset"]
        )


@pytest.mark.faults
@pytest.mark.parametrize("lagging", [False, True], ids=["complete", "lagging"])
def test_lists_are_complete_after_a_failover(
    servers: EmbeddedServers,
    tmp_path: Path,
    log: GeneratedLog,
    reference: RunOutcome,
    primary: EmbeddedRedis,
    proxy: TcpProxy,
    *,
    lagging: bool,
) -> None:
    """Promise: the lists that a promoted replica lacks are published again without an event or a command."""
    with (
        EmbeddedRedis() as replica,
        clean_environment(servers, tmp_path, redis=address_of(proxy), **REDIS_SETTINGS) as environment,
    ):
        configure(replica, "REPLICAOF", "127.0.0.1", str(primary.port))
        worker = environment.start_worker().wait_until_ready()
        log = with_reactions(environment, log, worker)
        n_before = worker.events("accepted")
        with LogFeeder(environment, log.records, rate=RATE, until_fraction=0.4) as feed:
            worker.wait_until(lambda: worker.events("accepted") > n_before + 500, "the first events")
            worker.wait_until(
                lambda: is_replicated(primary, replica), "the replica to have the first lists", seconds=60
            )
            if lagging:
                # It misses what the primary acknowledges from here on.
                configure(replica, "REPLICAOF", "NO", "ONE")
                checks = int(environment.redis.hget("headrace:epoch", "checks") or 0)
                worker.wait_until(
                    lambda: int(environment.redis.hget("headrace:epoch", "checks") or 0) > checks + 1,
                    "more checks than the replica knows",
                )
            feed.advance_to(0.8)
            worker.wait_until(lambda: worker.events("accepted") > n_before + 1_200, "more events")
            primary.kill()
            worker.wait_until(
                lambda: worker.metric("headrace_flush_failures_total") > 0, "a failed flush", seconds=120
            )
            configure(replica, "REPLICAOF", "NO", "ONE")
            # The lists that are published again are those of the final models.
            feed.advance_to(1.0)
            worker.wait_until(lambda: feed.is_complete and environment.uncommitted() == 0, "all events")
            republications = worker.metric("headrace_republications_total")
            proxy.lead_to(replica.port)
        wait_until_published(environment, worker, log.users)
        if lagging:
            wait_until_republished(environment, worker, log.users, republications)
            assert "Redis lost its newest writes" in environment.log_text()
            # Without a command.
            assert_same_outcome(final_outcome(environment, worker, log, republish=False), reference)
        else:
            assert_no_list_is_older_than_an_event(environment, log.users)
            assert_same_outcome(final_outcome(environment, worker, log), reference)


@pytest.mark.faults
def test_erasures_and_lists_that_a_failover_loses_are_repeated(
    servers: EmbeddedServers, tmp_path: Path, primary: EmbeddedRedis, proxy: TcpProxy
) -> None:
    """Promise: a loss of less than a second of writes brings no list of an erased user back, and loses no list."""
    now = round(time.time() * 1000)
    users = [f"u{number}" for number in range(20)]
    erased, late = users[:10], [f"late{number}" for number in range(10)]

    def clicks(user_ids: list[str]) -> list[KafkaRecord]:
        events = [
            Click(event_id="c", user_id=each, ts=now, item_id=f"i{at % 5}")
            for at, each in enumerate(user_ids)
        ]
        return [KafkaRecord(each.topic, each.key, each.value) for each in map(event_record, events)]

    with (
        EmbeddedRedis() as replica,
        clean_environment(servers, tmp_path, redis=address_of(proxy), **REDIS_SETTINGS) as environment,
    ):
        configure(replica, "REPLICAOF", "127.0.0.1", str(primary.port))
        worker = environment.start_worker().wait_until_ready()
        environment.send(clicks(users))
        worker.wait_until(lambda: len(environment.user_lists(users)) == len(users), "the lists")
        worker.wait_until(
            lambda: is_replicated(primary, replica), "the replica to have the lists", seconds=60
        )
        configure(replica, "REPLICAOF", "NO", "ONE")
        # As many as the other workers of a group would have made: the loss does not show in them.
        configure(replica, "HINCRBY", "headrace:epoch", "checks", "1000")
        requests = [event_record(Erasure(event_id="e", user_id=each, ts=now + 1)) for each in erased]
        environment.send(
            [*(KafkaRecord(each.topic, each.key, each.value) for each in requests), *clicks(late)]
        )
        worker.wait_until(
            lambda: environment.user_lists(erased) == {} and len(environment.user_lists(late)) == len(late),
            "the erasures and lists in the primary",
        )
        proxy.lead_to(replica.port)
        worker.wait_until(
            lambda: environment.user_lists(erased) == {} and len(environment.user_lists(late)) == len(late),
            "the erasures and lists in the replica",
        )
        assert len(environment.user_lists(users)) == len(users) - len(erased)
        assert "Redis lost its newest writes" not in environment.log_text()
        assert worker.terminate() == 0, worker.log


@pytest.mark.faults
def test_a_slow_redis_loses_no_list(
    servers: EmbeddedServers,
    tmp_path: Path,
    log: GeneratedLog,
    reference: RunOutcome,
    proxy: TcpProxy,
) -> None:
    """Promise: slow replies fail no flush; a reply after the timeout is not taken as that of a later command."""
    with clean_environment(servers, tmp_path, redis=address_of(proxy), **REDIS_SETTINGS) as environment:
        worker = environment.start_worker().wait_until_ready()
        log = with_reactions(environment, log, worker)
        n_before = worker.events("accepted")
        with LogFeeder(environment, log.records, rate=RATE, until_fraction=0.5) as feed:
            proxy.delay = SLOW
            worker.wait_until(lambda: worker.events("accepted") > n_before + 500, "the first events")
            published = worker.metric("headrace_lists_published_total")
            worker.wait_until(
                lambda: worker.metric("headrace_lists_published_total") > published, "lists to be published"
            )
            assert worker.metric("headrace_flush_failures_total") == 0
            for _ in range(3):
                failures = worker.metric("headrace_flush_failures_total")
                proxy.delay = TOO_SLOW
                worker.wait_until(
                    lambda before=failures: worker.metric("headrace_flush_failures_total") > before,  # type: ignore[misc]  # bound now
                    "a failed flush",
                )
                proxy.delay = 0.0
                published = worker.metric("headrace_lists_published_total")
                worker.wait_until(
                    lambda before=published: worker.metric("headrace_lists_published_total") > before,  # type: ignore[misc]  # bound now
                    "lists to be published",
                )
            feed.advance_to(1.0)
        wait_until_published(environment, worker, log.users)
        assert_no_list_is_older_than_an_event(environment, log.users)
        assert_same_outcome(final_outcome(environment, worker, log), reference)
        for user_id, each in environment.user_lists(log.users).items():
            assert each.key == user_key(user_id)

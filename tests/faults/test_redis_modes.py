"""Promise: lists are complete after a failover by Sentinels or of a cluster, and after a node of it was emptied."""

from pathlib import Path
from typing import Any

import pytest

from stream_app.client import Client
from stream_app.tools.embedded import EmbeddedServers
from tests.support.generated_log import GeneratedLog
from tests.support.integration_environment import clean_environment
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
from tests.support.redis_servers import RealCluster, RealRedis, RealSentinels
from tests.support.run_outcome import RunOutcome, assert_same_outcome
from tests.support.worker_handle import wait_until

FAILOVER_SECONDS = 120.0


class Failover:
    """Redis whose primary, or one of them, is killed and replaced by its replica."""

    def __init__(self, running: RealCluster | RealSentinels) -> None:
        self._running = running
        self.address = running.address
        self.mode: dict[str, Any] = (
            {"redis_mode": "cluster"}
            if isinstance(running, RealCluster)
            else {"redis_mode": "sentinel", "redis_master": "shop"}
        )

    def _primaries(self) -> list[RealRedis]:
        running = self._running
        return running.primaries() if isinstance(running, RealCluster) else [running.master()]

    def happen(self) -> None:
        """Kill a primary, and wait until its replica is one."""
        before = self._primaries()
        before[0].kill()
        wait_until(
            lambda: (
                before[0] not in (now := self._primaries())
                and len(now) == len(before)
                and now[-1].pid is not None
            ),
            "the failover",
            seconds=FAILOVER_SECONDS,
        )


@pytest.mark.faults
@pytest.mark.parametrize("kind", ["sentinels", "cluster"])
def test_lists_are_complete_after_a_failover(
    servers: EmbeddedServers, tmp_path: Path, log: GeneratedLog, reference: RunOutcome, kind: str
) -> None:
    with (
        RealSentinels() if kind == "sentinels" else RealCluster(3, replicas=1) as running,
    ):
        failover = Failover(running)
        settings: dict[str, Any] = {**REDIS_SETTINGS, "redis": failover.address, **failover.mode}
        with (
            clean_environment(servers, tmp_path, **settings) as environment,
            Client(
                failover.address,
                60.0,
                mode=failover.mode["redis_mode"],
                master=failover.mode.get("redis_master", ""),
            ) as client,
        ):
            worker = environment.start_worker().wait_until_ready()
            log = with_reactions(environment, log, worker)
            n_before = worker.events("accepted")
            with LogFeeder(environment, log.records, rate=RATE, until_fraction=0.5) as feed:
                worker.wait_until(lambda: worker.events("accepted") > n_before + 800, "the first events")
                worker.wait_until(lambda: client.popular() is not None, "a list")
                failover.happen()
                worker.wait_until(
                    lambda: worker.metric("headrace_flush_failures_total") > 0, "a failed flush", seconds=120
                )
                feed.advance_to(1.0)
                worker.wait_until(lambda: feed.is_complete and environment.uncommitted() == 0, "all events")
            wait_until_published(environment, worker, log.users)
            assert client.popular() is not None
            assert_no_list_is_older_than_an_event(environment, log.users)
            assert_same_outcome(final_outcome(environment, worker, log), reference)


@pytest.mark.faults
def test_the_lists_of_an_emptied_node_are_published_again(
    servers: EmbeddedServers, tmp_path: Path, log: GeneratedLog, reference: RunOutcome
) -> None:
    with RealCluster(3) as cluster:
        settings: dict[str, Any] = {**REDIS_SETTINGS, "redis": cluster.address, "redis_mode": "cluster"}
        with clean_environment(servers, tmp_path, **settings) as environment:
            worker = environment.start_worker().wait_until_ready()
            log = with_reactions(environment, log, worker)
            with LogFeeder(environment, log.records, rate=RATE):
                pass
            wait_until_published(environment, worker, log.users)
            for node in cluster.nodes:
                republications = worker.metric("headrace_republications_total")
                with node.connect() as redis:
                    redis.flushall()
                    redis.script_flush()
                # Without an event or a command.
                wait_until_republished(environment, worker, log.users, republications)
            assert_same_outcome(final_outcome(environment, worker, log, republish=False), reference)

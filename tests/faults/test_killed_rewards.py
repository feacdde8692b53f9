"""Promise: each reaction is rewarded once, whenever workers are killed, join and leave."""

from functools import partial
from pathlib import Path
from typing import Final

import pytest

from stream_app.tools.embedded import EmbeddedServers
from tests.integration.test_rewards_after_crash import (
    ObservedRewards,
    assert_same_rewards,
    check_reference,
    run,
)
from tests.support.crash_runs import SETTINGS
from tests.support.integration_environment import IntegrationEnvironment, clean_environment
from tests.support.log_feeder import LogFeeder
from tests.support.stops import terminate_and_wait, wait_until_rebalanced
from tests.support.worker_handle import WorkerHandle

MOMENTS: Final = (
    "between_interaction_and_reward:5",
    "between_changelog_and_interaction:6",
    "before_the_commit:1",
    "between_interaction_and_reward:7",
    "between_interaction_and_changelog:5",
    "between_lists_and_redis:3",
)
"""The first four batches of a log are markers of its owner."""


@pytest.fixture(scope="module")
def expected(servers: EmbeddedServers, tmp_path_factory: pytest.TempPathFactory) -> ObservedRewards:
    """The rewards of a run of one worker that nothing disturbs."""
    with clean_environment(servers, tmp_path_factory.mktemp("reference"), **SETTINGS) as environment:
        found = run(environment)
    check_reference(found)
    return found


@pytest.mark.faults
def test_a_worker_killed_between_the_records_of_a_reaction_has_the_rewards_of_the_reference_run(
    servers: EmbeddedServers, tmp_path: Path, expected: ObservedRewards
) -> None:
    """Promise: rewards, with their lists, values and positions, are those of a run without a kill."""
    with clean_environment(servers, tmp_path, **SETTINGS, snapshot_interval=1.0) as environment:
        actual = run(environment, moments=MOMENTS)
    assert_same_rewards(actual, expected)


def join_die_and_leave(
    environment: IntegrationEnvironment, first: WorkerHandle, feed: LogFeeder
) -> WorkerHandle:
    """A second worker joins and is killed; it joins again, and the first one leaves. Reactions come meanwhile."""
    for until_fraction in (0.6, 0.9):
        second = environment.start_worker(2)
        feed.advance_to(until_fraction - 0.1)
        for worker in (second, first):
            worker.wait_until_ready()
        rebalances = first.metric("headrace_rebalances_total")
        feed.advance_to(until_fraction)
        if until_fraction < 0.9:
            second.kill()
            wait_until_rebalanced(first, rebalances)
    terminate_and_wait(first, second)
    return second


@pytest.mark.faults
def test_workers_that_join_die_and_leave_have_the_rewards_of_the_reference_run(
    servers: EmbeddedServers, tmp_path: Path, expected: ObservedRewards
) -> None:
    """Promise: a reaction is rewarded once, by whichever worker has its partition."""
    with clean_environment(servers, tmp_path, **SETTINGS, snapshot_interval=1.0) as environment:
        actual = run(environment, disturb=partial(join_die_and_leave, environment))
    assert_same_rewards(actual, expected)

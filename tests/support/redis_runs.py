"""Runs with a fault of Redis: what is waited for after the fault, and the outcome."""

from pathlib import Path
from typing import Final

from stream_app.tools.embedded import EmbeddedServers
from tests.support.crash_runs import SETTINGS, assert_reactions
from tests.support.erased_users import keys_of_erased
from tests.support.generated_log import GeneratedLog
from tests.support.integration_environment import IntegrationEnvironment, clean_environment
from tests.support.log_feeder import LogFeeder
from tests.support.newest_records import last_interactions
from tests.support.reacting_users import REACTING, with_reactions
from tests.support.run_outcome import RunOutcome, read_outcome
from tests.support.worker_handle import WorkerHandle
from topics.events import rfc3339

REDIS_SETTINGS: Final = {**SETTINGS, **REACTING}
RATE: Final = 1_000.0
"""Events per second."""


def wait_until_published(environment: IntegrationEnvironment, worker: WorkerHandle, users: set[str]) -> None:
    worker.wait_until(lambda: environment.uncommitted() == 0, "all events to be committed", seconds=240)
    worker.wait_until(
        lambda: len(environment.user_lists(users)) == len(users), "lists of all users", seconds=240
    )
    worker.wait_until(lambda: worker.metric("headrace_pending_users") == 0, "no pending user", seconds=240)


def wait_until_republished(
    environment: IntegrationEnvironment, worker: WorkerHandle, users: set[str], republications: float
) -> None:
    """Wait until all lists were published again, after the first so many times."""
    worker.wait_until(
        lambda: (
            worker.metric("headrace_republications_total") > republications
            and worker.metric("headrace_republication_users") == 0
            and len(environment.user_lists(users)) == len(users)
        ),
        "all lists",
        seconds=240,
    )
    worker.wait_until(
        lambda: (
            environment.redis.hget("headrace:epoch", "0") == environment.redis.hget("headrace:epoch", "epoch")
        ),
        "the partitions to be complete",
        seconds=240,
    )


def assert_no_list_is_older_than_an_event(environment: IntegrationEnvironment, users: set[str]) -> None:
    """Check that each list was ranked after the last event of its user, without a command."""
    learned = last_interactions(environment)
    lists = environment.user_lists(users)
    older = {
        user_id: (lists[user_id].generated_at, rfc3339(learned[user_id]))
        for user_id in users
        if lists[user_id].generated_at < rfc3339(learned[user_id])
    }
    assert not older, f"{len(older)} of {len(users)} lists are older than an event: {older}"


def final_outcome(
    environment: IntegrationEnvironment, worker: WorkerHandle, log: GeneratedLog, *, republish: bool = True
) -> RunOutcome:
    """The outcome after the end of the worker.

    Parameters
    ----------
    republish
        Whether `headrace republish` is run before, which ranks all lists by the final models.
    """
    if republish:
        status, output = environment.run_command("republish")
        assert status == 0, output
        assert output.rstrip().endswith("all lists of 4 partitions were published"), output
    worker.wait_until(
        lambda: not keys_of_erased(environment, log.erased), "no list of an erased user", seconds=240
    )
    assert worker.terminate() == 0, worker.log
    return read_outcome(environment, log, models_of=1)


def reference_of(servers: EmbeddedServers, folder: Path, log: GeneratedLog) -> RunOutcome:
    """The outcome of a run without a fault."""
    with clean_environment(servers, folder, **REDIS_SETTINGS) as environment:
        worker = environment.start_worker().wait_until_ready()
        log = with_reactions(environment, log, worker)
        with LogFeeder(environment, log.records, rate=RATE):
            pass
        wait_until_published(environment, worker, log.users)
        outcome = final_outcome(environment, worker, log)
    assert_reactions(outcome)
    return outcome

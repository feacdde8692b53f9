"""Steps that the crash tests share: the reference run, and the kill of a worker during a run."""

import shutil
from pathlib import Path
from typing import Final

from stream_app.tools.embedded import EmbeddedServers
from tests.support.generated_log import GeneratedLog
from tests.support.integration_environment import IntegrationEnvironment, clean_environment
from tests.support.log_feeder import LogFeeder
from tests.support.reacting_users import REACTING, with_reactions
from tests.support.run_outcome import RunOutcome, read_outcome, wait_until_settled
from tests.support.worker_handle import WorkerHandle, wait_until

ADDITIVE: Final = '["popularity","item_to_item"]'
"""Value of the setting ``models``: models with additive statistics, which do not depend on the order of events."""

SETTINGS: Final = {"models": ADDITIVE, "fusion": "rrf"}
"""Settings with which the lists of all runs are equal."""

EVENTS: Final = 9_000
"""Number of events of the log of a run."""

RATE: Final = 1_500.0
"""Events per second of a run with a crash."""

_REFERENCE_OUTCOMES: dict[tuple[int, bool], RunOutcome] = {}


def kill_mid_run(
    environment: IntegrationEnvironment,
    worker: WorkerHandle,
    feed: LogFeeder,
    until_fraction: float,
    *,
    folder_survives: bool,
) -> WorkerHandle:
    """Kill a worker with events in flight, continue feeding, and start a replacement.

    Parameters
    ----------
    environment, worker, feed
        The run.
    until_fraction
        Share of the log up to which feeding continues.
    folder_survives
        Whether the replacement starts with the data folder of the killed worker.
    """
    # Suspended, it cannot commit all events before it is killed, however slow this process is.
    worker.suspend()
    feed.advance_to(until_fraction)
    wait_until(lambda: environment.uncommitted() > 0, "events to be in flight", seconds=120)
    worker.kill()
    if not folder_survives:
        shutil.rmtree(environment.data_dir())
    return environment.start_worker()


def assert_reactions(outcome: RunOutcome) -> None:
    """Check that an outcome has what the users of `tests.support.reacting_users` cause."""
    kinds = {kind for _, kind, _, _ in outcome.rewards.rewards}
    assert kinds >= {
        "click",
        "cart",
        "wishlist",
        "purchase",
        "like",
        "dislike",
        "hide",
        "impression",
        "erasure",
    }
    assert outcome.remainders
    assert {name.partition(" of ")[0] for name in outcome.learned} == {"metrics", "sums", "impressions"}


def reference_outcome(
    servers: EmbeddedServers, folder: Path, log: GeneratedLog, *, reactions: bool = False
) -> RunOutcome:
    """The outcome of a run of one worker without a crash; cached for all tests of a process.

    Parameters
    ----------
    reactions
        Whether users react to their lists, and users are erased (`tests.support.reacting_users`).
    """
    run = (id(log), reactions)
    if run not in _REFERENCE_OUTCOMES:
        settings = REACTING if reactions else {}
        with clean_environment(servers, folder, models=ADDITIVE, **settings) as environment:
            worker = environment.start_worker().wait_until_ready()
            if reactions:
                log = with_reactions(environment, log, worker)
            with LogFeeder(environment, log.records, rate=2 * RATE):
                pass
            wait_until_settled(environment, worker, log)
            _REFERENCE_OUTCOMES[run] = outcome = read_outcome(environment, log, models_of=1)
            if reactions:
                assert_reactions(outcome)
    return _REFERENCE_OUTCOMES[run]

"""Runs that the crash tests share: a reference run, and a run whose worker is killed."""

import shutil
from pathlib import Path
from typing import Final

from stream_app.tools.embedded import EmbeddedServers
from tests.support.generated_log import GeneratedLog
from tests.support.integration_environment import IntegrationEnvironment, clean_environment
from tests.support.log_feeder import LogFeeder
from tests.support.run_outcome import RunOutcome, read_outcome, wait_until_settled
from tests.support.worker_handle import WorkerHandle

ADDITIVE: Final = '["popularity","item_to_item"]'
"""The models whose statistics add up, as the setting is written."""

EVENTS: Final = 9_000
"""Events of the log that runs are compared by."""

RATE: Final = 1_500.0
"""Events a second of a run that something happens to."""

_REFERENCE_OUTCOMES: dict[int, RunOutcome] = {}


def kill_mid_run(
    environment: IntegrationEnvironment,
    worker: WorkerHandle,
    feed: LogFeeder,
    until_fraction: float,
    *,
    folder_survives: bool,
) -> WorkerHandle:
    """Kill a worker that has something on the way, feed on, and start another in its place.

    Parameters
    ----------
    environment, worker, feed
        What runs.
    until_fraction
        Share of the log that is fed from then on.
    folder_survives
        Whether the other finds the data folder of the one that died.
    """
    worker.kill()
    assert environment.uncommitted() > 0, "something was on the way"
    feed.advance_to(until_fraction)
    if not folder_survives:
        shutil.rmtree(environment.data_dir())
    return environment.start_worker()


def reference_outcome(servers: EmbeddedServers, folder: Path, log: GeneratedLog) -> RunOutcome:
    """The outcome of a run of one worker that nothing happens to; run once for all tests of a session."""
    if id(log) not in _REFERENCE_OUTCOMES:
        with clean_environment(servers, folder, models=ADDITIVE) as environment:
            worker = environment.start_worker().wait_until_ready()
            with LogFeeder(environment, log.records, rate=2 * RATE):
                pass
            wait_until_settled(environment, worker, log)
            _REFERENCE_OUTCOMES[id(log)] = read_outcome(environment, log)
    return _REFERENCE_OUTCOMES[id(log)]

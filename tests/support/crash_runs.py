"""Steps that the crash tests share: the reference run, and the kill of a worker during a run."""

import shutil
from pathlib import Path
from typing import Final

from stream_app.tools.embedded import EmbeddedServers
from tests.support.generated_log import GeneratedLog
from tests.support.integration_environment import IntegrationEnvironment, clean_environment
from tests.support.log_feeder import LogFeeder
from tests.support.run_outcome import RunOutcome, read_outcome, wait_until_settled
from tests.support.worker_handle import WorkerHandle, wait_until

ADDITIVE: Final = '["popularity","item_to_item"]'
"""Value of the setting ``models``: models with additive statistics, which do not depend on the order of events."""

EVENTS: Final = 9_000
"""Number of events of the log of a run."""

RATE: Final = 1_500.0
"""Events per second of a run with a crash."""

_REFERENCE_OUTCOMES: dict[int, RunOutcome] = {}


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


def reference_outcome(servers: EmbeddedServers, folder: Path, log: GeneratedLog) -> RunOutcome:
    """The outcome of a run of one worker without a crash; cached for all tests of a process."""
    if id(log) not in _REFERENCE_OUTCOMES:
        with clean_environment(servers, folder, models=ADDITIVE) as environment:
            worker = environment.start_worker().wait_until_ready()
            with LogFeeder(environment, log.records, rate=2 * RATE):
                pass
            wait_until_settled(environment, worker, log)
            _REFERENCE_OUTCOMES[id(log)] = read_outcome(environment, log, models_of=1)
    return _REFERENCE_OUTCOMES[id(log)]

"""Promise: whatever happens to the broker, no event is lost or counted twice, and the log stays readable."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from stream_app.tools.embedded import EmbeddedBroker, EmbeddedServers
from tests.support.crash_runs import ADDITIVE, EVENTS, reference_outcome
from tests.support.generated_log import generate_log
from tests.support.integration_environment import clean_environment
from tests.support.reacting_users import REACTING, with_reactions
from tests.support.run_outcome import assert_same_outcome, read_outcome, wait_until_settled
from tests.support.server_faults import resume, suspend
from tests.support.supervisor import SupervisedWorker

MAX_LOG_LINES: Final = 200


class Outage(NamedTuple):
    begin: Callable[[EmbeddedBroker], Any]
    end: Callable[[EmbeddedBroker], Any]
    seconds: float


OUTAGES: Final = {
    "stopped": Outage(suspend, resume, seconds=20.0),
    "killed": Outage(EmbeddedBroker.kill, EmbeddedBroker.start, seconds=0.0),
    "unavailable": Outage(EmbeddedBroker.kill, EmbeddedBroker.start, seconds=85.0),
}


@pytest.mark.faults
@pytest.mark.parametrize("name", OUTAGES)
def test_nothing_is_lost_in_an_outage_of_the_broker(
    servers: EmbeddedServers, tmp_path: Path, name: str
) -> None:
    """Promise: rows, rewards, models and lists are those of a run without the outage; the log has few lines of it."""
    if servers.broker is None:
        pytest.skip("the broker is not ours to stop")
    outage, broker, log = OUTAGES[name], servers.broker, generate_log(EVENTS)
    expected = reference_outcome(servers, tmp_path / "reference", log, reactions=True)
    with clean_environment(servers, tmp_path / name, models=ADDITIVE, **REACTING) as environment:
        worker = SupervisedWorker(environment)
        worker.wait_until(lambda: worker.handle.metric("headrace_ready") == 1, "the worker to be ready")
        log = with_reactions(environment, log, worker.handle)
        third = len(log.records) // 3
        environment.send(log.records[:third])
        worker.wait_until(lambda: environment.uncommitted() == 0, "the first events to be committed")
        n_accepted = worker.handle.events("accepted")
        # The outage begins while the worker processes a backlog.
        worker.handle.suspend()
        environment.send(log.records[third : 2 * third])
        worker.handle.resume()
        worker.wait_until(lambda: worker.handle.events("accepted") > n_accepted, "more events")
        environment.disconnect()
        outage.begin(broker)
        try:
            worker.last(outage.seconds)
        finally:
            outage.end(broker)
        environment.send(log.records[2 * third :])
        worker.wait_until(lambda: worker.handle.metric("headrace_ready") == 1, "the worker to be ready again")
        worker.wait_until(lambda: environment.uncommitted() == 0, "all events to be committed")
        lines = [line for line in environment.log_text().splitlines() if " INFO " not in line]
        assert len(lines) < MAX_LOG_LINES, "\n".join(lines)
        wait_until_settled(environment, worker.handle, log, seconds=400)
        assert_same_outcome(read_outcome(environment, log, models_of=1), expected)

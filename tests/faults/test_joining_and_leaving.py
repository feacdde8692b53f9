"""Promise: workers may join, leave and die in mid-stream, in any order; no event is lost or counted twice."""

from pathlib import Path
from typing import Final

import numpy as np
import pytest

from stream_app.tools.embedded import EmbeddedServers
from tests.support.crash_runs import ADDITIVE, EVENTS, RATE, reference_outcome
from tests.support.generated_log import generate_log
from tests.support.integration_environment import IntegrationEnvironment, clean_environment
from tests.support.log_feeder import LogFeeder
from tests.support.reacting_users import REACTING, with_reactions
from tests.support.run_outcome import assert_same_outcome, read_outcome, wait_until_settled
from tests.support.worker_handle import WorkerHandle, wait_until

N_STEPS: Final = 8


class Group:
    """Workers of one run: those that are running, by number."""

    def __init__(self, environment: IntegrationEnvironment, size: int) -> None:
        self._environment = environment
        self._size = size
        self.running: dict[int, WorkerHandle] = {1: environment.start_worker(1)}
        self.wait_until_busy()

    def step(self, rng: np.random.Generator) -> None:
        """Let a worker join, leave or die; a full group is left by one, and the last worker is joined by one."""
        absent = sorted(set(range(1, self._size + 1)) - self.running.keys())
        if absent and (len(self.running) == 1 or rng.random() < 0.5):
            number = int(rng.choice(absent))
            self.running[number] = self._environment.start_worker(number)
            return
        worker = self.running.pop(int(rng.choice(sorted(self.running))))
        if rng.random() < 0.5:
            worker.kill()
        else:
            assert worker.terminate() == 0, worker.log

    def wait_until_busy(self) -> None:
        """Wait until each worker owns partitions, or knows that it has none."""
        for worker in self.running.values():
            worker.wait_until_ready()

    def leave_all_but_one(self) -> tuple[int, WorkerHandle]:
        """Stop all workers but one; return it with its number."""
        number, last = self.running.popitem()
        for worker in self.running.values():
            assert worker.terminate() == 0, worker.log
        return number, last


@pytest.mark.faults
@pytest.mark.parametrize(("size", "seed"), [(2, 1), (3, 2)], ids=["two_workers", "three_workers"])
def test_workers_that_join_leave_and_die_have_the_outcome_of_the_reference_run(
    servers: EmbeddedServers, tmp_path: Path, size: int, seed: int
) -> None:
    """Promise: rows, interactions, rewards, models and lists are those of one worker that nothing disturbed."""
    rng = np.random.default_rng(seed)
    log = generate_log(EVENTS)
    expected = reference_outcome(servers, tmp_path / "reference", log, reactions=True)
    with clean_environment(
        servers, tmp_path / "group", models=ADDITIVE, snapshot_interval=1.5, **REACTING
    ) as environment:
        group = Group(environment, size)
        log = with_reactions(environment, log, group.running[1])
        with LogFeeder(environment, log.records, rate=RATE / 3, until_fraction=0.05) as feed:
            for step in range(N_STEPS):
                # Events arrive while partitions move; a part of the log waits for the next step.
                feed.advance_to((step + 2) / (N_STEPS + 2))
                group.step(rng)
                if rng.random() < 0.7:
                    group.wait_until_busy()
        number, last = group.leave_all_but_one()
        last.wait_until_ready()
        wait_until(lambda: environment.uncommitted() == 0, "all events to be committed", seconds=400)
        wait_until_settled(environment, last, log, number=number, seconds=400)
        actual = read_outcome(environment, log, models_of=number)
    assert_same_outcome(actual, expected)

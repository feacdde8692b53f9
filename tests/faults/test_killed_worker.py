"""A worker that is killed at twenty seeded moments has the rows, interactions and lists of a run without a kill."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from stream_app.tools.embedded import EmbeddedServers
from tests.support.crash_runs import ADDITIVE, RATE, reference_outcome
from tests.support.generated_log import generate_log
from tests.support.integration_environment import clean_environment
from tests.support.log_feeder import LogFeeder
from tests.support.run_outcome import assert_same_outcome, read_outcome, wait_until_settled
from tests.support.worker_handle import WorkerHandle

N_KILLS: Final = 20
N_EVENTS: Final = 9_000


def has_started(worker: WorkerHandle, _: int) -> bool:
    return bool(worker.metrics())


def is_recovering(worker: WorkerHandle, _: int) -> bool:
    return "acquired partitions" in worker.log


def has_accepted(worker: WorkerHandle, n: int) -> bool:
    return worker.events("accepted") >= n


def has_published(worker: WorkerHandle, n: int) -> bool:
    return worker.metric("headrace_lists_published_total", kind="user") >= n


def has_written_a_snapshot(worker: WorkerHandle, _: int) -> bool:
    return worker.metric("headrace_snapshot_seconds_count") >= 1


MOMENTS: Final[tuple[Callable[[WorkerHandle, int], bool], ...]] = (
    has_started,
    is_recovering,
    has_accepted,
    has_published,
    has_written_a_snapshot,
)


@pytest.mark.faults
@pytest.mark.parametrize("seed", [1])
def test_a_worker_killed_twenty_times_has_the_outcome_of_the_reference_run(
    servers: EmbeddedServers, tmp_path: Path, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    log = generate_log(N_EVENTS)
    expected = reference_outcome(servers, tmp_path / "reference", log)
    with clean_environment(
        servers, tmp_path / "killed", models=ADDITIVE, snapshot_interval=0.5
    ) as environment:
        worker = environment.start_worker()
        with LogFeeder(environment, log.records, rate=RATE, until_fraction=0.05) as feed:
            for kill in range(N_KILLS):
                # Each moment at least thrice, in a seeded order; the rest of the log waits for the next worker.
                moment = MOMENTS[int(rng.permutation(len(MOMENTS))[kill % len(MOMENTS)])]
                n = int(rng.integers(1, 150))
                worker.wait_until(partial(moment, worker, n), f"{moment.__name__} {n}", seconds=240)
                feed.advance_to((kill + 2) / (N_KILLS + 2))
                worker.kill()
                worker = environment.start_worker()
        wait_until_settled(environment, worker.wait_until_ready(), log, seconds=400)
        actual = read_outcome(environment, log)
    assert_same_outcome(actual, expected)

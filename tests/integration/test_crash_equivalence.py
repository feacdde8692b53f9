"""Runs with killed, added or removed workers have the same outcome as a reference run.

These tests are in one file because they share the reference run of a process.
"""

from functools import partial
from pathlib import Path
from typing import Final

import pytest

from stream_app.tools.embedded import EmbeddedServers
from tests.support.crash_runs import ADDITIVE, RATE, kill_mid_run, reference_outcome
from tests.support.generated_log import generate_log
from tests.support.integration_environment import clean_environment
from tests.support.log_feeder import LogFeeder
from tests.support.run_outcome import assert_same_outcome, read_outcome, wait_until_settled
from tests.support.worker_handle import WorkerHandle

EVENTS: Final = 4_000
"""Number of events of the log of a run; `make faults` kills workers in logs of 9,000."""


def test_the_reference_run_accepts_every_event_once(servers: EmbeddedServers, tmp_path: Path) -> None:
    log = generate_log(EVENTS)
    outcome = reference_outcome(servers, tmp_path, log)

    assert len(outcome.interactions) == log.n_accepted
    assert sum(row.counts.total for row in outcome.rows.values()) == log.n_accepted
    assert outcome.lists.keys() == log.users
    assert outcome.items
    assert {each.model_version for each in outcome.lists.values()} == {log.n_accepted}


def is_busy(worker: WorkerHandle) -> bool:
    return worker.events("accepted") > EVENTS // 6


@pytest.mark.parametrize(
    ("kills", "folder_survives"), [(2, True), (1, False)], ids=["twice_same_folder", "once_empty_folder"]
)
def test_a_killed_worker_ends_with_the_lists_and_rows_of_the_reference_run(
    servers: EmbeddedServers, tmp_path: Path, *, kills: int, folder_survives: bool
) -> None:
    log = generate_log(EVENTS)
    expected = reference_outcome(servers, tmp_path / "reference", log)
    with clean_environment(
        servers, tmp_path / "killed", models=ADDITIVE, snapshot_interval=1.5
    ) as environment:
        worker = environment.start_worker().wait_until_ready()
        with LogFeeder(environment, log.records, rate=RATE, until_fraction=0.4) as feed:
            for kill in range(kills):
                worker.wait_until(partial(is_busy, worker), "the worker to be busy")
                until_fraction = 0.8 if kill < kills - 1 else 1.0
                worker = kill_mid_run(
                    environment, worker, feed, until_fraction, folder_survives=folder_survives
                )
        wait_until_settled(environment, worker, log)
        actual = read_outcome(environment, log)
    assert_same_outcome(actual, expected)


def test_a_rebalance_ends_with_the_lists_and_rows_of_the_reference_run(
    servers: EmbeddedServers, tmp_path: Path
) -> None:
    log = generate_log(EVENTS)
    expected = reference_outcome(servers, tmp_path / "reference", log)
    with clean_environment(servers, tmp_path / "two", models=ADDITIVE) as environment:
        first = environment.start_worker(1).wait_until_ready()
        with LogFeeder(environment, log.records, rate=RATE, until_fraction=0.4) as feed:
            first.wait_until(lambda: first.events("accepted") > EVENTS // 5, "the first worker to be busy")
            feed.advance_to(0.7, rate=RATE / 6)  # some traffic while partitions move
            second = environment.start_worker(2).wait_until_ready()
            first.wait_until(
                lambda: first.metric("headrace_ready") == 1, "the first worker to be ready again"
            )
            assert first.metric("headrace_rebalances_total") >= 2
            n_accepted_before = first.events("accepted")
            feed.advance_to(0.85, rate=RATE)
            first.wait_until(
                lambda: (
                    second.events("accepted") > 100 and first.events("accepted") > n_accepted_before + 100
                ),
                "both workers to be busy",
            )
            feed.advance_to(1.0)
            assert first.terminate() == 0, first.log
        wait_until_settled(environment, second, log, number=2)
        actual = read_outcome(environment, log)
    assert_same_outcome(actual, expected)

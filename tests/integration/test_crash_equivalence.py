"""Workers that die by SIGKILL in the middle of the log, come or go, leave what an undisturbed one leaves.

Together, since the undisturbed run is one for all tests of a process.
"""

from functools import partial
from pathlib import Path

import pytest

from stream_app.tools.embedded import EmbeddedServers
from tests.support.integration_environment import (
    ADDITIVE,
    EVENTS,
    RATE,
    Feed,
    Worker,
    assert_same_outcome,
    clean_stage,
    kill_on_the_way,
    outcome_of,
    settle,
    shop_log,
    undisturbed_outcome,
)


def test_an_undisturbed_worker_takes_every_event_once(servers: EmbeddedServers, tmp_path: Path) -> None:
    log = shop_log(EVENTS)
    outcome = undisturbed_outcome(servers, tmp_path, log)

    assert len(outcome.interactions) == log.taken
    assert sum(row.counts.total for row in outcome.rows.values()) == log.taken
    assert outcome.lists.keys() == log.users
    assert outcome.items
    assert {each.model_version for each in outcome.lists.values()} == {log.taken}


def busy(worker: Worker) -> bool:
    return worker.events("accepted") > EVENTS // 6


@pytest.mark.parametrize(
    ("kills", "folder_survives"), [(2, True), (1, False)], ids=["twice_same_folder", "once_empty_folder"]
)
def test_a_killed_worker_ends_with_the_lists_and_rows_of_an_undisturbed_one(
    servers: EmbeddedServers, tmp_path: Path, *, kills: int, folder_survives: bool
) -> None:
    log = shop_log(EVENTS)
    wanted = undisturbed_outcome(servers, tmp_path / "undisturbed", log)
    with clean_stage(servers, tmp_path / "killed", models=ADDITIVE, snapshot_interval=1.5) as stage:
        worker = stage.start_worker().await_ready()
        with Feed(stage, log.records, rate=RATE, upto=0.4) as feed:
            for kill in range(kills):
                worker.wait_until(partial(busy, worker), "the worker to be busy")
                upto = 0.8 if kill < kills - 1 else 1.0
                worker = kill_on_the_way(stage, worker, feed, upto, folder_survives=folder_survives)
        settle(stage, worker, log)
        found = outcome_of(stage, log)
    assert_same_outcome(found, wanted)


def test_a_worker_that_joins_and_stays_when_the_first_leaves_ends_where_a_single_one_does(
    servers: EmbeddedServers, tmp_path: Path
) -> None:
    log = shop_log(EVENTS)
    wanted = undisturbed_outcome(servers, tmp_path / "undisturbed", log)
    with clean_stage(servers, tmp_path / "two", models=ADDITIVE) as stage:
        first = stage.start_worker(1).await_ready()
        with Feed(stage, log.records, rate=RATE, upto=0.4) as feed:
            first.wait_until(lambda: first.events("accepted") > EVENTS // 5, "the first worker to be busy")
            feed.go_on(0.7, rate=RATE / 6)  # some traffic while partitions move
            second = stage.start_worker(2).await_ready()
            first.wait_until(lambda: first.metric("headrace_ready") == 1, "the first worker to go on")
            assert first.metric("headrace_rebalances_total") >= 2
            before = first.events("accepted")
            feed.go_on(0.85, rate=RATE)
            first.wait_until(
                lambda: second.events("accepted") > 200 and first.events("accepted") > before + 200,
                "both workers to be busy",
            )
            feed.go_on(1.0)
            assert first.terminate() == 0, first.log
        settle(stage, second, log, number=2)
        found = outcome_of(stage, log)
    assert_same_outcome(found, wanted)

"""A worker that dies by SIGKILL in the middle of the log leaves what an undisturbed one leaves."""

import shutil
from functools import partial
from pathlib import Path

import pytest
from harness import (
    ADDITIVE,
    EVENTS,
    RATE,
    Feed,
    Worker,
    assert_same_outcome,
    clean_stage,
    outcome_of,
    settle,
    shop_log,
    undisturbed_outcome,
)

from stream_app.embedded import EmbeddedServers


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
                worker.kill()
                assert stage.uncommitted() > 0, "something was on the way"
                feed.go_on(0.8 if kill < kills - 1 else 1.0)
                if not folder_survives:
                    shutil.rmtree(stage.data_dir())
                worker = stage.start_worker()
        settle(stage, worker, log)
        found = outcome_of(stage, log)
    assert_same_outcome(found, wanted)

"""A second worker comes in the middle of the log and the first goes: nothing is lost, every list is right."""

from pathlib import Path

from harness import (
    ADDITIVE,
    EVENTS,
    RATE,
    Feed,
    assert_same_outcome,
    clean_stage,
    outcome_of,
    settle,
    shop_log,
    undisturbed_outcome,
)

from stream_app.embedded import EmbeddedServers


def test_a_worker_that_joins_and_stays_when_the_first_leaves_ends_where_a_single_one_does(
    servers: EmbeddedServers, tmp_path: Path
) -> None:
    log = shop_log(EVENTS)
    wanted = undisturbed_outcome(servers, tmp_path / "undisturbed", log)
    with clean_stage(servers, tmp_path / "two", models=ADDITIVE) as stage:
        first = stage.start_worker(1).await_ready()
        with Feed(stage, log.records, rate=RATE) as feed:
            first.wait_until(lambda: first.events("accepted") > EVENTS // 5, "the first worker to be busy")
            feed.rate = RATE / 6  # some of the log is to be left
            second = stage.start_worker(2).await_ready()
            first.wait_until(lambda: first.metric("headrace_ready") == 1, "the first worker to go on")
            before = first.events("accepted")
            feed.rate = RATE
            first.wait_until(
                lambda: (
                    second.events("accepted") > EVENTS // 20
                    and first.events("accepted") > before + EVENTS // 20
                ),
                "both workers to be busy",
            )
            assert first.metric("headrace_rebalances_total") >= 2
            assert first.terminate() == 0, first.log
            assert stage.uncommitted() > 1_000, "the middle of the log is past"
        settle(stage, second, log, number=2)
        found = outcome_of(stage, log)
    assert_same_outcome(found, wanted)

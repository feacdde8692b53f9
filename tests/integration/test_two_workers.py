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

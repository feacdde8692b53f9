"""Rates, ratios and medians that the benchmark computes, and its table."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from msgspec import structs
from rich.console import Console

from stream_app.errors import UserError
from stream_app.tools.bench import throughput
from stream_app.tools.bench.__main__ import results_table
from stream_app.tools.bench.learning_cost import measure_fold
from stream_app.tools.bench.results import (
    BenchReport,
    ConsumerRun,
    FoldResults,
    FreshnessResults,
    LoadResults,
    LoadStep,
    Machine,
    Percentiles,
    ThroughputResults,
)
from stream_app.tools.bench.throughput import measure_throughput
from stream_app.tools.embedded.child_process import start_process

BARE_RUN = ConsumerRun(variant="bare", events=7, seconds=1.5, cpu_seconds=0.5)

# Seconds of each agent for 1,000 events, by round.
SECONDS_BY_AGENT = {
    "bare": (0.1, 0.2, 0.4),
    "table": (0.25, 0.5, 0.5),
    "headrace": (0.5, 0.5, 2.0),
    "full_ranking": (0.5, 1.0, 4.0),
    "rrf": (0.25, 0.25, 1.0),
    "neural": (0.625, 2.0, 5.0),
}


@pytest.fixture
def results(monkeypatch: pytest.MonkeyPatch) -> ThroughputResults:
    """Results of three rounds with fixed times."""
    # one broker for the first three agents, and one for each further agent
    rounds = iter([0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2])
    current = SimpleNamespace(round=0)

    @contextmanager
    def servers() -> Iterator[Any]:
        current.round = next(rounds)
        yield SimpleNamespace(broker_connection="", redis_address="")

    def consume(agent: str, _: Any, events: int) -> ConsumerRun:
        seconds = SECONDS_BY_AGENT[agent][current.round]
        # the clock starts after the first event, whose list is published, too
        run = ConsumerRun(variant=agent, events=events - 1, seconds=seconds, cpu_seconds=seconds / 2)
        if agent in ("bare", "table"):
            return run
        return structs.replace(
            run,
            user_lists=600.0,
            degraded_lists=150.0,
            fresh_events=events,
            stage_seconds={"fold": seconds / 8, "rank": seconds / 4},
        )

    monkeypatch.setattr(throughput, "isolated_servers", servers)
    monkeypatch.setattr(throughput, "_fill", lambda *_, **__: None)
    monkeypatch.setattr(throughput, "_consume", consume)
    return measure_throughput(1_001, 3, 100, lambda _: None)


def test_rates_are_the_medians_of_the_rounds(results: ThroughputResults) -> None:
    assert results.events_per_second == pytest.approx(
        {"bare": 5_000, "table": 2_000, "headrace": 2_000, "full_ranking": 1_000, "rrf": 4_000, "neural": 500}
    )
    assert results.cpu_us_per_event == pytest.approx(
        {"bare": 100, "table": 250, "headrace": 250, "full_ranking": 500, "rrf": 125, "neural": 1_000}
    )


def test_the_cost_of_the_two_tower_model_is_per_list(results: ThroughputResults) -> None:
    # medians of 62.5, 500 and 500 us an event
    assert results.neural_us_per_list == pytest.approx(500 / (600 / 1_001))


def test_ratios_are_computed_per_round_before_the_median(results: ThroughputResults) -> None:
    assert results.rounds.ratios["c/a"] == pytest.approx([0.2, 0.4, 0.2])
    assert results.rounds.ratios["c/b"] == pytest.approx([0.5, 1.0, 0.25])
    assert results.ratios == pytest.approx({"c/a": 0.2, "c/b": 0.5, "d/b": 0.5, "e/b": 1.0, "f/d": 0.8})


def test_lists_per_event_counts_fresh_events(results: ThroughputResults) -> None:
    assert results.lists_per_event == pytest.approx(600 / 1_001)
    assert results.degraded_share == pytest.approx(0.25)


def test_the_rest_is_the_cpu_time_of_no_stage(results: ThroughputResults) -> None:
    assert results.stage_us_per_event["full_ranking"] == pytest.approx(
        {"fold": 125, "rank": 250, "rest": 125}
    )


def test_table_prints_each_result_with_its_name(results: ThroughputResults) -> None:
    freshness = FreshnessResults(
        target_rate=300.0,
        achieved_rate=299.6,
        freshness_ms=Percentiles(21.04, 48.96),
        redis_read_ms=Percentiles(0.123, 0.456),
        lists_read=1,
    )
    fold = FoldResults(31.41, {"index and sessions": 2.72, "popularity": 1.62})
    report = BenchReport(machine=Machine("3.11", 2), throughput=results, freshness=freshness, fold=fold)
    assert printed_rows(report) == [
        "(a) bare Faust agent, decodes with msgspec 5,000 events/s (100 µs CPU per event)",
        "(b) the same with one table write per event 2,000 events/s (250 µs CPU per event)",
        "(c) Headrace, from every event to a list in Redis 2,000 events/s (250 µs CPU per event)",
        "(d) the same, no degraded lists 1,000 events/s (500 µs CPU per event)",
        "(e) as d, lists of three models fused by ranks 4,000 events/s (125 µs CPU per event)",
        "(f) as d, with a two-tower model of 64 factors 500 events/s (1000 µs CPU per event)",
        "c/a 0.20",
        "c/b 0.50",
        "d/b 0.50",
        "e/b 1.00",
        "f/d 0.80",
        "added by (f) to (d) 834 µs CPU per list",
        "user lists per event 0.60 in (c)",
        "of these degraded 0.25",
        "fold 125 µs per event in (d), 62 in (c)",
        "rank 250 µs per event in (d), 125 in (c)",
        "rest 125 µs per event in (d), 62 in (c)",
        "freshness p50 at 300 events/s 21.0 ms",
        "freshness p99 at 300 events/s 49.0 ms",
        "client read p50 0.12 ms",
        "client read p99 0.46 ms",
        "fold, all models 31.4 µs per interaction",
        "index and sessions 2.7 µs",
        "popularity 1.6 µs",
    ]

    step = LoadStep(
        share=0.5,
        rate=1_234.0,
        freshness_ms=Percentiles(12.04, 31.0),
        backlog=1_024,
        catch_up_seconds=0.44,
    )
    load = LoadResults(workers=2, catch_up_rate=2_468.0, cpu_us_per_event=801.6, steps=[step])
    assert [
        row for row in printed_rows(structs.replace(report, load=[load])) if row not in printed_rows(report)
    ] == [
        "2 workers: catching up 2,468 events/s (802 µs CPU per event)",
        "freshness p50 at 50%, 1,234 events/s 12.0 ms, p99 31.0 ms; 1,024 events behind, caught up in 0.4 s",
    ]

    second = structs.replace(freshness, freshness_ms=Percentiles(22.0, 55.0), model_version=4)
    added = printed_rows(structs.replace(report, freshness_with_trainer=second))
    assert [row for row in added if "beside" in row] == [
        "freshness p50 at 300 events/s, beside a trainer 22.0 ms",
        "freshness p99 at 300 events/s, beside a trainer 55.0 ms",
        "client read p50, beside a trainer 0.12 ms",
        "client read p99, beside a trainer 0.46 ms",
    ]


def printed_rows(report: BenchReport) -> list[str]:
    console = Console(width=120, record=True, file=None, quiet=False)
    with console.capture() as captured:
        console.print(results_table(report))
    return [" ".join(line.split()) for line in captured.get().splitlines()][1:]


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (f"import sys; print('noise'); print({msgspec.json.encode(BARE_RUN).decode()!r}); sys.exit(0)", None),
        ("print('out of luck')", "printed no result.*out of luck"),
        ("import time; print('stuck', flush=True); time.sleep(60)", "did not finish within 1 s.*stuck"),
    ],
)
def test_agent_folder_is_always_removed(
    script: str, message: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "bench"

    def make_folder(_: str) -> Path:
        folder.mkdir()
        return folder

    monkeypatch.setattr(throughput, "scratch_dir", make_folder)
    monkeypatch.setattr(throughput, "_TIMEOUT_SECONDS", 1.0)
    monkeypatch.setattr(
        throughput,
        "start_process",
        lambda command, **rest: start_process((command[0], "-c", script), **rest),
    )
    servers: Any = SimpleNamespace(broker_connection="127.0.0.1:1", redis_address="redis://127.0.0.1:1/0")
    if message is None:
        assert throughput._consume("bare", servers, 7) == BARE_RUN
    else:
        with pytest.raises(UserError, match=f"(?s){message}"):
            throughput._consume("bare", servers, 7)
    assert not folder.exists()


def test_the_fold_is_timed_for_all_models_together_and_each() -> None:
    results = measure_fold(4_000, 100)
    assert results.fold_us > 0
    assert next(iter(results.by_model)) == "index and sessions"
    assert len(results.by_model) > 5

"""Small runs of the benchmarks report every result and leave no files."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stream_app.tools.bench.load import measure_load

pytestmark = pytest.mark.slow

SMALL = ("--events", "2000", "--rounds", "1", "--seconds", "2", "--users", "100")


def run(module: str, *options: str, folder: Path) -> tuple[Any, str, list[Path]]:
    """Run a benchmark; return its report, its output, and the files left in the folder for temporary files."""
    report, scratch = folder / "report.json", folder / "scratch"
    scratch.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", module, *options, "--report", str(report)],
        env={**os.environ, "TMPDIR": str(scratch), "COLUMNS": "120"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert str(report) in done.stdout.replace("\n", "")
    return json.loads(report.read_text()), done.stdout, list(scratch.iterdir())


def test_small_run_reports_every_metric_and_cleans_up(tmp_path: Path) -> None:
    pytest.importorskip("jax", reason="the trainer needs JAX: pip install 'headrace[neural]'")
    results, output, leftovers = run("stream_app.tools.bench", *SMALL, "--trainer", folder=tmp_path)
    throughput, freshness = results["throughput"], results["freshness"]
    rates = throughput["events_per_second"]
    assert all(rates[kind] > 50 for kind in ("bare", "table", "headrace", "full_ranking", "rrf", "neural")), (
        rates
    )
    assert throughput["ratios"]["c/a"] == pytest.approx(rates["headrace"] / rates["bare"])
    assert throughput["ratios"]["c/b"] == pytest.approx(rates["headrace"] / rates["table"])
    # events of a pending user share a list
    assert 0.1 < throughput["lists_per_event"] <= 1.0
    for agent, cpu in throughput["cpu_us_per_event"].items():
        if stages := throughput["stage_us_per_event"].get(agent):
            assert sum(stages.values()) == pytest.approx(cpu)
            assert min(stages.values()) > 0, stages
    assert freshness["target_rate"] == 300
    assert 30 < freshness["achieved_rate"] < 600, "an otherwise idle machine keeps the rate"
    assert 0 < freshness["freshness_ms"]["p50"] <= freshness["freshness_ms"]["p99"]
    assert 0 < freshness["redis_read_ms"]["p50"] <= freshness["redis_read_ms"]["p99"]
    assert freshness["lists_read"] > 0
    with_trainer = results["freshness_with_trainer"]
    assert with_trainer["model_version"] >= 1
    assert 0 < with_trainer["freshness_ms"]["p50"] <= with_trainer["freshness_ms"]["p99"]
    assert results["fold"]["fold_us"] > 0
    for name in ("c/a", "c/b", "freshness p99", "client read p99", "fold, all models"):
        assert name in output
    assert leftovers == []


def test_two_workers_catch_up_and_are_measured_at_shares_of_that_rate() -> None:
    results = measure_load(2, 1_500, 2.0, 100, lambda _: None, shares=(0.5, 2.0))
    assert results.workers == 2
    assert results.catch_up_rate > 30
    assert 50 < results.cpu_us_per_event < 100_000
    half, twice = results.steps
    assert (half.share, twice.share) == (0.5, 2.0)
    assert half.rate < twice.rate
    for step in results.steps:
        assert 0 < step.freshness_ms.p50 <= step.freshness_ms.p99
        assert step.backlog >= 0
        assert step.catch_up_seconds > 0


def test_small_closed_loop_compares_policies_on_generated_shops(tmp_path: Path) -> None:
    report_json, output, leftovers = run(
        "stream_app.tools.bench.closed_loop", "--parts", "2", "--users", "25", folder=tmp_path
    )
    assert (
        report_json["arms"].keys()
        == report_json["regret"]["per_list"].keys()
        == {"popularity", "fixed", "thompson"}
    )
    for arm, results in report_json["arms"].items():
        assert 0 < results["users"] <= 50, arm
        assert results["lists"] > 200
        assert 0.05 < results["clicks"]["mean"] < 0.8
        # no policy always lists the best of 500 items, so every list has some regret
        regret = [each for each in report_json["regret"]["per_list"][arm] if each is not None]
        assert min(regret) > 0
        assert max(regret) < 1
    lifts = {
        (each["policy"], each["against"]): each["lift"]
        for each in report_json["pairs"]
        if each["metric"] == "clicks"
    }
    assert lifts["fixed", "popularity"]["low"] < lifts["fixed", "popularity"]["mean"]
    for name in ("thompson over fixed", "preferences shift", "regret per list"):
        assert name in output
    assert leftovers == []

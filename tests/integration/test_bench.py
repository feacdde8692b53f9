"""`make bench`, small: every figure is there, and nothing is left behind."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SMALL = ("--events", "2000", "--rounds", "1", "--seconds", "2", "--users", "100")


def test_a_small_run_measures_everything_and_leaves_only_its_report(tmp_path: Path) -> None:
    report, scratch = tmp_path / "bench.json", tmp_path / "scratch"
    scratch.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "stream_app.bench", *SMALL, "--report", str(report)],
        env={**os.environ, "TMPDIR": str(scratch), "COLUMNS": "120"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    figures = json.loads(report.read_text())
    throughput, fresh = figures["throughput"], figures["freshness"]
    rates = throughput["events_per_second"]
    assert all(rates[kind] > 50 for kind in ("bare", "table", "whole", "patient", "ranks")), rates
    assert throughput["ratios"]["c/a"] == pytest.approx(rates["whole"] / rates["bare"])
    assert throughput["ratios"]["c/b"] == pytest.approx(rates["whole"] / rates["table"])
    # an event that finds its shopper waiting shares the list; no event goes without
    assert 0.1 < throughput["lists_per_event"] <= 1.0
    assert fresh["rate_asked"] == 300
    assert 30 < fresh["rate_reached"] < 600, "the rate is kept where the machine has nothing else to do"
    assert 0 < fresh["freshness_ms"]["p50"] <= fresh["freshness_ms"]["p99"]
    assert 0 < fresh["redis_read_ms"]["p50"] <= fresh["redis_read_ms"]["p99"]
    assert fresh["lists_read"] > 0
    assert figures["fold"]["fold_us"] > 0
    assert f"written to {report}" in done.stdout
    for name in ("c/a", "c/b", "freshness p99", "client read p99", "fold, all models"):
        assert name in done.stdout
    assert list(scratch.iterdir()) == []

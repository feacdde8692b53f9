"""Options, reports and signals of the demo."""

import json
import math
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from stream_app.encoders import optional_packages
from stream_app.errors import UserError
from stream_app.tools.demo.demo_options import DemoOptions
from stream_app.tools.demo.demo_report import (
    DemoReport,
    NeuralReport,
    Quantiles,
    build_policy_reports,
    exit_status,
    quantiles_ms,
)
from stream_app.tools.demo.formatting import format_summary
from stream_app.tools.demo.search_comparison import RankedResult, SearchComparison
from stream_app.tools.environment.list_quality import ListQuality
from stream_app.tools.environment.policy_stats import PolicyStats
from stream_app.tools.environment.signals import InterruptHandler, SignalMode
from stream_app.tools.report_file import write_report
from topics.records import Reason

REPORT = DemoReport(
    events_read=10,
    accepted=7,
    duplicates=1,
    dead_lettered=1,
    ignored=1,
    users=3,
    lists_published=9,
    search_lists_published=2,
    events_per_second=500.0,
    freshness_ms=Quantiles(12.0, 30.0),
    redis_read_ms=Quantiles(0.1, 0.2),
    hit_rate_at_20=None,
    mrr_at_20=None,
    list_quality=ListQuality(dissimilarity=0.5, gini=0.25),
    policies=build_policy_reports(
        {
            "fixed": PolicyStats(0.25, True, 40.0, (0.5, 0.4, 0.6), (12.0, 5.0, 19.0), (0.1, 0.05, 0.15)),
            "thompson": PolicyStats(0.75, False, 9.0, (0.5, -math.inf, math.inf)),
        }
    ),
    latest_search=SearchComparison(
        "ann", "tents", ("a", "b"), (RankedResult("b", 2, Reason("also_viewed", item_id="x")),)
    ),
    seconds=1.0,
    workers=1,
    interrupted=False,
    unfinished=0,
    reads=500,
    users_read=3,
    users_with_list=3,
)

FAILED = NeuralReport(
    version=3, age_seconds=7.2, brought_share=0.065, trainer_failure="was killed by SIGKILL"
)


def test_the_default_rate_depends_on_the_source() -> None:
    assert DemoOptions().events_per_second == 50
    assert DemoOptions(events=Path("log")).events_per_second == 500
    assert DemoOptions(events=Path("log"), rate=0).events_per_second == 0


def test_contradictory_options_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="give --events FILE"):
        DemoOptions(mapping=Path("m.toml")).validate()
    with pytest.raises(UserError, match="There is no file"):
        DemoOptions(events=tmp_path / "log").validate()


def test_the_report_is_json_with_the_documented_keys(tmp_path: Path) -> None:
    write_report(REPORT, tmp_path / "r.json")
    found = json.loads((tmp_path / "r.json").read_text())

    assert found["freshness_ms"] == {"p50": 12.0, "p99": 30.0}
    assert found["events_read"] == sum(
        found[key] for key in ("accepted", "duplicates", "dead_lettered", "ignored")
    )
    assert {
        "users",
        "lists_published",
        "events_per_second",
        "redis_read_ms",
        "hit_rate_at_20",
        "mrr_at_20",
    } <= set(found)


def test_the_report_has_diversity_exposure_and_both_orders_of_the_latest_search(tmp_path: Path) -> None:
    write_report(REPORT, tmp_path / "r.json")
    found = json.loads((tmp_path / "r.json").read_text())

    quality = {"dissimilarity": 0.5, "categories": None, "coverage": None, "gini": 0.25}
    assert found["list_quality"] == quality | {"long_tail_share": None, "new_items_share": None}
    search = found["latest_search"]
    assert (search["query"], search["results"]) == ("tents", ["a", "b"])
    (ranked_result,) = search["published"]
    assert (ranked_result["item_id"], ranked_result["original_rank"], ranked_result["reason"]["item_id"]) == (
        "b",
        2,
        "x",
    )


def test_the_report_has_policy_stats_and_null_where_users_are_too_few(tmp_path: Path) -> None:
    write_report(REPORT, tmp_path / "r.json")
    policies = json.loads((tmp_path / "r.json").read_text())["policies"]
    assert policies["fixed"] == {
        "share": 0.25,
        "paused": True,
        "users": 40,
        "clicks_per_list": {"mean": 0.5, "low": 0.4, "high": 0.6},
        "purchases_per_list": {"mean": 0.1, "low": 0.05, "high": 0.15},
        "revenue_per_list": {"mean": 12.0, "low": 5.0, "high": 19.0},
    }
    assert policies["thompson"]["users"] == 9
    assert policies["thompson"]["clicks_per_list"] == {"mean": 0.5, "low": None, "high": None}
    assert policies["thompson"]["revenue_per_list"] == {"mean": None, "low": None, "high": None}


def test_a_single_policy_has_no_policy_report() -> None:
    assert build_policy_reports({"fixed": PolicyStats(1.0)}) == {}


def test_the_summary_contains_the_values_of_the_report() -> None:
    summary_text = format_summary(REPORT)
    for expected in ("ILD 0.50", "Gini 0.25", "9, search lists 2", "p50 12.0 ms"):
        assert expected in summary_text
    assert "unfinished" not in summary_text


def test_the_summary_states_the_age_of_the_model_its_share_and_the_end_of_the_trainer() -> None:
    assert "model" not in format_summary(REPORT)
    neural = NeuralReport(version=3, age_seconds=7.2, brought_share=0.065)
    summary_text = format_summary(structs.replace(REPORT, neural=neural))
    assert "model 3, 7 s old, brought 6.5 % of list items" in summary_text
    assert "trainer" not in summary_text
    assert "was killed by SIGKILL; lists went on" in format_summary(structs.replace(REPORT, neural=FAILED))


@pytest.mark.parametrize(
    ("changes", "of_log", "of_shop"),
    [
        ({}, 0, 0),
        ({"interrupted": True}, 130, 0),
        ({"unfinished": 1}, 1, 0),
        ({"interrupted": True, "unfinished": 1}, 130, 0),
        ({"neural": NeuralReport(version=1, age_seconds=1.0, brought_share=0.1)}, 0, 0),
        ({"interrupted": True, "neural": FAILED}, 1, 1),
    ],
)
def test_the_exit_status_tells_failures_from_interrupts(
    changes: dict[str, Any], of_log: int, of_shop: int
) -> None:
    report = structs.replace(REPORT, **changes)
    assert (exit_status(report, is_log=True), exit_status(report, is_log=False)) == (of_log, of_shop)


def test_a_run_with_a_trainer_needs_its_packages_and_a_broker_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(optional_packages, "find_spec", lambda name: None if name == "optax" else name)
    with pytest.raises(
        UserError, match=r"--neural needs the package optax.*pip install 'headrace\[neural\]'"
    ):
        DemoOptions(neural=True).validate()
    DemoOptions().validate()
    monkeypatch.setattr(optional_packages, "find_spec", lambda name: name)
    DemoOptions(neural=True).validate()
    monkeypatch.setenv("HEADRACE_BROKER", "shop:9092")
    with pytest.raises(UserError, match=r"all workers of shop:9092\. Unset HEADRACE_BROKER"):
        DemoOptions(neural=True).validate()


def test_quantiles_of_few_measurements() -> None:
    assert quantiles_ms([]) == Quantiles(None, None)
    assert quantiles_ms([0.001]) == Quantiles(1.0, 1.0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_raised_counted_or_ignored_by_mode(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with InterruptHandler() as interrupts:
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
        interrupts.signal_mode = SignalMode.COUNT
        os.kill(os.getpid(), number)
        interrupts.signal_mode = SignalMode.IGNORE
        os.kill(os.getpid(), number)
        assert interrupts.count == 1
    assert signal.getsignal(number) == before

"""Options, reports and signals of the demo."""

import json
import math
import os
import signal
from pathlib import Path

import pytest

from stream_app.errors import UserError
from stream_app.tools.demo.demo_options import Options
from stream_app.tools.demo.demo_report import (
    Quantiles,
    Report,
    check_writable,
    policy_reports,
    quantiles_ms,
    write,
)
from stream_app.tools.demo.formatting import summary
from stream_app.tools.demo.search_comparison import PlacedResult, ShownSearch
from stream_app.tools.environment.list_quality import ListQuality
from stream_app.tools.environment.signals import Interrupts, Manner
from stream_app.tools.environment.worker_metrics import PolicyFigures
from topics.records import Reason

REPORT = Report(
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
    list_quality=ListQuality(unlikeness=0.5, gini=0.25),
    policies=policy_reports(
        {
            "fixed": PolicyFigures(0.25, True, 40.0, (0.5, 0.4, 0.6), (12.0, 5.0, 19.0), (0.1, 0.05, 0.15)),
            "thompson": PolicyFigures(0.75, False, 9.0, (0.5, -math.inf, math.inf)),
        }
    ),
    latest_search=ShownSearch(
        "ann", "tents", ("a", "b"), (PlacedResult("b", 2, Reason("also_viewed", item_id="x")),)
    ),
    seconds=1.0,
    workers=1,
    interrupted=False,
    unfinished=0,
    reads=500,
    users_read=3,
    users_with_list=3,
)


def test_the_rate_depends_on_what_is_fed_unless_it_is_given() -> None:
    assert Options().events_per_second == 50
    assert Options(events=Path("log")).events_per_second == 500
    assert Options(events=Path("log"), rate=0).events_per_second == 0


def test_contradictions_are_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="give --events FILE"):
        Options(mapping=Path("m.toml")).check()
    with pytest.raises(UserError, match="There is no file"):
        Options(events=tmp_path / "log").check()


def test_the_report_is_json_with_the_keys_that_are_looked_at(tmp_path: Path) -> None:
    write(REPORT, tmp_path / "r.json")
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


def test_the_report_tells_diversity_exposure_and_both_orders_of_the_latest_search(tmp_path: Path) -> None:
    write(REPORT, tmp_path / "r.json")
    found = json.loads((tmp_path / "r.json").read_text())

    quality = {"unlikeness": 0.5, "categories": None, "coverage": None, "gini": 0.25}
    assert found["list_quality"] == quality | {"long_tail_share": None, "new_items_share": None}
    search = found["latest_search"]
    assert (search["query"], search["found"]) == ("tents", ["a", "b"])
    (placed,) = search["published"]
    assert (placed["item_id"], placed["found_at"], placed["reason"]["item_id"]) == ("b", 2, "x")


def test_the_report_tells_how_policies_do_and_null_where_shoppers_are_too_few(tmp_path: Path) -> None:
    write(REPORT, tmp_path / "r.json")
    policies = json.loads((tmp_path / "r.json").read_text())["policies"]
    assert policies["fixed"] == {
        "share": 0.25,
        "resting": True,
        "shoppers": 40,
        "clicks_per_list": {"mean": 0.5, "low": 0.4, "high": 0.6},
        "purchases_per_list": {"mean": 0.1, "low": 0.05, "high": 0.15},
        "revenue_per_list": {"mean": 12.0, "low": 5.0, "high": 19.0},
    }
    assert policies["thompson"]["shoppers"] == 9
    assert policies["thompson"]["clicks_per_list"] == {"mean": 0.5, "low": None, "high": None}
    assert policies["thompson"]["revenue_per_list"] == {"mean": None, "low": None, "high": None}


def test_of_one_policy_alone_there_is_nothing_to_tell() -> None:
    assert policy_reports({"fixed": PolicyFigures(1.0)}) == {}


def test_the_summary_says_what_the_report_holds() -> None:
    said = summary(REPORT)
    for expected in ("50 % unlike", "Gini 0.25", "9, of searches 2", "p50 12.0 ms"):
        assert expected in said
    assert "unfinished" not in said


def test_a_report_that_cannot_be_written_is_told_before_the_run(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none" / "r.json"):
        with pytest.raises(UserError, match=r"--report|cannot be written"):
            check_writable(path)


def test_quantiles_of_few_measurements() -> None:
    assert quantiles_ms([]) == Quantiles(None, None)
    assert quantiles_ms([0.001]) == Quantiles(1.0, 1.0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_raises_is_counted_or_ignored(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with Interrupts() as interrupts:
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
        interrupts.manner = Manner.COUNT
        os.kill(os.getpid(), number)
        interrupts.manner = Manner.IGNORE
        os.kill(os.getpid(), number)
        assert interrupts.count == 1
    assert signal.getsignal(number) == before

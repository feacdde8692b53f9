"""`headrace evaluate policy` and `evaluate estimators` from the command line to report and plot."""

import base64
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from stream_app.__main__ import build_cli
from stream_app.errors import UserError
from stream_app.experiment.feature_rows import features_version_of, pack_rows

PNG = b"\x89PNG"
ESTIMATORS = ["dm", "ips", "snips", "dr", "switch_dr", "clipped_ips", "clipped_dr"]


def run(monkeypatch: pytest.MonkeyPatch, command: str, exit_code: int = 0) -> str:
    """Output of a command; its error is raised."""
    arguments = command.split()
    monkeypatch.setattr(sys, "argv", ["headrace", *arguments])
    result = CliRunner().invoke(build_cli(), arguments)
    if isinstance(result.exception, Exception) and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == exit_code, result.output
    return result.output


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A uniform log of 4 items, with most clicks on item 0, and the log of a policy that prefers item 0."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(2)
    for name, probabilities in (("random", (0.25, 0.25, 0.25, 0.25)), ("informed", (0.7, 0.1, 0.1, 0.1))):
        rows = ["item_id,position,click,propensity_score"]
        for _ in range(2000):
            item = rng.choice(4, p=probabilities)
            click = int(rng.random() < (0.3 if item == 0 else 0.05))
            rows.append(f"{item},{rng.integers(1, 3)},{click},{probabilities[item]}")
        (tmp_path / f"{name}.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "items.csv").write_text("item_id,item_feature_0\n" + "".join(f"{n},{n}\n" for n in range(4)))
    return tmp_path


COMMAND = "evaluate policy --log random.csv --items items.csv --report out.json --resamples 200"


def without_duration(report: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in report.items() if name != "seconds"}


def test_evaluation_writes_tables_verdict_report_and_plot(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed = run(
        monkeypatch, f"{COMMAND} --target-log informed.csv --target uniform,greedy,softmax --plot out.png"
    )
    report = json.loads((folder / "out.json").read_bytes())
    assert [*report["estimates"]["targets"]] == ["informed", "uniform", "greedy", "softmax"]
    informed = report["estimates"]["targets"]["informed"]
    assert [*informed["estimates"]] == ESTIMATORS
    for estimate in informed["estimates"].values():
        assert estimate["value"]["low"] < 0.7 * 0.3 + 0.3 * 0.05 < estimate["value"]["high"]
        assert estimate["difference"]["low"] > 0
    assert informed["verdict"]["finding"] == "better"
    assert re.search(r"^informed: better than the logging policy: difference \+0\.\d+", printed, re.MULTILINE)
    assert re.search(r"truth: its own log +0\.2\d+ \(", printed)
    assert re.search(r"^random +2,000 +2,000 +\d+ +0\.1\d+ \(", printed, re.MULTILINE)
    assert (folder / "out.png").read_bytes().startswith(PNG)
    assert report["run"]["files"][0] == {
        "path": "random.csv",
        "bytes": (folder / "random.csv").stat().st_size,
    }
    assert report["run"]["options"]["seed"] == 7
    assert report["estimates"]["targets"]["greedy"]["rounds"] == 1000  # learned from the first half


def test_target_log_is_evaluated_alone_unless_targets_are_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(monkeypatch, f"{COMMAND} --target-log informed.csv")
    assert [*json.loads((folder / "out.json").read_bytes())["estimates"]["targets"]] == ["informed"]


def test_two_runs_differ_only_in_duration(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reports = []
    for _ in range(2):
        run(monkeypatch, COMMAND)
        reports.append(without_duration(json.loads((folder / "out.json").read_bytes())))
    assert reports[0] == reports[1]


def test_headrace_records_are_read_from_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    lists, rewards = [], []
    for number in range(400):
        policy = "bandit" if number % 4 else "fixed"
        order = rng.permutation(["a", "b"]).tolist() if number % 4 else ["a", "b"]
        items = [
            {"id": item, "score": 1, "propensity": 0.5 if number % 4 else 1, "why": {"source": "popular"}}
            for item in order
        ]
        lists.append(
            {
                "list_id": str(number), "key": f"recs:{number}", "generated_at": f"{number:06}",
                "policy": policy, "model_version": 1, "items": items,
            }
        )  # fmt: skip
        if rng.random() < 0.4:
            rewards.append(
                {
                    "source": 0, "partition": 0, "offset": number, "line": 0, "ts": 0, "user_id": "u",
                    "list_id": str(number), "policy": policy, "kind": "click", "item_id": "a", "value": 1.0,
                }
            )  # fmt: skip
    for name, records in (("lists", lists), ("rewards", rewards)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(each) + "\n" for each in records))
    command = "evaluate policy --log lists.jsonl --rewards rewards.jsonl --report out.json --resamples 200"
    printed = run(monkeypatch, command)
    assert "no features, so no policy can be learned" in printed
    assert "Impressions: all." in printed
    report = json.loads((folder / "out.json").read_bytes())
    logged = report["estimates"]["logged"]
    assert [(name, policy_value["rounds"]) for name, policy_value in logged.items()] == [
        ("bandit", 600),
        ("fixed", 200),
    ]
    assert logged["fixed"]["difference"]["low"] < 0 < logged["fixed"]["difference"]["high"]
    assert [*report["estimates"]["targets"]] == ["uniform"]
    assert report["input_counts"]["lists with outdated features"] == 0
    run(monkeypatch, f"{command} --logged-policy fixed --reward click")
    assert [*json.loads((folder / "out.json").read_bytes())["estimates"]["logged"]] == ["fixed"]


def test_lists_with_outdated_features_are_skipped_and_reported(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(5)
    lists, rewards = [], []
    for number in range(300):
        names = ("price",) if number < 100 else ("price", "age")
        rows = rng.random((2, len(names)), np.float32)
        lists.append(
            {
                "list_id": str(number), "key": f"recs:{number}", "generated_at": f"{number:06}", "policy": "p",
                "model_version": 1,
                "features": base64.b64encode(pack_rows(rows, features_version_of(names))).decode(),
                "items": [
                    {"id": item, "score": 1, "propensity": 0.5, "why": {"source": "popular"}} for item in "ab"
                ],
            }
        )  # fmt: skip
        if rng.random() < 0.5:
            rewards.append(
                {
                    "source": 0, "partition": 0, "offset": number, "line": 0, "ts": 0, "user_id": "u",
                    "list_id": str(number), "policy": "p", "kind": "click", "item_id": "a", "value": 1.0,
                }
            )  # fmt: skip
    for name, records in (("lists", lists), ("rewards", rewards)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(each) + "\n" for each in records))
    printed = run(
        monkeypatch,
        "evaluate policy --log lists.jsonl --rewards rewards.jsonl --report out.json --resamples 200",
    )
    assert "Lists with outdated features: 100." in " ".join(printed.split())
    report = json.loads((folder / "out.json").read_bytes())
    assert report["input_counts"]["lists with outdated features"] == 100
    assert report["estimates"]["logged"]["p"]["rounds"] == 400
    assert {"uniform", "greedy"} <= {*report["estimates"]["targets"]}


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("command", "message"),
    [
        (f"{COMMAND} --target best", "--target takes some of uniform, greedy, softmax, not 'best'"),
        (COMMAND.replace("random", "absent"), "There is no file absent.csv"),
        (COMMAND.replace("out.json", "no/out.json"), "--report no/out.json cannot be written"),
        (
            COMMAND.replace("--items items.csv", "--rewards items.csv --impression-mode some"),
            "--impression-mode takes one of auto, known, all, not 'some'",
        ),
    ],
)
def test_user_errors_are_one_sentence(monkeypatch: pytest.MonkeyPatch, command: str, message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        run(monkeypatch, command)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("", "either --log FILE or --broker"),
        ("--broker --log random.csv", "either --log FILE or --broker"),
        ("--broker --target-log informed.csv", "--target-log belongs to Open Bandit logs"),
        ("--broker --rewards random.csv", "--rewards belongs to --log"),
    ],
)
def test_mutually_exclusive_options_are_rejected(
    monkeypatch: pytest.MonkeyPatch, options: str, message: str
) -> None:
    printed = run(monkeypatch, f"evaluate policy --report out.json {options}", exit_code=2)
    assert message in " ".join(re.sub(r"[│╭╮╰╯─]", " ", printed).split())


def test_estimators_are_checked_in_every_scenario(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    printed = run(monkeypatch, "evaluate estimators --repetitions 10 --resamples 100 --report out.json")
    report = json.loads((folder / "out.json").read_bytes())
    assert [*report["scenarios"]] == ["model right", "model wrong", "little overlap"]
    for scenario in report["scenarios"].values():
        assert [*scenario["trials"]] == ESTIMATORS
    assert re.search(
        r"^model right \(truth 0\.1\d+\) +direct method +[+-]0\.\d+ ±0\.\d+", printed, re.MULTILINE
    )


@pytest.mark.parametrize("command", ["policy", "estimators"])
def test_help_shows_examples(monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    assert f"headrace evaluate {command} --" in run(monkeypatch, f"evaluate {command} --help")

"""`headrace evaluate` and `headrace tune` from the command line to report and plot."""

import json
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from stream_app.__main__ import build_cli
from stream_app.errors import UserError
from stream_app.ranking.assembly import make_models
from stream_app.settings import load_settings

PNG = b"\x89PNG"


@pytest.fixture
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    pairs = [[f"a{n % 6}", f"b{n % 6}"] for n in range(60)]
    lines = [json.dumps(pair) + "\n" for pair in pairs]
    (tmp_path / "train.jsonl").write_text("".join(lines))
    (tmp_path / "test.jsonl").write_text("".join(lines[:12]))
    events = [
        {
            "type": "click",
            "event_id": f"{n}-{item}",
            "user_id": f"u{n}",
            "ts": 1_000_000 * n + at,
            "item_id": item,
        }
        for n, pair in enumerate(pairs)
        for at, item in enumerate(pair)
    ]
    (tmp_path / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, command: str) -> str:
    """Output of the command; its error, if any, is raised."""
    arguments = command.split()
    monkeypatch.setattr(sys, "argv", ["headrace", *arguments])
    result = CliRunner().invoke(build_cli(), arguments)
    if isinstance(result.exception, Exception) and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def without_times(report: Any) -> Any:
    """A report without wall times."""
    if isinstance(report, dict):
        return {
            name: without_times(value)
            for name, value in report.items()
            if name not in {"seconds", "learn_seconds", "ms"}
        }
    return [without_times(value) for value in report] if isinstance(report, list) else report


SESSIONS = (
    "evaluate sessions --train train.jsonl --test test.jsonl --models item_to_item,popularity "
    "--report out.json"
)


def test_sessions_prints_a_table_and_writes_report_and_plot(
    data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = run(monkeypatch, f"{SESSIONS} --plot out.png --cutoffs 1,20")
    report = json.loads((data_folder / "out.json").read_bytes())
    for mode in ("frozen", "prequential"):
        systems = report[mode]["systems"]
        assert [*systems] == ["item_to_item", "popularity", "fused"]
        assert systems["item_to_item"]["hr"] == {"1": 1.0, "20": 1.0}
        assert report[mode]["predictions"] == report["predictions"] == 12
        for name in systems:
            assert re.search(rf"^{mode} +{name} +\d\.\d{{4}} ", output, re.MULTILINE), output
    assert (data_folder / "out.png").read_bytes().startswith(PNG)
    run_description = report["run"]
    assert run_description["command"] == f"headrace {SESSIONS} --plot out.png --cutoffs 1,20"
    assert run_description["files"] == [
        {"path": name, "bytes": (data_folder / name).stat().st_size} for name in ("train.jsonl", "test.jsonl")
    ]
    assert run_description["models"]["item_to_item"]["similarity"] == "cosine"
    assert {"python", "numpy", "headrace"} <= {*run_description["versions"]}
    assert (report["train_sessions"], report["train_clicks"], report["catalog_size"]) == (60, 120, 12)


def test_two_runs_are_identical_except_for_timings(
    data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports = []
    for _ in range(2):
        run(monkeypatch, SESSIONS)
        reports.append(without_times(json.loads((data_folder / "out.json").read_bytes())))
    assert reports[0] == reports[1]


def test_validation_tail_replaces_a_test_file(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = "evaluate sessions --train train.jsonl --models popularity --report out.json"
    run(monkeypatch, f"{command} --validation-tail 20 --train-limit 30 --limit 5")
    report = json.loads((data_folder / "out.json").read_bytes())
    assert (report["train_sessions"], report["test_sessions"]) == (30, 5)
    assert [file["path"] for file in report["run"]["files"]] == ["train.jsonl"]


def test_events_prints_a_table_and_writes_report_and_plot(
    data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = "evaluate events --events events.jsonl --k 5 --each-model --report out.json --plot out.png"
    output = run(monkeypatch, f"{command} --models popularity,item_to_item")
    report = json.loads((data_folder / "out.json").read_bytes())
    assert report["k"] == 5
    assert report["results"]["events"] == {"accepted": 120}
    all_lists = report["results"]["splits"]["all"]
    assert (all_lists["lists"], all_lists["users"]) == (120, 60)
    interval = all_lists["systems"]["fused"]["hit_rate"]
    assert interval["low"] < interval["mean"] < interval["high"]
    assert "cold users (60)" in output
    assert re.search(r"difference +[+-]\d\.\d{4} ±\d\.\d{4}", output)
    assert re.search(r"^fused +\d\.\d{4} +\d\.\d{4} +1\.0000 +\d\.\d{4}$", output, re.MULTILINE), output
    assert report["results"]["exposure"]["fused"]["coverage"] > 0.5
    assert (data_folder / "out.png").read_bytes().startswith(PNG)


def test_unavailable_learned_fusion_is_reported_with_its_fallback(
    data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages_by_fusion = {}
    for models in ("popularity", "popularity,session_knn"):
        arguments = f"evaluate events --events events.jsonl --models {models} --report out.json".split()
        monkeypatch.setattr(sys, "argv", ["headrace", *arguments])
        result = CliRunner().invoke(build_cli(), arguments)
        report = json.loads((data_folder / "out.json").read_bytes())
        assert report["run"]["settings"]["fusion"] == "learned"
        messages_by_fusion[report["run"]["fusion"]] = re.findall(
            r"needs one of .*session_knn.*\(rrf\) instead", result.stderr
        )
    assert [*messages_by_fusion] == ["rrf", "learned"]
    assert len(messages_by_fusion["rrf"]) == 1
    assert not messages_by_fusion["learned"]


def test_rerank_prints_a_table_and_writes_report_and_plot(
    data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choices = [
        {
            "type": "purchase",
            "event_id": str(n),
            "user_id": f"u{n % 7}",
            "ts": 1_000_000 * n,
            "order_id": str(n),
            "items": [{"item_id": "b"}],
            "shown": ["a", "b", "c"],
            "shown_prices": [30, 10, 20],
        }
        for n in range(30)
    ]
    (data_folder / "lists.jsonl").write_text("".join(json.dumps(choice) + "\n" for choice in choices))
    command = "evaluate rerank --events lists.jsonl --report out.json --plot out.png"
    output = run(monkeypatch, command)
    report = json.loads((data_folder / "out.json").read_bytes())
    assert report["run"]["command"] == f"headrace {command}"
    results = report["results"]
    assert (results["events"], results["unlisted_choices"], results["mean_list_length"]) == (
        {"accepted": 30},
        0,
        3.0,
    )
    all_lists = results["splits"]["all"]
    assert (all_lists["lists"], all_lists["users"]) == (30, 7)
    assert all_lists["systems"]["displayed"]["mrr"]["mean"] == 0.5
    assert all_lists["systems"]["learned"]["mrr"]["mean"] > 0.8
    assert "last of its session (30)" in output
    assert re.search(r"^ +learned +0\.[89]\d+ ±\d\.\d{4} ", output, re.MULTILINE), output
    assert re.search(r"gain +\+0\.\d{4} ±", output)
    assert (data_folder / "out.png").read_bytes().startswith(PNG)


def test_tuning_prints_best_and_default_parameters(
    data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = "--validation-tail 12 --trials 3 --metric hr@5 --report out.json"
    command = f"tune --model popularity --train train.jsonl {options}"
    output = run(monkeypatch, command)
    report = json.loads((data_folder / "out.json").read_bytes())
    assert re.search(r"default +best", output)
    assert re.search(r"^half_life +\S+ +\S+", output, re.MULTILINE)
    assert output.rstrip().endswith(f"headrace {command}")
    assert report["run"]["command"] == f"headrace {command}"
    assert len(report["result"]["trials"]) == 3
    assert (report["train_sessions"], report["validation_sessions"]) == (48, 12)
    assert report["setting"].startswith('HEADRACE_MODEL_PARAMETERS=\'{"popularity": {"half_life": ')
    shipped_is_best = report["result"]["best"] == report["result"]["defaults"]
    assert (report["setting"] in output) != shipped_is_best
    assert ("Nothing was better" in output) == shipped_is_best


def test_printed_tuning_setting_works_in_the_environment(
    data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # a user who continues to b has viewed a before, and never returns to it
    options = "--validation-tail 12 --trials 6 --metric mrr@5 --report out.json"
    output = run(monkeypatch, f"tune --model session_knn --train train.jsonl {options}")
    [line] = [line for line in output.splitlines() if line.startswith("HEADRACE_MODEL_PARAMETERS=")]
    name, _, value = shlex.split(line)[0].partition("=")
    monkeypatch.setenv(name, value)
    run(
        monkeypatch,
        "evaluate sessions --train train.jsonl --test test.jsonl --models session_knn --report out2.json",
    )
    best = json.loads((data_folder / "out.json").read_bytes())["result"]["best"]
    parameters = json.loads((data_folder / "out2.json").read_bytes())["run"]["models"]["session_knn"]
    assert best["parameters"].items() <= parameters.items()
    assert best["mrr"]["mean"] == 1.0


def test_the_session_store_is_tuned_for_the_fused_lists(
    data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADRACE_MODELS", '["popularity", "two_hop"]')
    output = run(
        monkeypatch,
        "tune --model session_store --train train.jsonl --validation-tail 12 --trials 1 --report out.json",
    )
    report = json.loads((data_folder / "out.json").read_bytes())
    assert re.search(r"^postings +150 ", output, re.MULTILINE)
    assert {*report["result"]["best"]["parameters"]} >= {"postings", "neighbors", "bridges"}
    assert report["run"]["fusion"] == "learned"
    assert '"two_hop": {"postings"' in report["setting"]


def test_the_fusion_is_tuned_for_the_fused_lists(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_MODELS", '["popularity", "two_hop"]')
    monkeypatch.setenv("HEADRACE_MODEL_PARAMETERS", '{"fusion": {"learning_rate": 0.1}}')
    output = run(
        monkeypatch,
        "tune --model fusion --train train.jsonl --validation-tail 12 --trials 1 --report out.json",
    )
    report = json.loads((data_folder / "out.json").read_bytes())
    assert re.search(r"^learning_rate +0\.1 ", output, re.MULTILINE)
    assert {*report["result"]["best"]["parameters"]} == {
        "hidden",
        "learning_rate",
        "output_learning_rate",
        "decay",
        "batch_size",
    }
    assert '{"fusion": {' in report["setting"]


@pytest.mark.parametrize(
    ("parameters_json", "message"),
    [
        ('{"fusion": {"rates": 1}}', "fusion has no 'rates'; it has hidden, learning_rate, "),
        (
            '{"fusion": {"batch_size": 0}}',
            r"batch_size of fusion is a whole number from 1 on \(by default 4\), not 0",
        ),
        ('{"fusion": {"learning_rate": "fast"}}', "learning_rate of fusion is a number from"),
    ],
)
def test_invalid_fusion_parameters_are_rejected(
    data_folder: Path, monkeypatch: pytest.MonkeyPatch, parameters_json: str, message: str
) -> None:
    assert data_folder.is_dir()
    monkeypatch.setenv("HEADRACE_MODEL_PARAMETERS", parameters_json)
    with pytest.raises(UserError, match=message):
        make_models(load_settings().ranking_config)


def test_tuning_runs_on_an_event_log(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(
        monkeypatch,
        "tune --model item_to_item --events events.jsonl --validation-tail 20 --trials 1 --report out.json",
    )
    report = json.loads((data_folder / "out.json").read_bytes())
    assert (report["train_sessions"], report["validation_sessions"]) == (100, 20)
    assert report["result"]["predictions"] == 20


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("evaluate sessions --train absent.jsonl --test test.jsonl --report o", r"no file absent\.jsonl"),
        (
            f"{SESSIONS} --models popularty",
            r"--models: there is no model 'popularty'; there are popularity, ",
        ),
        (f"{SESSIONS} --cutoffs 20,5", r"--cutoffs takes ascending list lengths"),
        (
            f"{SESSIONS} --report no/such/folder/out.json",
            r"--report no/such/folder/out\.json cannot be written",
        ),
        (f"{SESSIONS} --plot .", r"--plot \. is a folder"),
        (f"{SESSIONS} --min-prefix 9", r"nothing to predict"),
        (
            "evaluate sessions --train train.jsonl --validation-tail 60 --report o",
            r"leaves nothing to learn from",
        ),
        ("evaluate sessions --train events.jsonl --test test.jsonl --report o", r"events\.jsonl:1: "),
        ("evaluate events --events absent.jsonl --report o", r"no file absent\.jsonl"),
        ("evaluate events --events events.jsonl --format xml --report o", r"no log format 'xml'"),
        (
            "evaluate rerank --events events.jsonl --report o",
            r"no purchase with the displayed items in `shown`",
        ),
        ("evaluate rerank --events absent.jsonl --report o", r"no file absent\.jsonl"),
        ("tune --model nope --train train.jsonl --report o", r"no model 'nope'; there are"),
        ("tune --model search --train train.jsonl --report o", r"nothing that search learns from.* --events"),
        ("tune --model session_store --events events.jsonl --report o", r"tuned on sessions"),
        ("tune --model popularity --report o", r"either sessions with --train or a log with --events"),
        (
            "tune --model popularity --train train.jsonl --events events.jsonl --report o",
            r"either sessions with --train or a log with --events",
        ),
        ("tune --model content --events events.jsonl --validation-tail 20 --report o", r"listed no item"),
        ("tune --model popularity --train train.jsonl --report o", r"--validation-tail 4000 leaves nothing"),
    ],
)
def test_user_errors_are_one_sentence(
    data_folder: Path, monkeypatch: pytest.MonkeyPatch, command: str, message: str
) -> None:
    with pytest.raises(UserError, match=message) as error:
        run(monkeypatch, command)
    assert str(error.value).endswith(".")
    assert "\n" not in str(error.value)
    assert not (data_folder / "o").exists()


def test_missing_matplotlib_error_names_the_extra_to_install(
    data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream_app.tools.evaluation.plots.find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"pip install 'headrace\[evaluate\]'"):
        run(monkeypatch, f"{SESSIONS} --plot out.png")
    assert not (data_folder / "out.json").exists()

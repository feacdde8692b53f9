"""`headrace evaluate --neural`: a two-tower model is trained along the log, and measured alone and fused."""

import json
from pathlib import Path

import pytest

from tests.support.trained_shop import N_ITEMS, ring_items
from tests.unit.tools.commands.test_evaluate_and_tune import run

N_SESSIONS = 500


@pytest.fixture
def rings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Sessions and events of a shop whose items follow each other in a ring."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEADRACE_MODELS", '["popularity", "session_knn"]')
    sessions = [ring_items(37 * number % N_ITEMS, 6) for number in range(N_SESSIONS)]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(items) + "\n" for items in sessions))
    events = [
        {
            "type": "click",
            "event_id": f"{number}-{at}",
            "user_id": f"u{number}",
            "ts": 1_000 * (3_600 * number + 40 * at),
            "item_id": item,
        }
        for number, items in enumerate(sessions)
        for at, item in enumerate(items)
    ]
    (tmp_path / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    return tmp_path


def test_the_model_of_a_short_file_of_sessions_is_measured_frozen_and_learning(
    rings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(
        monkeypatch,
        "evaluate sessions --train train.jsonl --validation-tail 60 --neural --report out.json --cutoffs 3",
    )
    report = json.loads((rings / "out.json").read_bytes())
    for mode in ("frozen", "prequential"):
        systems = report[mode]["systems"]
        assert systems["two_tower"]["hr"]["3"] > 3 * systems["popularity"]["hr"]["3"]
        assert systems["fused"]["hr"]["3"] >= systems["popularity"]["hr"]["3"]


def test_the_model_of_a_very_short_file_has_the_weights_of_all_of_train(
    rings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Fewer clicks than before the first version of the weights, and fewer in the test than between two.
    output = run(
        monkeypatch,
        "evaluate sessions --train train.jsonl --train-limit 70 --validation-tail 10 --neural --report out.json "
        "--cutoffs 3",
    )
    report = json.loads((rings / "out.json").read_bytes())
    frozen = report["frozen"]["systems"]["two_tower"]["hr"]
    assert frozen["3"] > 0.0
    assert report["prequential"]["systems"]["two_tower"]["hr"] == frozen
    assert "had no new weights during the test" in output


def test_a_log_of_which_nothing_is_learned_is_one_sentence(
    rings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (rings / "ones.jsonl").write_text("[1]\n" * 50 + "[1, 2]\n")
    output = run(
        monkeypatch, "evaluate sessions --train ones.jsonl --validation-tail 1 --neural --report out.json"
    )
    assert "The two-tower model was not used" in output
    output = run(
        monkeypatch,
        "evaluate events --events events.jsonl --format jsonl --share 0.1 --neural --report out.json",
    )
    assert "The two-tower model was not used" in output


def test_the_model_of_a_short_log_of_events_is_measured_alone(
    rings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(
        monkeypatch,
        "evaluate events --events events.jsonl --format jsonl --neural --each-model --report out.json --k 3",
    )
    systems = json.loads((rings / "out.json").read_bytes())["results"]["splits"]["all"]["systems"]
    assert systems["two_tower"]["hit_rate"]["mean"] > 2 * systems["popularity"]["hit_rate"]["mean"]


def test_the_model_may_be_named_instead_of_asked_for(rings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = "evaluate events --events events.jsonl --format jsonl --share 0.4 --each-model --k 3 --report"
    reports = {}
    for name, options in {
        "asked": "--neural",
        "named": "--models popularity,session_knn,two_tower",
        "both": "--models popularity,session_knn,two_tower --neural",
    }.items():
        run(monkeypatch, f"{base} {name}.json {options}")
        results = json.loads((rings / f"{name}.json").read_bytes())["results"]["splits"]["all"]["systems"]
        reports[name] = {system: metrics["hit_rate"]["mean"] for system, metrics in results.items()}
    assert reports["asked"]["two_tower"] > 0.0
    assert reports["named"] == reports["both"] == reports["asked"]


def test_the_setting_of_the_workers_trains_the_model_too(
    rings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADRACE_NEURAL", "true")
    run(
        monkeypatch,
        "evaluate sessions --train train.jsonl --validation-tail 40 --report out.json --cutoffs 3",
    )
    report = json.loads((rings / "out.json").read_bytes())
    assert report["frozen"]["systems"]["two_tower"]["hr"]["3"] > 0.0


def test_the_worth_of_the_model_as_a_source_is_measured(rings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(
        monkeypatch,
        "evaluate sources --train train.jsonl --validation-tail 60 --models popularity,session_knn,two_tower "
        "--report out.json --k 3",
    )
    results = json.loads((rings / "out.json").read_bytes())["results"]
    assert "two_tower" in results["without"]
    n_measured = results["gains"]["two_tower"][4]
    assert n_measured > 0  # a model without weights is not measured

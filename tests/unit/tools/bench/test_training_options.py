"""The table of the training's options: a row for each, and refusals before anything is trained."""

import gzip
import json
from pathlib import Path

import pytest

from stream_app.errors import UserError
from stream_app.tools.bench.training_options import ARMS, OptionsBench, main, parse_arms

pytest.importorskip("jax", reason="the two-tower model needs JAX: pip install 'headrace[neural]'")

SMALL = {"n_factors": 16, "hidden": 16, "rows": 16, "negatives": 64, "new_interactions": 32}


@pytest.fixture
def sessions(tmp_path: Path) -> Path:
    """Sessions along a ring of 40 items."""
    path = tmp_path / "ring.jsonl.gz"
    lines = [json.dumps([(7 * n + at) % 40 for at in range(5)]) for n in range(700)]
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    return path


def test_each_option_is_a_row(
    sessions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = []
    of_classifier = OptionsBench.discriminations

    def small(self: OptionsBench, training: object) -> object:
        measured.append(training)
        return of_classifier(self, training)

    monkeypatch.setattr(OptionsBench, "discriminations", small)
    report = tmp_path / "options.json"
    rows = [json.dumps(SMALL), json.dumps({**SMALL, "young_steps": 1, "young": 320})]
    main(sessions, rows, train_limit=600, validation_tail=100, sessions_per_day=4_000.0, report=report)
    found = json.loads(report.read_text())
    assert (found["train_sessions"], found["choices"]) == (600, 400)
    first, young = found["arms"]
    assert young["steps"] == first["steps"] + 10
    assert first["hit_rate"] > 0.8  # by chance .5
    assert 0 < first["mrr"] <= first["hit_rate"]
    assert not measured, "generated sessions are of the default alone"
    assert "young_steps" in capsys.readouterr().out


def test_a_classifier_tells_random_sessions_best(sessions: Path) -> None:
    from stream_app.tools.evaluation.session_files import SessionClock, read_sessions

    clock = SessionClock(4_000.0)
    bench = OptionsBench([clock.timed_session(each) for each in read_sessions(sessions)], [], seed=7)
    training, _ = bench.trained(SMALL)
    *generated, random = bench.discriminations(training)
    assert random.sessions == "random items"
    assert random.auc > 0.9
    assert min(each.auc for each in generated) < random.auc


def test_the_rows_of_the_document_are_valid() -> None:
    OptionsBench([], [], seed=7).check(ARMS)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("encoder=gru", "--options is a JSON object such as"),
        ('["gru"]', "--options is a JSON object such as"),
        ('{"encoders": "gru"}', "there is no option 'encoders'"),
    ],
)
def test_what_is_no_option_is_refused_at_once(
    sessions: Path, tmp_path: Path, option: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        main(sessions, [option], validation_tail=100, report=tmp_path / "options.json")


def test_options_are_read_as_json() -> None:
    assert parse_arms(['{"generated": 0.1}', "{}"]) == [{"generated": 0.1}, {}]

"""The table of the training's options: a row for each, and refusals before anything is trained."""

import gzip
import json
from pathlib import Path

import pytest

from stream_app.errors import UserError
from stream_app.tools.bench.option_logs import OptionLog, read_event_log, read_session_log, tail_choices
from stream_app.tools.bench.training_options import (
    ARMS,
    SEGMENT_ARMS,
    OptionsBench,
    main,
    parse_arms,
    parse_seeds,
)

pytest.importorskip("jax", reason="the two-tower model needs JAX: pip install 'headrace[neural]'")

SMALL = {"n_factors": 16, "hidden": 16, "rows": 16, "negatives": 64, "new_interactions": 32}


def write_sessions(path: Path, sessions: list[list[int]]) -> Path:
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, sessions)).encode()))
    return path


def ring(n: int, n_items: int = 40) -> list[list[int]]:
    return [[(7 * each + at) % n_items for at in range(5)] for each in range(n)]


@pytest.fixture
def sessions(tmp_path: Path) -> Path:
    """Sessions along a ring of 40 items, and one of two items that are nowhere else, learned twice."""
    rare = [[90, 91]]
    return write_sessions(tmp_path / "ring.jsonl.gz", ring(300) + rare + ring(300) + rare + ring(99) + rare)


@pytest.fixture
def countries(tmp_path: Path) -> Path:
    """Clicks of users from two countries, one of them with few users; each user clicks four items."""
    path = tmp_path / "clicks.jsonl"
    lines = [
        json.dumps(
            {
                "type": "click",
                "event_id": f"{user}-{at}",
                "user_id": f"user {user}",
                "ts": 1_790_000_000_000 + 600_000 * user + 1_000 * at,
                "item_id": f"item {(7 * user + at) % 40}",
                "context": {"country": "DE" if user % 5 == 0 else "FR"},
            }
        )
        for user in range(250)
        for at in range(4)
    ]
    path.write_text("\n".join(lines))
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
    main(sessions, rows, train_limit=602, validation_tail=100, report=report, seeds="7,8")
    found = json.loads(report.read_text())
    assert (found["train_interactions"], found["seeds"]) == (3_004, [7, 8])
    first, young = found["arms"]
    assert young["steps"] == first["steps"] + 10
    all_, rare = first["parts"]["all"], first["parts"]["rare items"]
    assert (all_["choices"], rare["choices"]) == (397, 1)
    assert all_["hit_rate"] > 0.8  # by chance .5
    assert 0 < all_["mrr"] <= all_["hit_rate"]
    assert (all_["difference"], all_["half_interval"]) == (0.0, 0.0)
    assert young["parts"]["all"]["difference"] == pytest.approx(
        young["parts"]["all"]["hit_rate"] - all_["hit_rate"]
    )
    assert not measured, "generated sessions are of the default alone"
    printed = capsys.readouterr().out
    assert "young_steps" in printed
    assert "rare items (1)" in printed


def test_choices_of_rare_items_have_few_interactions_in_train() -> None:
    log = read_log_of(ring(40) + [[90, 91]] * 5 + [[80, 81]] * 6, [[1, 90, 91], [2, 81], [3, 77]])
    found = {each.choice[3]: each.is_rare for each in tail_choices(log, lambda *parts: parts)}
    # 77 has no vector: it is no rare item but an unknown one
    assert found == {"90": True, "91": True, "81": False, "77": False}


def read_log_of(train: list[list[int]], tail: list[list[int]]) -> OptionLog:
    from stream_app.tools.evaluation.session_files import SessionClock

    clock = SessionClock(4_000.0)
    train_part, tail_part = (
        [
            each
            for session in part
            for each in clock.timed_session([str(item) for item in session]).interactions()
        ]
        for part in (train, tail)
    )
    return OptionLog("log", train_part, tail_part)


def test_an_event_log_has_rows_for_segments(countries: Path, tmp_path: Path) -> None:
    report = tmp_path / "options.json"
    rows = [json.dumps({**SMALL, **each}) for each in ({}, {"generated": 0.3, "generated_for": "segments"})]
    main(
        countries,
        rows,
        log_format="jsonl",
        train_limit=800,
        validation_tail=100,
        segment_slots=32,
        report=report,
    )
    default, generated = json.loads(report.read_text())["arms"]
    parts = {name: part["choices"] for name, part in default["parts"].items()}
    # no choice is the first interaction of its user; one user in five is from the rarer country
    assert parts == {"all": 75, "rare segments": 15}
    assert generated["parts"].keys() == default["parts"].keys()


def test_choices_of_a_user_begin_with_what_was_learned(countries: Path) -> None:
    log = read_event_log(countries, "jsonl", share=0.5, tail=3, limit=100)
    assert (len(log.train), len(log.tail)) == (100, 3)
    assert log.has_segments
    first, *_ = tail_choices(log, lambda *parts: parts)
    ids, _, _, chosen, _, segments = first.choice
    assert (list(ids), chosen) == (["item 28"], "item 29")
    assert segments == ("country:FR",)


def test_a_classifier_tells_random_sessions_best(sessions: Path) -> None:
    bench = OptionsBench(read_session_log(sessions, 100, 600, 4_000.0), [7])
    training = bench.trained(SMALL, 7)
    *generated, random = bench.discriminations(training)
    assert random.sessions == "random items"
    assert random.auc > 0.9
    assert min(each.auc for each in generated) < random.auc


def test_the_rows_of_the_document_are_valid(sessions: Path, countries: Path) -> None:
    OptionsBench(read_session_log(sessions, 100, 600, 4_000.0), [7]).check(ARMS)
    OptionsBench(read_event_log(countries, "jsonl", 1.0, 100, 800), [7], 32).check([*ARMS, *SEGMENT_ARMS])


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("encoder=gru", "--options is a JSON object such as"),
        ('["gru"]', "--options is a JSON object such as"),
        ('{"encoders": "gru"}', "there is no option 'encoders'"),
        ('{"generated": 0.1, "generated_for": "segments"}', "give --segment-slots 64, and an event log"),
    ],
)
def test_what_is_no_option_is_refused_at_once(
    sessions: Path, tmp_path: Path, option: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        main(sessions, [option], validation_tail=100, report=tmp_path / "options.json")


@pytest.mark.parametrize(
    ("train", "tail", "message"),
    [
        (ring(100), [[1]] * 10, "no user with two interactions in its newest part"),
        ([[1]] * 100, [[1, 2]] * 10, "no user with two interactions to learn from"),
        (ring(2), [[1, 2]] * 10, "or fewer than 32 interactions"),
    ],
)
def test_a_log_without_choices_is_one_sentence(
    tmp_path: Path, train: list[list[int]], tail: list[list[int]], message: str
) -> None:
    path = write_sessions(tmp_path / "short.jsonl.gz", train + tail)
    with pytest.raises(UserError, match=message):
        main(path, [json.dumps(SMALL)], validation_tail=len(tail), report=tmp_path / "options.json")


def test_segments_that_a_log_does_not_have_are_refused(sessions: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no country and no channel"):
        main(sessions, ["{}"], validation_tail=100, segment_slots=8, report=tmp_path / "options.json")


def test_options_are_read_as_json() -> None:
    assert parse_arms(['{"generated": 0.1}', "{}"]) == [{"generated": 0.1}, {}]


def test_seeds_that_are_none_are_one_sentence() -> None:
    with pytest.raises(
        UserError, match=r"--seeds has whole numbers between commas, such as 7,8,9, not '7;8'\."
    ):
        parse_seeds("7;8")

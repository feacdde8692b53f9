"""Next-click figures in shops so small that the right answer is known."""

from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest

from stream_app.models.model_set import ModelSet
from stream_app.ranking.assembly import make_models, make_ranker
from stream_app.ranking.ranker import Ranker
from stream_app.settings import Settings
from stream_app.tools.evaluation.session_files import SessionClock, Visit, read_sessions
from stream_app.tools.evaluation.sessions import FUSED, Mode, ModeFigures, SessionsEvaluation

PAIRS = [[f"a{n}", f"b{n}"] for n in range(6)]
"""After each a comes its own b."""


def small(*names: str) -> Ranker:
    return Ranker(ModelSet(names), per_source=100, length=20)


def visits(clock: SessionClock, sessions: Sequence[Sequence[str]]) -> list[Visit]:
    return [clock.visit(list(each)) for each in sessions]


def learned(ranker: Ranker, train: Sequence[Sequence[str]], **options: Any) -> Any:
    evaluation = SessionsEvaluation(ranker.models, ranker, **options)
    clock = SessionClock(1000)
    evaluation.learn(visits(clock, train))
    return SimpleNamespace(evaluation=evaluation, clock=clock, models=ranker.models)


def without_times(figures: ModeFigures) -> Any:
    plain = msgspec.to_builtins(figures)
    del plain["seconds"]
    for each in plain["systems"].values():
        del each["ms"]
    return plain


def test_where_the_next_item_is_determined_every_prediction_hits() -> None:
    run = learned(small("popularity", "item_to_item"), PAIRS * 3, cutoffs=(1, 20))
    figures = run.evaluation.evaluate(visits(run.clock, PAIRS), Mode.FROZEN)
    assert figures.predictions == 6
    for name in ("item_to_item", FUSED):
        assert figures.systems[name].hr == {1: 1.0, 20: 1.0}
        assert figures.systems[name].mrr == {1: 1.0, 20: 1.0}
    # all twelve items are as popular: each b has another place on the one list there is
    popularity = figures.systems["popularity"]
    assert popularity.hr[20] == 1.0
    assert popularity.mrr[20] < 0.5


def test_popularity_is_right_as_often_as_counting_says() -> None:
    run = learned(small("popularity"), [["x", "x", "x"], ["y", "y"], ["z"]], cutoffs=(1, 2), min_prefix=1)
    test = visits(run.clock, [["z", "x"], ["z", "y", "y"], ["x", "z"]])
    figures = run.evaluation.evaluate(test, Mode.FROZEN).systems["popularity"]
    # the list is x, y, z throughout; chosen are x, y, y, z
    assert figures.hr == {1: 0.25, 2: 0.75}
    assert figures.mrr == {1: 0.25, 2: pytest.approx((1 + 1 / 2 + 1 / 2) / 4)}
    assert figures.coverage == pytest.approx(2 / 3, abs=1e-6)
    assert figures.mean_popularity == pytest.approx((1 + 2 / 3) / 2, abs=1e-6)
    assert figures.listed == 2
    assert [(each.clicks, each.predictions, each.hr) for each in figures.by_prefix] == [
        (1, 3, pytest.approx(2 / 3, abs=1e-6)),
        (2, 1, 1.0),
    ]


def test_items_already_in_the_session_count() -> None:
    run = learned(small("popularity"), [["x", "y"]], cutoffs=(2,))
    figures = run.evaluation.evaluate(visits(run.clock, [["x", "x"]]), Mode.FROZEN)
    assert figures.systems["popularity"].hr[2] == 1.0


def test_so_many_clicks_are_given_before_the_first_prediction() -> None:
    run = learned(small("popularity"), PAIRS, min_prefix=2)
    test = visits(run.clock, [["a0", "b0", "a1", "b1"], ["a0", "b0"], ["a0"]])
    figures = run.evaluation.evaluate(test, Mode.FROZEN)
    assert figures.predictions == 2
    assert [each.clicks for each in figures.systems["popularity"].by_prefix] == [2, 3]


def test_frozen_an_unknown_item_is_a_miss_and_an_unknown_prefix_no_failure() -> None:
    run = learned(small("popularity", "item_to_item", "session_knn"), PAIRS)
    test = visits(run.clock, [["never", "seen"], ["never", "a0"], ["a0", "seen"]])
    figures = run.evaluation.evaluate(test, Mode.FROZEN)
    assert figures.systems["item_to_item"].hr[20] == 0.0
    assert figures.systems["popularity"].hr[20] == pytest.approx(1 / 3, abs=1e-6)


def test_learning_on_is_what_prequential_adds() -> None:
    run = learned(small("item_to_item"), PAIRS, cutoffs=(1,))
    test = visits(run.clock, [["new", "newer"]] * 10)
    assert run.evaluation.evaluate(test, Mode.FROZEN).systems[FUSED].hr[1] == 0.0
    # the first of the ten comes as a surprise
    assert run.evaluation.evaluate(test, Mode.PREQUENTIAL).systems[FUSED].hr[1] == 0.9
    assert run.evaluation.evaluate(test, Mode.FROZEN).systems[FUSED].hr[1] == 1.0


def test_a_session_is_learned_only_after_its_last_prediction() -> None:
    run = learned(small("item_to_item"), PAIRS, cutoffs=(20,))
    # b follows a twice in the session: were the first pair learned by then, the second would be known
    test = visits(run.clock, [["new", "newer", "new", "newer"]])
    figures = run.evaluation.evaluate(test, Mode.PREQUENTIAL)
    assert figures.systems["item_to_item"].hr[20] == 0.0


def everything() -> Ranker:
    settings = Settings()
    return make_ranker(make_models(settings), settings, 20)


def many(length: int, seed: int) -> list[list[str]]:
    rng = np.random.default_rng(seed)
    starts, sizes = rng.integers(40, size=length), rng.integers(2, 6, size=length)
    return [
        [f"i{(start + step) % 40}" for step in range(size)] for start, size in zip(starts, sizes, strict=True)
    ]


def test_a_frozen_pass_changes_nothing_whatever_learns() -> None:
    run = learned(everything(), many(400, seed=1))
    before = run.models.state()
    digest = run.models.digest()
    figures = run.evaluation.evaluate(visits(run.clock, many(60, seed=2)), Mode.FROZEN)
    assert figures.systems[FUSED].hr[20] > 0.5
    np.testing.assert_equal(run.models.state(), before)
    assert run.models.digest() == digest


def test_the_prequential_pass_is_the_same_with_and_without_a_frozen_one_before() -> None:
    figures = []
    for modes in ((Mode.FROZEN, Mode.PREQUENTIAL), (Mode.PREQUENTIAL,)):
        run = learned(everything(), many(300, seed=1))
        test = visits(run.clock, many(60, seed=2))
        figures.append([run.evaluation.evaluate(test, mode) for mode in modes][-1])
    assert without_times(figures[0]) == without_times(figures[1])


def test_each_prediction_is_timed() -> None:
    run = learned(small("popularity"), PAIRS)
    ms = run.evaluation.evaluate(visits(run.clock, PAIRS), Mode.FROZEN).systems[FUSED].ms
    assert 0 < ms.p50 <= ms.p99
    assert 0 < ms.mean < 1_000


def test_progress_is_told_of_every_session() -> None:
    told: dict[str, list[int]] = {}

    @contextmanager
    def watch(title: str, total: int) -> Any:
        assert total == 6
        yield told.setdefault(title, []).append

    run = learned(small("popularity"), PAIRS, watch=watch)
    run.evaluation.evaluate(visits(run.clock, PAIRS), Mode.FROZEN)
    assert list(told.values()) == [[1, 2, 3, 4, 5, 6]] * 2


def test_on_diginetica_session_neighbours_beat_popularity(data_dir: Path) -> None:
    path = data_dir / "diginetica" / "train_sessions.jsonl.gz"
    if not path.is_file():
        pytest.skip(f"no sessions at {path}; set HEADRACE_DATA to the folder that holds them")
    sessions = read_sessions(path, limit=2_000)
    run = learned(small("popularity", "session_knn"), sessions[:1_800])
    figures = run.evaluation.evaluate(visits(run.clock, sessions[1_800:]), Mode.FROZEN)
    assert figures.predictions == sum(len(session) - 1 for session in sessions[1_800:])
    assert figures.systems["session_knn"].mrr[20] > 3 * figures.systems["popularity"].mrr[20]

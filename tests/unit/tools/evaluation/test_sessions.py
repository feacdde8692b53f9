"""Next-click metrics in shops small enough for hand counts."""

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
from stream_app.tools.evaluation.session_files import SessionClock, TimedSession, read_sessions
from stream_app.tools.evaluation.sessions import FUSED, Mode, ModeResults, SessionsEvaluation

PAIRS = [[f"a{n}", f"b{n}"] for n in range(6)]
"""Each item a is followed by its own b."""


def small_ranker(*names: str) -> Ranker:
    return Ranker(ModelSet(names), per_source=100, length=20)


def timed_sessions(clock: SessionClock, sessions: Sequence[Sequence[str]]) -> list[TimedSession]:
    return [clock.timed_session(list(session)) for session in sessions]


def trained(ranker: Ranker, train: Sequence[Sequence[str]], **options: Any) -> Any:
    evaluation = SessionsEvaluation(ranker.models, ranker, **options)
    clock = SessionClock(1000)
    evaluation.learn(timed_sessions(clock, train))
    return SimpleNamespace(evaluation=evaluation, clock=clock, models=ranker.models)


def without_times(results: ModeResults) -> Any:
    plain = msgspec.to_builtins(results)
    del plain["seconds"]
    for metrics in plain["systems"].values():
        del metrics["ms"]
    return plain


def test_deterministic_next_items_are_always_hit() -> None:
    run = trained(small_ranker("popularity", "item_to_item"), PAIRS * 3, cutoffs=(1, 20))
    results = run.evaluation.evaluate(timed_sessions(run.clock, PAIRS), Mode.FROZEN)
    assert results.predictions == 6
    for name in ("item_to_item", FUSED):
        assert results.systems[name].hr == {1: 1.0, 20: 1.0}
        assert results.systems[name].mrr == {1: 1.0, 20: 1.0}
    # all twelve items are equally popular: every b has its own rank on the only list
    popularity = results.systems["popularity"]
    assert popularity.hr[20] == 1.0
    assert popularity.mrr[20] < 0.5


def test_popularity_metrics_match_a_hand_count() -> None:
    run = trained(
        small_ranker("popularity"), [["x"], ["x"], ["x"], ["y"], ["y"], ["z"]], cutoffs=(1, 2), min_prefix=1
    )
    test = timed_sessions(run.clock, [["z", "x"], ["z", "y", "y"], ["x", "z"]])
    results = run.evaluation.evaluate(test, Mode.FROZEN).systems["popularity"]
    # the list is x, y, z throughout; chosen are x, y, y, z
    assert results.hr == {1: 0.25, 2: 0.75}
    assert results.mrr == {1: 0.25, 2: pytest.approx((1 + 1 / 2 + 1 / 2) / 4)}
    assert results.coverage == pytest.approx(2 / 3, abs=1e-6)
    assert results.mean_popularity == pytest.approx((1 + 2 / 3) / 2, abs=1e-6)
    assert results.mean_list_length == 2
    assert [(prefix.clicks, prefix.predictions, prefix.hr) for prefix in results.by_prefix] == [
        (1, 3, pytest.approx(2 / 3, abs=1e-6)),
        (2, 1, 1.0),
    ]


def test_items_already_in_the_session_are_candidates() -> None:
    run = trained(small_ranker("popularity"), [["x", "y"]], cutoffs=(2,))
    results = run.evaluation.evaluate(timed_sessions(run.clock, [["x", "x"]]), Mode.FROZEN)
    assert results.systems["popularity"].hr[2] == 1.0


def test_min_prefix_clicks_precede_the_first_prediction() -> None:
    run = trained(small_ranker("popularity"), PAIRS, min_prefix=2)
    test = timed_sessions(run.clock, [["a0", "b0", "a1", "b1"], ["a0", "b0"], ["a0"]])
    results = run.evaluation.evaluate(test, Mode.FROZEN)
    assert results.predictions == 2
    assert [prefix.clicks for prefix in results.systems["popularity"].by_prefix] == [2, 3]


def test_frozen_unknown_items_are_misses_and_unknown_prefixes_do_not_fail() -> None:
    run = trained(small_ranker("popularity", "item_to_item", "session_knn"), PAIRS)
    test = timed_sessions(run.clock, [["never", "seen"], ["never", "a0"], ["a0", "seen"]])
    results = run.evaluation.evaluate(test, Mode.FROZEN)
    assert results.systems["item_to_item"].hr[20] == 0.0
    assert results.systems["popularity"].hr[20] == pytest.approx(1 / 3, abs=1e-6)


def test_prequential_mode_keeps_learning() -> None:
    run = trained(small_ranker("item_to_item"), PAIRS, cutoffs=(1,))
    test = timed_sessions(run.clock, [["new", "newer"]] * 10)
    assert run.evaluation.evaluate(test, Mode.FROZEN).systems[FUSED].hr[1] == 0.0
    # the first of the ten is unknown
    assert run.evaluation.evaluate(test, Mode.PREQUENTIAL).systems[FUSED].hr[1] == 0.9
    assert run.evaluation.evaluate(test, Mode.FROZEN).systems[FUSED].hr[1] == 1.0


def test_a_session_is_learned_only_after_its_last_prediction() -> None:
    run = trained(small_ranker("item_to_item"), PAIRS, cutoffs=(20,))
    # b follows a twice in the session: if the first pair were learned at once, the second would hit
    test = timed_sessions(run.clock, [["new", "newer", "new", "newer"]])
    results = run.evaluation.evaluate(test, Mode.PREQUENTIAL)
    assert results.systems["item_to_item"].hr[20] == 0.0


def default_ranker() -> Ranker:
    settings = Settings()
    return make_ranker(make_models(settings.ranking_config), settings.ranking_config, 20)


def random_sessions(length: int, seed: int) -> list[list[str]]:
    rng = np.random.default_rng(seed)
    starts, sizes = rng.integers(40, size=length), rng.integers(2, 6, size=length)
    return [
        [f"i{(start + step) % 40}" for step in range(size)] for start, size in zip(starts, sizes, strict=True)
    ]


def test_frozen_pass_changes_no_state() -> None:
    run = trained(default_ranker(), random_sessions(400, seed=1))
    state_before = run.models.state()
    digest = run.models.digest()
    results = run.evaluation.evaluate(timed_sessions(run.clock, random_sessions(60, seed=2)), Mode.FROZEN)
    assert results.systems[FUSED].hr[20] > 0.5
    np.testing.assert_equal(run.models.state(), state_before)
    assert run.models.digest() == digest


def test_frozen_pass_does_not_affect_a_later_prequential_pass() -> None:
    results = []
    for modes in ((Mode.FROZEN, Mode.PREQUENTIAL), (Mode.PREQUENTIAL,)):
        run = trained(default_ranker(), random_sessions(300, seed=1))
        test = timed_sessions(run.clock, random_sessions(60, seed=2))
        results.append([run.evaluation.evaluate(test, mode) for mode in modes][-1])
    assert without_times(results[0]) == without_times(results[1])


def test_each_prediction_is_timed() -> None:
    run = trained(small_ranker("popularity"), PAIRS)
    ms = run.evaluation.evaluate(timed_sessions(run.clock, PAIRS), Mode.FROZEN).systems[FUSED].ms
    assert 0 < ms.p50 <= ms.p99
    assert 0 < ms.mean < 1_000


def test_progress_is_updated_for_every_session() -> None:
    updates: dict[str, list[int]] = {}

    @contextmanager
    def open_progress(title: str, total: int) -> Any:
        assert total == 6
        yield updates.setdefault(title, []).append

    run = trained(small_ranker("popularity"), PAIRS, open_progress=open_progress)
    run.evaluation.evaluate(timed_sessions(run.clock, PAIRS), Mode.FROZEN)
    assert list(updates.values()) == [[1, 2, 3, 4, 5, 6]] * 2


def test_session_knn_beats_popularity_on_diginetica(data_dir: Path) -> None:
    path = data_dir / "diginetica" / "train_sessions.jsonl.gz"
    if not path.is_file():
        pytest.skip(f"no sessions at {path}; set HEADRACE_DATA to the folder that holds them")
    sessions = read_sessions(path, limit=2_000)
    run = trained(small_ranker("popularity", "session_knn"), sessions[:1_800])
    results = run.evaluation.evaluate(timed_sessions(run.clock, sessions[1_800:]), Mode.FROZEN)
    assert results.predictions == sum(len(session) - 1 for session in sessions[1_800:])
    assert results.systems["session_knn"].mrr[20] > 3 * results.systems["popularity"].mrr[20]

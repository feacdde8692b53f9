"""The search finds better parameters, can be interrupted, and is deterministic."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import msgspec
import pytest

from stream_app.errors import UserError
from stream_app.models.model_set import ModelSet
from stream_app.models.registry import MODELS
from stream_app.ranking.assembly import FUSION
from stream_app.ranking.fusion.learned import LearnedFusion
from stream_app.tools.evaluation.search_spaces import (
    SESSION_STORE,
    SPACES,
    Categorical,
    FloatRange,
    in_space,
    search_space,
)
from stream_app.tools.evaluation.session_files import Session, TrainTestSplit
from stream_app.tools.evaluation.trials import EventsTrial, SessionsTrial
from stream_app.tools.evaluation.tuning import (
    Metric,
    Parameters,
    Tuning,
    TuningResult,
    parse_metric,
)
from stream_app.tools.feeds.rows import EventRow
from stream_app.tools.progress import UpdateProgress
from topics.events import CatalogItem, Click, Event, Search


@pytest.mark.parametrize("name", SPACES)
def test_search_space_contains_the_model_defaults(name: str) -> None:
    # the models on the store have its parameters
    configurable: Any = (
        LearnedFusion if name == FUSION else MODELS["session_knn" if name == SESSION_STORE else name]
    )
    default_parameters = configurable.hyper_parameters()
    space = search_space(name)
    assert space
    assert {*space} <= {*default_parameters}
    assert in_space(space, default_parameters)


def test_model_without_a_search_space_is_a_user_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(SPACES, "popularity")
    with pytest.raises(UserError, match=r"'popularity' has no search space.*search_spaces\.py"):
        search_space("popularity")


def test_unknown_model_error_lists_known_models() -> None:
    with pytest.raises(UserError, match=r"no model 'sesion_knn'; there are .*session_knn"):
        search_space("sesion_knn")


@pytest.mark.parametrize("text", ["ndcg@20", "mrr", "mrr@0", "mrr@x", "@20", ""])
def test_invalid_metric_is_a_user_error(text: str) -> None:
    with pytest.raises(UserError, match=r"hr@K or mrr@K, such as mrr@20"):
        parse_metric(text)


def drifting_split() -> TrainTestSplit:
    """Item x was popular for long, y is popular lately: a shorter half-life predicts better."""
    older_sessions: list[Session] = [["x", "x"]] * 60
    newer_sessions: list[Session] = [["y", "y"]] * 20
    return TrainTestSplit(older_sessions + newer_sessions, newer_sessions)


def build_models(name: str, parameters: Parameters) -> ModelSet:
    return ModelSet([name], overrides={name: parameters})


def tuning(**options: Any) -> Tuning:
    space = {"half_life": FloatRange(600.0, 1e7, log=True)}
    make, trial = partial(build_models, "popularity"), SessionsTrial(drifting_split())
    return Tuning(make, space, {"half_life": 1e7}, trial, metric=Metric("hr", 1), **options)


def test_search_finds_better_parameters_and_reports_the_defaults() -> None:
    result = tuning().search(trials=12)
    assert result.defaults.parameters == {"half_life": 1e7}
    assert result.defaults.hr.mean == 0.0
    assert result.best.hr.mean == 1.0
    assert result.best.parameters["half_life"] < 1e6
    assert len(result.trials) == 12
    assert result.predictions == 20
    assert not result.interrupted


def without_times(result: TuningResult) -> Any:
    plain = msgspec.to_builtins(result)
    for trial in (plain["defaults"], plain["best"], *plain["trials"]):
        del trial["seconds"], trial["ms"]
    return plain


def test_search_is_deterministic_for_a_seed() -> None:
    first, second, third = (without_times(tuning(seed=seed).search(trials=6)) for seed in (1, 1, 2))
    assert first == second
    assert first["trials"] != third["trials"]


def test_defaults_are_kept_on_a_tie() -> None:
    trial = SessionsTrial(TrainTestSplit([["x", "x"]] * 5, [["x", "x"]] * 5))
    space, default_parameters = SPACES["popularity"], MODELS["popularity"].hyper_parameters()
    search = Tuning(
        partial(build_models, "popularity"), space, default_parameters, trial, metric=Metric("mrr", 5)
    )
    result = search.search(trials=3)
    assert result.best == result.defaults


def test_categorical_parameters_are_searched() -> None:
    trial = SessionsTrial(TrainTestSplit([["x", "y"]] * 5, [["x", "y"]] * 5))
    space, default_parameters = (
        {"similarity": Categorical(("cosine", "jaccard", "lift"))},
        {"similarity": "cosine"},
    )
    search = Tuning(
        partial(build_models, "item_to_item"), space, default_parameters, trial, metric=Metric("mrr", 5)
    )
    result = search.search(trials=6)
    assert len({trial.parameters["similarity"] for trial in result.trials}) > 1
    assert {trial.parameters["similarity"] for trial in result.trials} <= {"cosine", "jaccard", "lift"}


def test_interrupt_keeps_completed_trials() -> None:
    @contextmanager
    def open_progress(_: str, total: int) -> Iterator[UpdateProgress]:
        assert total == 51

        def update_progress(done: int) -> None:
            if done == 4:
                raise KeyboardInterrupt

        yield update_progress

    result = tuning(open_progress=open_progress).search(trials=50)
    assert result.interrupted
    assert len(result.trials) == 3
    assert result.best in (result.defaults, *result.trials)


def test_no_trial_begins_after_the_timeout() -> None:
    assert tuning().search(trials=50, timeout=0.0).trials == []


def rows(*events: Event) -> list[EventRow]:
    return [EventRow(line, event) for line, event in enumerate(events, start=1)]


def search_events(count: int, first: int = 0) -> list[Event]:
    """All users search for shoes; first they choose shoe 0, later shoe 1."""
    result: list[Event] = []
    for number in range(first, first + count):
        user, ts = f"u{number}", 60_000 * number
        item = "shoe 1" if number >= 30 else "shoe 0"
        result += [
            Search(event_id=f"s{number}", user_id=user, ts=ts, query="shoes"),
            Click(event_id=f"c{number}", user_id=user, ts=ts + 1_000, item_id=item, query="shoes"),
        ]
    return result


def test_event_log_search_finds_a_shorter_half_life() -> None:
    trial = EventsTrial(rows(*search_events(40)), 10, session_gap=1800.0)
    space, default_parameters = {"half_life": FloatRange(60.0, 1e7, log=True)}, {"half_life": 1e7}
    search = Tuning(
        partial(build_models, "search"), space, default_parameters, trial, metric=Metric("mrr", 5)
    )
    result = search.search(trials=8)
    assert result.predictions == 5
    assert result.defaults.hr.mean == 1.0
    assert result.defaults.mrr.mean == 0.5
    assert result.best.mrr.mean == 1.0
    assert result.best.parameters["half_life"] < 1e4


def test_content_model_can_be_tuned_only_with_catalog_events() -> None:
    items = [CatalogItem(item_id=f"shoe {n}", ts=0, title=f"shoe number {n}") for n in range(2)]
    clicks = [
        Click(event_id=f"{n}{item}", user_id=f"u{n}", ts=60_000 * n + item, item_id=f"shoe {item}")
        for n in range(10)
        for item in range(2)
    ]
    space, default_parameters = SPACES["content"], MODELS["content"].hyper_parameters()
    make = partial(build_models, "content")
    trial = EventsTrial(rows(*items, *clicks), 10, session_gap=1800.0)
    result = Tuning(make, space, default_parameters, trial, metric=Metric("hr", 5)).search(trials=1)
    # users who viewed one shoe get the other; users without views get nothing
    assert (result.predictions, result.defaults.hr.mean) == (10, 0.5)
    trial = EventsTrial(rows(*clicks), 10, session_gap=1800.0)
    with pytest.raises(UserError, match="listed no item"):
        Tuning(make, space, default_parameters, trial, metric=Metric("hr", 5)).search(trials=1)


def test_invalid_validation_tail_is_a_user_error() -> None:
    with pytest.raises(UserError, match=r"--validation-tail 9 leaves nothing .* has 8 rows\.$"):
        EventsTrial(rows(*search_events(4)), 9, session_gap=1800.0)
    events = [*search_events(4), Search(event_id="s", user_id="u", ts=1_000_000, query="socks")]
    trial = EventsTrial(rows(*events), 1, session_gap=1800.0)
    with pytest.raises(UserError, match="no click or purchase to predict; make it longer"):
        trial(ModelSet(["search"]), 5)

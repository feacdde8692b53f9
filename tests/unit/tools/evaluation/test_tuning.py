"""The search finds what is better, can be stopped, and can be done again."""

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
from stream_app.tools.evaluation.progress import Tell
from stream_app.tools.evaluation.search_spaces import SPACES, STORE, OneOf, Real, inside, space_of
from stream_app.tools.evaluation.session_files import Session, Split
from stream_app.tools.evaluation.tuning import (
    EventsTrial,
    Metric,
    Parameters,
    SessionsTrial,
    Tuned,
    Tuning,
    parse_metric,
)
from stream_app.tools.feeds.rows import Mapped
from topics.events import CatalogItem, Click, Event, Search


@pytest.mark.parametrize("name", SPACES)
def test_a_search_ranges_over_hyper_parameters_of_the_model_its_defaults_among_them(name: str) -> None:
    # the store's are with each model on it
    owner: Any = LearnedFusion if name == FUSION else MODELS["session_knn" if name == STORE else name]
    shipped = owner.hyper_parameters()
    space = space_of(name)
    assert space
    assert {*space} <= {*shipped}
    assert inside(space, shipped)


def test_a_model_without_a_declaration_is_said_to_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(SPACES, "popularity")
    with pytest.raises(UserError, match=r"nothing is declared to be searched for 'popularity'.*spaces\.py"):
        space_of("popularity")


def test_an_unknown_model_is_said_with_those_there_are() -> None:
    with pytest.raises(UserError, match=r"no model 'sesion_knn'; there are .*session_knn"):
        space_of("sesion_knn")


@pytest.mark.parametrize("text", ["ndcg@20", "mrr", "mrr@0", "mrr@x", "@20", ""])
def test_a_wrong_metric_is_one_sentence(text: str) -> None:
    with pytest.raises(UserError, match=r"hr@K or mrr@K, such as mrr@20"):
        parse_metric(text)


def fashion() -> Split:
    """For a long time x was clicked most; lately it is y. Who remembers less does better."""
    old: list[Session] = [["x", "x"]] * 60
    new: list[Session] = [["y", "y"]] * 20
    return Split(old + new, new)


def made(name: str, parameters: Parameters) -> ModelSet:
    return ModelSet([name], own={name: parameters})


def tuning(**options: Any) -> Tuning:
    space = {"half_life": Real(600.0, 1e7, log=True)}
    make, trial = partial(made, "popularity"), SessionsTrial(fashion())
    return Tuning(make, space, {"half_life": 1e7}, trial, metric=Metric("hr", 1), **options)


def test_what_is_better_is_found_and_stands_beside_what_is_shipped() -> None:
    found = tuning().search(trials=12)
    assert found.defaults.parameters == {"half_life": 1e7}
    assert found.defaults.hr.mean == 0.0
    assert found.best.hr.mean == 1.0
    assert found.best.parameters["half_life"] < 1e6
    assert len(found.trials) == 12
    assert found.predictions == 20
    assert not found.interrupted


def without_times(found: Tuned) -> Any:
    plain = msgspec.to_builtins(found)
    for each in (plain["defaults"], plain["best"], *plain["trials"]):
        del each["seconds"], each["ms"]
    return plain


def test_the_same_seed_tries_the_same() -> None:
    first, second, third = (without_times(tuning(seed=seed).search(trials=6)) for seed in (1, 1, 2))
    assert first == second
    assert first["trials"] != third["trials"]


def test_where_nothing_is_better_the_shipped_values_stay() -> None:
    trial = SessionsTrial(Split([["x", "x"]] * 5, [["x", "x"]] * 5))
    space, shipped = SPACES["popularity"], MODELS["popularity"].hyper_parameters()
    search = Tuning(partial(made, "popularity"), space, shipped, trial, metric=Metric("mrr", 5))
    found = search.search(trials=3)
    assert found.best == found.defaults


def test_names_are_searched_too() -> None:
    trial = SessionsTrial(Split([["x", "y"]] * 5, [["x", "y"]] * 5))
    space, shipped = {"similarity": OneOf(("cosine", "jaccard", "lift"))}, {"similarity": "cosine"}
    search = Tuning(partial(made, "item_to_item"), space, shipped, trial, metric=Metric("mrr", 5))
    found = search.search(trials=6)
    assert len({each.parameters["similarity"] for each in found.trials}) > 1
    assert {each.parameters["similarity"] for each in found.trials} <= {"cosine", "jaccard", "lift"}


def test_ctrl_c_keeps_what_was_found() -> None:
    @contextmanager
    def watch(_: str, total: int) -> Iterator[Tell]:
        assert total == 51

        def tell(done: int) -> None:
            if done == 4:
                raise KeyboardInterrupt

        yield tell

    found = tuning(watch=watch).search(trials=50)
    assert found.interrupted
    assert len(found.trials) == 3
    assert found.best in (found.defaults, *found.trials)


def test_no_trial_begins_after_the_timeout() -> None:
    assert tuning().search(trials=50, timeout=0.0).trials == []


def rows(*events: Event) -> list[Mapped]:
    return [Mapped(line, each) for line, each in enumerate(events, start=1)]


def searches(count: int, first: int = 0) -> list[Event]:
    """Everybody searches for shoes, and takes shoe 1 of late, shoe 0 before."""
    found: list[Event] = []
    for number in range(first, first + count):
        user, ts = f"u{number}", 60_000 * number
        item = "shoe 1" if number >= 30 else "shoe 0"
        found += [
            Search(event_id=f"s{number}", user_id=user, ts=ts, query="shoes"),
            Click(event_id=f"c{number}", user_id=user, ts=ts + 1_000, item_id=item, query="shoes"),
        ]
    return found


def test_a_log_is_searched_on_its_tail_and_the_search_model_finds_what_fades_sooner() -> None:
    trial = EventsTrial(rows(*searches(40)), 10, session_gap=1800.0)
    space, shipped = {"half_life": Real(60.0, 1e7, log=True)}, {"half_life": 1e7}
    search = Tuning(partial(made, "search"), space, shipped, trial, metric=Metric("mrr", 5))
    found = search.search(trials=8)
    assert found.predictions == 5
    assert found.defaults.hr.mean == 1.0
    assert found.defaults.mrr.mean == 0.5
    assert found.best.mrr.mean == 1.0
    assert found.best.parameters["half_life"] < 1e4


def test_content_is_tried_on_a_log_with_a_catalogue_and_on_one_without_it_is_said_to_propose_nothing() -> (
    None
):
    items = [CatalogItem(item_id=f"shoe {n}", ts=0, title=f"shoe number {n}") for n in range(2)]
    clicks = [
        Click(event_id=f"{n}{item}", user_id=f"u{n}", ts=60_000 * n + item, item_id=f"shoe {item}")
        for n in range(10)
        for item in range(2)
    ]
    space, shipped = SPACES["content"], MODELS["content"].hyper_parameters()
    make = partial(made, "content")
    trial = EventsTrial(rows(*items, *clicks), 10, session_gap=1800.0)
    found = Tuning(make, space, shipped, trial, metric=Metric("hr", 5)).search(trials=1)
    # who has looked at one shoe is shown the other; who has looked at nothing, nothing
    assert (found.predictions, found.defaults.hr.mean) == (10, 0.5)
    trial = EventsTrial(rows(*clicks), 10, session_gap=1800.0)
    with pytest.raises(UserError, match="proposed nothing"):
        Tuning(make, space, shipped, trial, metric=Metric("hr", 5)).search(trials=1)


def test_a_tail_that_leaves_nothing_or_has_nothing_to_predict_is_one_sentence() -> None:
    with pytest.raises(UserError, match=r"--validation-tail 9 leaves nothing .* has 8 rows\.$"):
        EventsTrial(rows(*searches(4)), 9, session_gap=1800.0)
    events = [*searches(4), Search(event_id="s", user_id="u", ts=1_000_000, query="socks")]
    trial = EventsTrial(rows(*events), 1, session_gap=1800.0)
    with pytest.raises(UserError, match="no click or purchase to predict; make it longer"):
        trial(ModelSet(["search"]), 5)

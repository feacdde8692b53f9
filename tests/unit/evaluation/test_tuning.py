"""The search finds what is better, can be stopped, and can be done again."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import msgspec
import pytest

from stream_app.errors import UserError
from stream_app.evaluation.progress import Tell
from stream_app.evaluation.session_files import Session, Split
from stream_app.evaluation.spaces import SPACES, OneOf, Real, inside, space_of
from stream_app.evaluation.tuning import Metric, Tuned, Tuning, parse_metric
from stream_app.models.model_set import ModelSet
from stream_app.models.registry import MODELS


@pytest.mark.parametrize("name", SPACES)
def test_a_search_ranges_over_hyper_parameters_of_the_model_its_defaults_among_them(name: str) -> None:
    shipped = MODELS[name].hyper_parameters()
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


def tuning(**options: Any) -> Tuning:
    models = partial(ModelSet, ["popularity"], half_life=1e7)
    space = {"half_life": Real(600.0, 1e7, log=True)}
    return Tuning(models, space, fashion(), metric=Metric("hr", 1), **options)


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
    models = partial(ModelSet, ["popularity"])
    split = Split([["x", "x"]] * 5, [["x", "x"]] * 5)
    found = Tuning(models, SPACES["popularity"], split, metric=Metric("mrr", 5)).search(trials=3)
    assert found.best == found.defaults


def test_names_are_searched_too() -> None:
    models = partial(ModelSet, ["item_to_item"])
    split = Split([["x", "y"]] * 5, [["x", "y"]] * 5)
    space = {"similarity": OneOf(("cosine", "jaccard", "lift"))}
    found = Tuning(models, space, split, metric=Metric("mrr", 5)).search(trials=6)
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

"""Models by name."""

import json
from typing import Any

import pytest

from stream_app.errors import UserError
from stream_app.models.base import Model
from stream_app.models.item_index import ItemIndex
from stream_app.models.popularity import Popularity
from stream_app.models.registry import MODELS, create
from stream_app.ranking.assembly import make_models
from stream_app.settings import SettingsError, load_settings


def test_each_model_receives_the_parameters_it_accepts() -> None:
    models = create(["popularity", "session_knn"], ItemIndex(10), half_life=5.0, sessions=9)
    assert [model.name for model in models] == ["popularity", "session_knn"]
    assert isinstance(models[0], Popularity)
    assert models[0].half_life == 5.0
    assert models[1].state()["parameters"]["sessions"] == 9


def test_an_unknown_model_name_lists_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"'populrity'.*popularity, item_to_item, biased_mf, session_knn"):
        create(["populrity"], ItemIndex(10))


def test_a_duplicate_model_name_is_rejected() -> None:
    with pytest.raises(UserError, match="twice"):
        create(["popularity", "popularity"], ItemIndex(10))


def test_the_settings_name_known_models() -> None:
    assert set(load_settings().models) <= set(MODELS)


def make_with_overrides(**models: dict[str, Any]) -> list[Model]:
    names = ["popularity", "item_to_item", "session_knn", "two_hop"]
    return create(names, ItemIndex(10), overrides=models, half_life=5.0)


def test_overrides_of_one_model_take_precedence() -> None:
    models = make_with_overrides(popularity={"half_life": 60}, session_knn={"repeat": 0.5})
    found = [model.parameters() for model in models]
    assert (found[0]["half_life"], found[1]["half_life"], found[2]["repeat"]) == (60, 5.0, 0.5)


@pytest.mark.parametrize("name", ["session_knn", "two_hop"])
def test_the_session_store_uses_the_overrides_of_any_model_on_it(name: str) -> None:
    found = [model.parameters() for model in make_with_overrides(**{name: {"postings": 50}})]
    assert found[2]["postings"] == found[3]["postings"] == 50


def test_conflicting_session_store_overrides_are_rejected() -> None:
    message = r"session_knn and two_hop share one session store.* one postings, not both 50 and 60"
    with pytest.raises(UserError, match=message):
        make_with_overrides(session_knn={"postings": 50}, two_hop={"postings": 60})


@pytest.mark.parametrize(
    ("model", "given", "message"),
    [
        ("popularty", {}, r"no model 'popularty'; there are popularity, item_to_item"),
        ("session_knn", {"repeats": 1}, r"session_knn has no 'repeats'; it has repeat, weighting, sessions"),
        (
            "session_knn",
            {"repeat": "a"},
            r"repeat of session_knn is a number from 0 on \(by default 1\.9\), not 'a'",
        ),
        ("session_knn", {"repeat": -1}, r"a number from 0 on .* not -1"),
        ("session_knn", {"repeat": True}, r"a number from 0 on .* not True"),
        (
            "session_knn",
            {"postings": 0},
            r"postings of session_knn is a whole number from 1 on \(by default 150\)",
        ),
        ("session_knn", {"postings": 9.5}, r"a whole number from 1 on .* not 9\.5"),
        ("session_knn", {"depth": 9}, r"session_knn: depth must be from 1 to 8, not 9"),
        ("session_knn", {"weighting": "x"}, r"session_knn: weighting must be one of stan, vsknn, not 'x'"),
        (
            "item_to_item",
            {"similarity": "x"},
            r"item_to_item: similarity must be one of cosine, .*lift, not 'x'",
        ),
        ("item_to_item", {"similarity": 3}, r"similarity of item_to_item is a name .* not 3"),
        ("popularity", {"half_life": 0}, r"popularity: half_life must be above 0, not 0"),
    ],
)
def test_an_invalid_override_is_rejected_with_the_valid_range(
    model: str, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=rf"^HEADRACE_MODEL_PARAMETERS: .*{message}") as error:
        make_with_overrides(**{model: given})
    assert str(error.value).endswith(".")


def test_overrides_of_models_that_do_not_run_are_checked_too() -> None:
    assert [
        model.name for model in create(["popularity"], ItemIndex(9), overrides={"bpr": {"n_factors": 8}})
    ] == ["popularity"]
    with pytest.raises(UserError, match="bpr has no 'factor'"):
        create(["popularity"], ItemIndex(9), overrides={"bpr": {"factor": 8}})


def test_the_model_parameters_setting_is_applied(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"session_knn": {"repeat": 0.25}, "item_to_item": {"similarity": "lift"}}
    monkeypatch.setenv("HEADRACE_MODEL_PARAMETERS", json.dumps(given))
    made = {model.name: model.parameters() for model in make_models(load_settings().ranking_config).models}
    assert (made["session_knn"]["repeat"], made["item_to_item"]["similarity"]) == (0.25, "lift")


@pytest.mark.parametrize("text", ["{", "[1]", '{"session_knn": 1}', '{"session_knn": {"repeat": [1]}}'])
def test_a_malformed_model_parameters_setting_is_a_one_sentence_error(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADRACE_MODEL_PARAMETERS", text)
    with pytest.raises(SettingsError, match=r"^HEADRACE_MODEL_PARAMETERS: .*`headrace settings`"):
        load_settings()


def test_a_parameter_of_a_model_with_tables_of_its_own_leaves_the_session_store() -> None:
    models = create(["item_to_item", "session_knn"], ItemIndex(10), overrides={"item_to_item": {"depth": 3}})
    assert [model.parameters()["depth"] for model in models] == [3, 8]

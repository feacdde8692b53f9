"""Models by name."""

import pytest

from stream_app.errors import UserError
from stream_app.models.items import ItemIndex
from stream_app.models.popularity import Popularity
from stream_app.models.registry import MODELS, create
from stream_app.settings import load_settings


def test_each_model_is_given_the_parameters_it_takes() -> None:
    models = create(["popularity", "session_knn"], ItemIndex(10), half_life=5.0, sessions=9)
    assert [model.name for model in models] == ["popularity", "session_knn"]
    assert isinstance(models[0], Popularity)
    assert models[0].half_life == 5.0
    assert models[1].state()["parameters"]["sessions"] == 9


def test_a_wrong_name_is_answered_with_the_right_ones() -> None:
    with pytest.raises(UserError, match=r"'populrity'.*popularity, item_to_item, biased_mf, session_knn"):
        create(["populrity"], ItemIndex(10))


def test_a_model_named_twice_is_refused() -> None:
    with pytest.raises(UserError, match="twice"):
        create(["popularity", "popularity"], ItemIndex(10))


def test_the_settings_name_known_models() -> None:
    assert set(load_settings().models) <= set(MODELS)

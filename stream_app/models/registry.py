"""The models by name."""

import math
from collections.abc import Mapping, Sequence
from inspect import signature
from typing import Any, Final

from stream_app.errors import UserError
from stream_app.models import plugins
from stream_app.models.base import Model
from stream_app.models.biased_mf import BiasedMF
from stream_app.models.bpr import BPR
from stream_app.models.content import Content
from stream_app.models.item_index import ItemIndex
from stream_app.models.item_to_item import ItemToItem
from stream_app.models.item_vectors import ItemVectors
from stream_app.models.model_sources import RiverSource, find_source
from stream_app.models.popularity import Popularity
from stream_app.models.repeats import Repeats
from stream_app.models.search import SearchModel
from stream_app.models.sequential_rules import SequentialRules
from stream_app.models.session_knn import SessionKNN
from stream_app.models.session_store import SessionStore
from stream_app.models.trending import Trending
from stream_app.models.two_hop import TwoHop
from stream_app.models.two_tower import TwoTower
from stream_app.models.user_knn import UserKNN

MODELS: dict[str, type[Model]] = {
    model.name: model
    for model in (
        Popularity,
        ItemToItem,
        BiasedMF,
        SessionKNN,
        SequentialRules,
        Repeats,
        ItemVectors,
        TwoHop,
        UserKNN,
        BPR,
        Content,
        SearchModel,
        Trending,
    )
}
"""Every model that learns in the worker, by its name."""

TRAINED_MODELS: dict[str, type[Model]] = {TwoTower.name: TwoTower}
"""The models that a trainer learns (`stream_app.training`), by their names."""


SETTING: Final = "HEADRACE_MODEL_PARAMETERS"

Overrides = Mapping[str, Mapping[str, Any]]
"""Hyperparameters by model, by name."""


def create(
    names: Sequence[str], index: ItemIndex, *, overrides: Overrides | None = None, **parameters: Any
) -> list[Model]:
    """Create the named models over one item index.

    Parameters
    ----------
    names
        Names of models, see `source_of`.
    index
        The shared item index.
    overrides
        Hyperparameters of single models, which take precedence. Those of the session store may be given with any
        model on it.
    **parameters
        Hyperparameters; each model gets those that it has.

    Raises
    ------
    UserError
        If a model does not exist or is named twice, or `overrides` has an invalid parameter.

    Examples
    --------
    >>> [model.name for model in create(["popularity", "biased_mf"], ItemIndex(100), half_life=60.0)]
    ['popularity', 'biased_mf']
    >>> create(["popularty"], ItemIndex(100))
    Traceback (most recent call last):
    stream_app.errors.UserError: There is no model 'popularty'; there are popularity, item_to_item, ...
    >>> create(["popularity"], ItemIndex(100), overrides={"popularity": {"halflife": 60.0}})
    Traceback (most recent call last):
    stream_app.errors.UserError: HEADRACE_MODEL_PARAMETERS: popularity has no 'halflife'; it has half_life, ...
    """
    overrides = overrides or {}
    check_parameters(overrides)
    models: list[Model] = []
    store: SessionStore | None = None
    sources = {name: source_of(name) for name in names}
    for position, name in enumerate(names):
        if name in names[:position]:
            raise UserError(f"Model {name!r} is named twice. Name each model once in HEADRACE_MODELS.")
        model_class: Any = sources[name]
        if isinstance(model_class, RiverSource):
            models.append(model_class.model(index, overrides.get(name, {}), parameters))
            continue
        arguments = parameters | dict(overrides.get(name, {}))
        try:
            if "store" in signature(model_class).parameters:
                # the first model on the store owns it
                owns_store = store is None
                if store is None:
                    shared = parameters | _store_overrides(sources, overrides)
                    store = SessionStore(index, **_accepted(SessionStore, shared))
                models.append(model_class(index, store, owns_store, **_accepted(model_class, arguments)))
            else:
                models.append(model_class(index, **_accepted(model_class, arguments)))
        except ValueError as error:
            if name not in overrides:
                raise
            raise UserError(f"{SETTING}: {name}: {error}.") from None
    return models


def source_of(name: str) -> type[Model] | RiverSource:
    """What a name stands for: a model of `MODELS` or `TRAINED_MODELS`, of River, or of an installed package.

    Raises
    ------
    UserError
        If there is no model of that name, or what it stands for is none.

    Examples
    --------
    >>> source_of("popularity").__name__, source_of("river:reco.BiasedMF").name
    ('Popularity', 'river:reco.BiasedMF')
    """
    source = find_source(name, MODELS | TRAINED_MODELS)
    if source is None:
        raise UserError(
            f"There is no model {name!r}; there are {', '.join(known_models())}, and those of River, such as "
            "river:reco.BiasedMF. Set HEADRACE_MODELS to some of these."
        )
    return source


def known_models() -> list[str]:
    """Names of Headrace's models and of those that installed packages register."""
    return [*MODELS, *(name for name in plugins.registered_names(plugins.MODELS) if name not in MODELS)]


def check_parameters(overrides: Overrides) -> None:
    """Check the names, types and ranges of hyperparameters.

    Those of a River object are checked when it is made.

    Raises
    ------
    UserError
        If one is invalid; names the model, the parameter and the valid values.

    Examples
    --------
    >>> check_parameters({"session_knn": {"repeat": 1.9}, "item_to_item": {"similarity": "lift"}})
    >>> check_parameters({"bpr": {"n_factors": "many"}})
    Traceback (most recent call last):
    stream_app.errors.UserError: HEADRACE_MODEL_PARAMETERS: n_factors of bpr is a whole number from 1 on ...
    """
    for name, arguments in overrides.items():
        source = find_source(name, MODELS | TRAINED_MODELS)
        if source is None:
            raise UserError(f"{SETTING}: there is no model {name!r}; there are {', '.join(known_models())}.")
        if isinstance(source, RiverSource):
            continue
        defaults = source.hyper_parameters()
        for parameter, value in arguments.items():
            if parameter not in defaults:
                raise UserError(f"{SETTING}: {name} has no {parameter!r}; it has {', '.join(defaults)}.")
            default = defaults[parameter]
            expectation = _expectation(parameter, default, value)
            if expectation:
                raise UserError(
                    f"{SETTING}: {parameter} of {name} is {expectation} (by default {default}), not {value!r}."
                )


def _expectation(parameter: str, default: Any, value: Any) -> str:
    """Description of the valid values of a parameter if `value` is invalid, else an empty string."""
    if isinstance(default, str):
        return "" if isinstance(value, str) else "a name"
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if isinstance(default, int):
        minimum = min(1, default)
        is_valid_integer = number and isinstance(value, int) and (value >= minimum or parameter == "seed")
        return "" if is_valid_integer else f"a whole number from {minimum} on"
    return "" if number and value >= 0 else "a number from 0 on"


def _store_overrides(
    sources: Mapping[str, type[Model] | RiverSource], overrides: Overrides
) -> dict[str, Any]:
    """Parameters of the session store that are given with the models on it."""
    found: dict[str, tuple[str, Any]] = {}
    for name, source in sources.items():
        if (
            isinstance(source, RiverSource)
            or name not in overrides
            or "store" not in signature(source).parameters
        ):
            # a parameter of the same name is its own
            continue
        for parameter, value in _accepted(SessionStore, dict(overrides.get(name, {}))).items():
            other, other_value = found.setdefault(parameter, (name, value))
            if other_value != value:
                raise UserError(
                    f"{SETTING}: {other} and {name} share one session store, which has one {parameter}, "
                    f"not both {other_value} and {value}."
                )
    return {parameter: value for parameter, (_, value) in found.items()}


def _accepted(model_class: Any, parameters: dict[str, Any]) -> dict[str, Any]:
    """The parameters that `model_class` has."""
    names = signature(model_class).parameters
    return {key: value for key, value in parameters.items() if key in names}

"""The models by name."""

import math
from collections.abc import Mapping, Sequence
from inspect import signature
from typing import Any, Final

from stream_app.errors import UserError
from stream_app.models.base import Model
from stream_app.models.biased_mf import BiasedMF
from stream_app.models.bpr import BPR
from stream_app.models.content import Content
from stream_app.models.item_index import ItemIndex
from stream_app.models.item_to_item import ItemToItem
from stream_app.models.item_vectors import ItemVectors
from stream_app.models.popularity import Popularity
from stream_app.models.repeats import Repeats
from stream_app.models.search import Search
from stream_app.models.sequential_rules import SequentialRules
from stream_app.models.session_knn import SessionKNN
from stream_app.models.session_store import SessionStore
from stream_app.models.trending import Trending
from stream_app.models.two_hop import TwoHop
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
        Search,
        Trending,
    )
}
"""Every model, by its name."""


SETTING: Final = "HEADRACE_MODEL_PARAMETERS"

Own = Mapping[str, Mapping[str, Any]]
"""Hyper-parameters by model, by name."""


def create(
    names: Sequence[str], index: ItemIndex, *, own: Own | None = None, **parameters: Any
) -> list[Model]:
    """Make the named models over one item index.

    Parameters
    ----------
    names
        Names from `MODELS`.
    index
        The item index they share.
    own
        Hyper-parameters of single models, which win. Those of the session store may be given with any model on it.
    **parameters
        Hyper-parameters; each model is given those it takes, and has defaults for the others.

    Raises
    ------
    UserError
        If there is no model of a name, a name comes twice, or `own` has what a model cannot take.

    Examples
    --------
    >>> [model.name for model in create(["popularity", "biased_mf"], ItemIndex(100), half_life=60.0)]
    ['popularity', 'biased_mf']
    >>> create(["popularty"], ItemIndex(100))
    Traceback (most recent call last):
    stream_app.errors.UserError: There is no model 'popularty'; there are popularity, item_to_item, ...
    >>> create(["popularity"], ItemIndex(100), own={"popularity": {"halflife": 60.0}})
    Traceback (most recent call last):
    stream_app.errors.UserError: HEADRACE_MODEL_PARAMETERS: popularity has no 'halflife'; it has half_life, ...
    """
    own = own or {}
    check_parameters(own)
    models: list[Model] = []
    store: SessionStore | None = None
    for place, name in enumerate(names):
        if name not in MODELS:
            known = ", ".join(MODELS)
            raise UserError(
                f"There is no model {name!r}; there are {known}. Set HEADRACE_MODELS to some of these."
            )
        if name in names[:place]:
            raise UserError(f"Model {name!r} is named twice. Name each model once in HEADRACE_MODELS.")
        make: Any = MODELS[name]
        given = parameters | dict(own.get(name, {}))
        try:
            if "store" in signature(make).parameters:
                # the first of those that share it keeps it
                keeps = store is None
                if store is None:
                    shared = parameters | _of_store(names, own)
                    store = SessionStore(index, **_taken(SessionStore, shared))
                models.append(make(index, store, keeps, **_taken(make, given)))
            else:
                models.append(make(index, **_taken(make, given)))
        except ValueError as error:
            if name not in own:
                raise
            raise UserError(f"{SETTING}: {name}: {error}.") from None
    return models


def check_parameters(own: Own) -> None:
    """Refuse what is no hyper-parameter of a model, or not of its kind.

    Raises
    ------
    UserError
        In one sentence that names the model, the parameter and what there is.

    Examples
    --------
    >>> check_parameters({"session_knn": {"repeat": 1.9}, "item_to_item": {"similarity": "lift"}})
    >>> check_parameters({"bpr": {"factors": "many"}})
    Traceback (most recent call last):
    stream_app.errors.UserError: HEADRACE_MODEL_PARAMETERS: factors of bpr is a whole number from 1 on ...
    """
    for name, given in own.items():
        if name not in MODELS:
            raise UserError(f"{SETTING}: there is no model {name!r}; there are {', '.join(MODELS)}.")
        shipped = MODELS[name].hyper_parameters()
        for parameter, value in given.items():
            if parameter not in shipped:
                raise UserError(f"{SETTING}: {name} has no {parameter!r}; it has {', '.join(shipped)}.")
            default = shipped[parameter]
            wanted = _wanted(parameter, default, value)
            if wanted:
                raise UserError(
                    f"{SETTING}: {parameter} of {name} is {wanted} (by default {default}), not {value!r}."
                )


def _wanted(parameter: str, default: Any, value: Any) -> str:
    """What a parameter has to be, where `value` is not that; else nothing."""
    if isinstance(default, str):
        return "" if isinstance(value, str) else "a name"
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if isinstance(default, int):
        least = min(1, default)
        whole = number and isinstance(value, int) and (value >= least or parameter == "seed")
        return "" if whole else f"a whole number from {least} on"
    return "" if number and value >= 0 else "a number from 0 on"


def _of_store(names: Sequence[str], own: Own) -> dict[str, Any]:
    """What the parameters of the models on the session store say of the store that they share."""
    found: dict[str, tuple[str, Any]] = {}
    for name in names:
        for parameter, value in _taken(SessionStore, dict(own.get(name, {}))).items():
            other, before = found.setdefault(parameter, (name, value))
            if before != value:
                raise UserError(
                    f"{SETTING}: {other} and {name} share one session store, which has one {parameter}, "
                    f"not both {before} and {value}."
                )
    return {parameter: value for parameter, (_, value) in found.items()}


def _taken(make: Any, parameters: dict[str, Any]) -> dict[str, Any]:
    """Those of the parameters that `make` has a name for."""
    names = signature(make).parameters
    return {key: value for key, value in parameters.items() if key in names}

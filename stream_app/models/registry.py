"""The models by name."""

from collections.abc import Sequence
from inspect import signature
from typing import Any

from stream_app.errors import UserError
from stream_app.models.base import Model
from stream_app.models.biased_mf import BiasedMF
from stream_app.models.bpr import BPR
from stream_app.models.content import Content
from stream_app.models.item_to_item import ItemToItem
from stream_app.models.item_vectors import ItemVectors
from stream_app.models.items import ItemIndex
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


def create(names: Sequence[str], index: ItemIndex, **parameters: Any) -> list[Model]:
    """Make the named models over one item index.

    Parameters
    ----------
    names
        Names from `MODELS`.
    index
        The item index they share.
    **parameters
        Hyper-parameters; each model is given those it takes, and has defaults for the others.

    Raises
    ------
    UserError
        If there is no model of a name, or a name comes twice.

    Examples
    --------
    >>> [model.name for model in create(["popularity", "biased_mf"], ItemIndex(100), half_life=60.0)]
    ['popularity', 'biased_mf']
    >>> create(["popularty"], ItemIndex(100))
    Traceback (most recent call last):
    stream_app.errors.UserError: There is no model 'popularty'; there are popularity, item_to_item, ...
    """
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
        if "store" in signature(make).parameters:
            # the first of those that share it keeps it
            keeps = store is None
            if store is None:
                store = SessionStore(index, **_taken(SessionStore, parameters))
            models.append(make(index, store, keeps, **_taken(make, parameters)))
        else:
            models.append(make(index, **_taken(make, parameters)))
    return models


def _taken(make: Any, parameters: dict[str, Any]) -> dict[str, Any]:
    """Those of the parameters that `make` has a name for."""
    names = signature(make).parameters
    return {key: value for key, value in parameters.items() if key in names}

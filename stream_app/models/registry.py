"""The models by name."""

from collections.abc import Sequence
from inspect import signature
from typing import Any

from stream_app.errors import UserError
from stream_app.models.base import Model
from stream_app.models.biased_mf import BiasedMF
from stream_app.models.item_to_item import ItemToItem
from stream_app.models.items import ItemIndex
from stream_app.models.popularity import Popularity
from stream_app.models.session_knn import SessionKNN

MODELS: dict[str, type[Model]] = {
    model.name: model for model in (Popularity, ItemToItem, BiasedMF, SessionKNN)
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
    models = []
    for place, name in enumerate(names):
        if name not in MODELS:
            known = ", ".join(MODELS)
            raise UserError(
                f"There is no model {name!r}; there are {known}. Set HEADRACE_MODELS to some of these."
            )
        if name in names[:place]:
            raise UserError(f"Model {name!r} is named twice. Name each model once in HEADRACE_MODELS.")
        make: Any = MODELS[name]
        taken = signature(make).parameters
        models.append(make(index, **{key: value for key, value in parameters.items() if key in taken}))
    return models

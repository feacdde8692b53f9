"""Where a model of a name comes from: Headrace, River, or a package of the shop's own."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from inspect import isclass
from typing import Any, Final, NamedTuple

from river import base, reco

from stream_app.errors import UserError
from stream_app.models import plugins
from stream_app.models.base import Model
from stream_app.models.item_index import ItemIndex
from stream_app.models.river_estimator import RiverEstimator
from stream_app.models.river_graph import set_seeds
from stream_app.models.river_model import RiverModel
from stream_app.models.river_paths import PREFIX, is_river_name, parameter_names, river_object
from stream_app.models.river_ranker import RiverRanker

Make = Callable[[Mapping[str, Any], int], Any]
"""Makes a River object that has learned nothing from its parameters and a seed."""

_NOT_SET: Final = frozenset({"river", "name"})
"""Arguments of a wrapper that no setting has."""


class RiverSource(NamedTuple):
    """A River object as a model.

    Attributes
    ----------
    name
        Of the model.
    accepted
        Names of the parameters of the River object.
    make
        Makes the River object.
    """

    name: str
    accepted: Sequence[str]
    make: Make

    def model(self, index: ItemIndex, parameters: Mapping[str, Any], defaults: Mapping[str, Any]) -> Model:
        """Make the model.

        Parameters
        ----------
        parameters
            Of the wrapper and of the River object, from the settings; `seed` is that of both.
        defaults
            Parameters of all models; the wrapper gets those that it has.

        Raises
        ------
        UserError
            If the River object is no model, or it has no parameter of a name.
        """
        seed = int({**defaults, **parameters}.get("seed", 7))
        own = {name: value for name, value in parameters.items() if name in self.accepted}
        try:
            river = self.make(own, seed)
        except ValueError as error:
            raise UserError(f"{self.name}: {error}.") from None
        wrapper = wrapper_of(self.name, river)
        names = wrapper_parameters(wrapper)
        unknown = sorted(parameters.keys() - self.accepted - names.keys())
        if unknown:
            known = ", ".join((*self.accepted, *(name for name in names if name not in self.accepted)))
            raise UserError(f"{self.name} has no {unknown[0]!r}; it has {known}.")
        arguments = {**defaults, **parameters}
        try:
            return wrapper(
                index,
                river=river,
                name=self.name,
                **{name: arguments[name] for name in names if name in arguments},
            )
        except ValueError as error:
            raise UserError(f"{self.name}: {error}.") from None


def wrapper_of(name: str, river: Any) -> type[RiverModel]:
    """The class that makes a model of a River object.

    Raises
    ------
    UserError
        If there is none.
    """
    if isinstance(river, reco.base.Ranker):
        return RiverRanker
    if isinstance(river, base.Regressor | base.Classifier):
        return RiverEstimator
    raise UserError(
        f"{name} is no model: {type(river).__name__} neither ranks (river.reco) nor predicts (a regressor, a "
        "classifier, or a pipeline that ends with one). Append such a step."
    )


def wrapper_parameters(wrapper: type[RiverModel]) -> dict[str, Any]:
    """Hyperparameters of a wrapper and their defaults."""
    return {name: value for name, value in wrapper.hyper_parameters().items() if name not in _NOT_SET}


def find_source(name: str, built_in: Mapping[str, type[Model]]) -> type[Model] | RiverSource | None:
    """The class or the River object of a name; None if there is none.

    Parameters
    ----------
    name
        A name of `built_in`; ``river:`` and a path or an expression, see `stream_app.models.river_paths`; or a name
        that a package registers as ``headrace.models``: a subclass of `Model`, or a class, an instance or a function
        that gives a River object.

    Raises
    ------
    UserError
        If what the name stands for cannot be used.
    """
    if name in built_in:
        return built_in[name]
    if is_river_name(name):
        path = name.removeprefix(PREFIX)
        try:
            accepted = parameter_names(path)
        except ValueError as error:
            raise UserError(f"HEADRACE_MODELS: {error}.") from None
        return RiverSource(name, accepted, lambda given, seed: river_object(path, given, seed=seed))
    if not plugins.is_registered(plugins.MODELS, name):
        return None
    return _registered_source(name, plugins.load_plugin(plugins.MODELS, name))


def _registered_source(name: str, loaded: Any) -> type[Model] | RiverSource:
    if isclass(loaded) and issubclass(loaded, Model):
        if loaded.name != name:
            raise UserError(
                f"{plugins.MODELS}: {name!r} is {loaded.__name__}, whose name is {loaded.name!r}. Give both one name."
            )
        return loaded
    if isinstance(loaded, base.Base):
        return RiverSource(name, tuple(_plain_parameters(loaded)), partial(_copied, loaded))
    if callable(loaded):
        try:
            made = loaded()
        except Exception as error:
            raise UserError(
                f"{plugins.MODELS}: {name!r} could not be made: {type(error).__name__}: {error}. It is called "
                "without arguments."
            ) from error
        if isinstance(made, base.Base):
            return RiverSource(name, tuple(_plain_parameters(made)), partial(_copied, made))
    raise UserError(
        f"{plugins.MODELS}: {name!r} is {loaded!r}, which is neither a subclass of stream_app.models.base.Model nor "
        "makes a River object."
    )


def _copied(river: base.Base, parameters: Mapping[str, Any], seed: int) -> Any:
    """A copy that has learned nothing, with a seed wherever it has none."""
    copy = river.clone(dict(parameters))
    set_seeds(copy, seed)
    return copy


def _plain_parameters(river: base.Base) -> list[str]:
    """Names of the parameters that a setting can replace; none of a pipeline, whose parameters are its steps."""
    params = river._get_params()  # noqa: SLF001  # River has no other way
    return [name for name, value in params.items() if value is None or isinstance(value, int | float | str)]

"""Where a policy of a name comes from: Headrace, River, or a package of the shop's own."""

from collections.abc import Mapping
from inspect import isclass
from typing import Any

from river import bandit

from stream_app.bandit.policy import Policy
from stream_app.bandit.river_policy import RiverPolicy
from stream_app.errors import UserError
from stream_app.models import plugins
from stream_app.models.river_paths import PREFIX, is_river_name, parameter_names, river_object


def make_foreign_policy(name: str, features: int, parameters: Mapping[str, Any]) -> Policy | None:
    """Make a policy of River or of an installed package; None if there is none of that name.

    Parameters
    ----------
    name
        ``river:`` and a path or a call of `river.bandit`, or a name that a package registers as
        ``headrace.policies``: a subclass of `Policy` with that name, or a policy of River.
    features
        Number of features of a candidate.
    parameters
        Settings, of which the policy, and River's within it, get those that they have.

    Raises
    ------
    UserError
        If what the name stands for is no policy.
    ValueError
        If a setting is out of range.
    """
    if is_river_name(name):
        path = name.removeprefix(PREFIX)
        accepted = parameter_names(path)
        own = {key: value for key, value in parameters.items() if key in accepted}
        return _wrapped(
            name, river_object(path, own, seed=int(parameters.get("seed", 7))), features, parameters
        )
    if not plugins.is_registered(plugins.POLICIES, name):
        return None
    loaded = plugins.load_plugin(plugins.POLICIES, name)
    if isclass(loaded) and issubclass(loaded, Policy):
        if loaded.name != name:
            raise UserError(
                f"{plugins.POLICIES}: {name!r} is {loaded.__name__}, whose name is {loaded.name!r}. Give both one "
                "name."
            )
        return loaded(features, **_accepted(loaded, parameters))
    if callable(loaded):
        loaded = loaded()
    return _wrapped(name, loaded, features, parameters)


def _wrapped(name: str, river: Any, features: int, parameters: Mapping[str, Any]) -> Policy:
    if not isinstance(river, bandit.base.Policy):
        raise UserError(
            f"{name} is no policy: {type(river).__name__} is neither a subclass of stream_app.bandit.policy.Policy "
            "nor a policy of river.bandit."
        )
    return RiverPolicy(features, river=river, name=name, **_accepted(RiverPolicy, parameters))


def _accepted(policy: type[Policy], parameters: Mapping[str, Any]) -> dict[str, Any]:
    fields = policy.config_class.__struct_fields__
    return {key: value for key, value in parameters.items() if key in fields}

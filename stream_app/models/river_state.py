"""What a River object has learned, as plain data: no pickle, so that a snapshot cannot run code.

A state is written over an object that was made from the settings: it fills numbers, arrays and containers, and keeps
functions and factories as the constructor made them. New objects are made of River's classes alone.
"""

import random
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Mapping, MutableMapping
from importlib import import_module
from typing import Any, Final

import numpy as np
from river import base, compose
from river.utils import VectorDict

from stream_app.models.model_state import State
from stream_app.models.river_graph import CONSTANTS

_FACTORIES: Final = {"float": float, "int": int, "list": list, "dict": dict, "set": set}
_MAPPINGS: Final[dict[str, type[Any]]] = {
    "dict": dict,
    "ordered": OrderedDict,
    "counter": Counter,
    "default": defaultdict,
    "vector": VectorDict,
}
_SEQUENCES: Final[dict[str, type[Any]]] = {"list": list, "tuple": tuple, "deque": deque, "set": set}
_CACHES: Final = (compose.Pipeline,)
"""Classes whose private attributes refer to their parts again."""

_CONSTANT: Final = {"type": "constant"}


class NotPlainError(ValueError):
    """An object holds what cannot be saved as plain data."""


def river_state(root: base.Base, *, with_random: bool = True) -> State | None:
    """Everything that an object has learned, as plain data; None if that is not possible.

    It is not where an object is implemented in another language (River's quantiles, trees of Mondrian), or holds
    functions in what it learns.

    Parameters
    ----------
    with_random
        Whether to save the state of random generators, 2.5 kB each.

    Examples
    --------
    >>> from river import reco
    >>> model, other = reco.BiasedMF(seed=1), reco.BiasedMF(seed=1)
    >>> model.learn_one("ann", "shoe", 1.0)
    >>> restore_river(other, river_state(model))
    >>> model.predict_one("ann", "shoe") == other.predict_one("ann", "shoe")
    True
    """
    try:
        return {"root": _Encoder(with_random).encode(root, ())}
    except (NotPlainError, RecursionError):
        return None


def restore_river(root: base.Base, state: Mapping[str, Any]) -> None:
    """Fill an object that has learned nothing with the result of `river_state`.

    Raises
    ------
    ValueError
        If the state is not that of an object of this class.
    """
    try:
        restored = _decoded(state["root"], root)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"the state of {type(root).__name__} is malformed: {error!r}") from None
    if restored is not root:
        raise ValueError(f"the state is not that of {type(root).__name__}")


class _Encoder:
    """Makes plain data of values; a path holds the ids of the objects around a value."""

    def __init__(self, with_random: bool) -> None:
        self._with_random = with_random

    def encode(self, value: Any, path: tuple[int, ...]) -> Any:
        """Plain data of a value."""
        if value is None or type(value) in (bool, int, float, str):
            return value
        if isinstance(value, np.generic):
            return self.encode(value.item(), path)
        if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
            return value.copy()
        if isinstance(value, CONSTANTS):
            return dict(_CONSTANT)
        if id(value) in path:
            raise NotPlainError("an object refers to itself")
        if isinstance(value, random.Random | np.random.RandomState):
            return self._random(value)
        return self._container(value, (*path, id(value)))

    def _random(self, value: random.Random | np.random.RandomState) -> State:
        if isinstance(value, random.Random):
            if not self._with_random:
                return {"type": "random", "numbers": None}
            version, numbers, gauss = value.getstate()
            return {
                "type": "random",
                "version": version,
                "numbers": np.array(numbers, np.uint32),
                "gauss": gauss,
            }
        name, numbers, position, has_gauss, gauss = value.get_state(legacy=True)
        return {
            "type": "random_state",
            "name": name,
            "numbers": np.array(numbers, np.uint32),
            "position": int(position),
            "has_gauss": int(has_gauss),
            "gauss": float(gauss),
        }

    def _container(self, value: Any, path: tuple[int, ...]) -> State:
        for name, kind in _MAPPINGS.items():
            if type(value) is kind:
                return self._mapping(name, value, path)
        for name, kind in _SEQUENCES.items():
            if type(value) is kind:
                values = sorted(value, key=repr) if kind is set else value
                return {"type": name, "values": [self.encode(each, path) for each in values]}
        return self._object(value, path)

    def _mapping(self, name: str, value: Any, path: tuple[int, ...]) -> State:
        items = value.to_dict() if name == "vector" else value
        keys = [self.encode(key, path) for key in items]
        factory = getattr(value, "default_factory", None)
        names = [each for each, kind in _FACTORIES.items() if kind is factory]
        return {
            "type": name,
            "factory": names[0] if names else None,
            "keys": keys,
            "values": self._values(list(items.values()), path),
        }

    def _values(self, values: list[Any], path: tuple[int, ...]) -> Any:
        """Values of a dictionary: one array if all are numbers or arrays of one shape."""
        if values and all(type(each) is float or isinstance(each, np.float64) for each in values):
            return np.array(values, np.float64)
        first = values[0] if values else None
        if isinstance(first, np.ndarray) and first.dtype == np.float64 and first.ndim == 1:
            shape = first.shape
            if all(
                isinstance(each, np.ndarray) and each.shape == shape and each.dtype == np.float64
                for each in values
            ):
                return np.array(values)
        return [self.encode(each, path) for each in values]

    def _object(self, value: Any, path: tuple[int, ...]) -> State:
        kind = type(value)
        if not kind.__module__.startswith("river.") or not hasattr(value, "__dict__"):
            raise NotPlainError(f"{kind.__module__}.{kind.__qualname__} has no plain state")
        # a generator without a seed starts anywhere: its state says nothing
        encoder = _Encoder(with_random=False) if vars(value).get("seed", 0) is None else self
        attributes = {
            name: encoder.encode(each, path)
            for name, each in vars(value).items()
            if not (isinstance(value, _CACHES) and name.startswith("_"))
        }
        return {"type": "object", "class": f"{kind.__module__}:{kind.__qualname__}", "attributes": attributes}


def _decoded(encoded: Any, current: Any) -> Any:
    """A value of a state; an object that is there already is filled."""
    if isinstance(encoded, np.ndarray):
        return np.array(encoded)
    if not isinstance(encoded, Mapping):
        return encoded
    kind = encoded["type"]
    if kind in _MAPPINGS:
        return _decoded_mapping(encoded, current)
    if kind in _SEQUENCES:
        return _decoded_sequence(encoded, current)
    if kind not in _DECODERS:
        raise ValueError(f"a state has no {kind!r}")
    return _DECODERS[kind](encoded, current)


def _decoded_constant(_: Mapping[str, Any], current: Any) -> Any:
    if not isinstance(current, CONSTANTS):
        raise ValueError("a function or a class of the state is not in the object")  # noqa: TRY004  # of a file
    return current


def _decoded_random(encoded: Mapping[str, Any], current: Any) -> Any:
    if encoded["numbers"] is None:
        return random.Random(0) if current is None else current
    current = random.Random() if current is None else current
    numbers = tuple(int(each) for each in encoded["numbers"])
    current.setstate((int(encoded["version"]), numbers, encoded["gauss"]))
    return current


def _decoded_random_state(encoded: Mapping[str, Any], current: Any) -> Any:
    current = np.random.RandomState() if current is None else current
    parts = ("name", "numbers", "position", "has_gauss", "gauss")
    current.set_state(tuple(encoded[part] for part in parts))
    return current


def _decoded_sequence(encoded: Mapping[str, Any], current: Any) -> Any:
    kind = _SEQUENCES[encoded["type"]]
    old = list(current) if isinstance(current, list | tuple | deque) else []
    old += [None] * len(encoded["values"])
    values = [_decoded(each, was) for each, was in zip(encoded["values"], old, strict=False)]
    if isinstance(current, list | deque) and type(current) is kind:
        current.clear()
        current.extend(values)
        return current
    return kind(values)


def _decoded_mapping(encoded: Mapping[str, Any], current: Any) -> Any:
    kind = _MAPPINGS[encoded["type"]]
    if type(current) is not kind:
        factory = _FACTORIES.get(encoded["factory"] or "")
        current = defaultdict(factory) if kind is defaultdict else kind()
    old = dict(current.items())
    keys = [_decoded(key, None) for key in encoded["keys"]]
    values = encoded["values"]
    if isinstance(values, np.ndarray):
        values = values.tolist() if values.ndim == 1 else [row.copy() for row in values]
    values = [_decoded(each, old.get(key)) for key, each in zip(keys, values, strict=True)]
    current.clear()
    for key, each in zip(keys, values, strict=True):
        current[key] = each
    return current


def _decoded_object(encoded: Mapping[str, Any], current: Any) -> Any:
    path = str(encoded["class"])
    if current is None or f"{type(current).__module__}:{type(current).__qualname__}" != path:
        current = _new_object(path)
    attributes: MutableMapping[str, Any] = vars(current)
    for name, each in encoded["attributes"].items():
        attributes[name] = _decoded(each, attributes.get(name))
    return current


def _new_object(path: str) -> Any:
    module, _, name = path.partition(":")
    if not module.startswith("river.") or not name.isidentifier():
        raise ValueError(f"{path} is no class of River")
    kind = getattr(import_module(module), name)
    if not (isinstance(kind, type) and kind.__module__ == module and issubclass(kind, base.Base)):
        raise ValueError(f"{path} is no class of River")
    return object.__new__(kind)


_DECODERS: Final[dict[str, Callable[[Mapping[str, Any], Any], Any]]] = {
    "constant": _decoded_constant,
    "random": _decoded_random,
    "random_state": _decoded_random_state,
    "object": _decoded_object,
}

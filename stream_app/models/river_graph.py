"""What a River object holds: removal of keys from it, and its size.

River's rankers and bandits keep a dictionary entry for each id that they ever met. The keys of Headrace are unique
texts, so that everything learned of an id can be found in whatever dictionaries an object has.
"""

import random
from collections import deque
from collections.abc import Collection, Iterable, Mapping, MutableMapping, MutableSet
from functools import partial
from sys import getsizeof
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, Final

import numpy as np
from river.utils import VectorDict

CONSTANTS: Final = (type, FunctionType, BuiltinFunctionType, MethodType, ModuleType, partial)
"""What a constructor puts into an object and learning does not change."""

SCALARS: Final = (str, bytes, int, float, complex, bool, type(None), np.generic)
RANDOM: Final = (random.Random, np.random.RandomState, np.random.Generator)

_BYTES_PER_ENTRY: Final = 104
_BYTES_PER_OBJECT: Final = 400
_BYTES_PER_RANDOM: Final = 2_600


def is_leaf(value: Any) -> bool:
    """Whether a value holds no keys."""
    return isinstance(value, (*SCALARS, *CONSTANTS, *RANDOM, np.ndarray))


def forget_keys(root: Any, keys: Collection[str]) -> bool:
    """Remove keys from all dictionaries and sets that an object holds.

    Parameters
    ----------
    root
        An object of River, or of a package that follows its manners.
    keys
        Texts that are used for nothing else. A tuple with one of them, or a text that ends with ``_`` and one of
        them (as River's factorization machines name features), is a key, too.

    Returns
    -------
    bool
        False if a key may be left: in a list, or in an object that cannot be looked into. The object must not be used
        then.

    Examples
    --------
    >>> from river import reco
    >>> model = reco.Baseline()
    >>> model.learn_one("u1", "i1", 1.0)
    >>> forget_keys(model, {"u1"}), list(model.u_biases), list(model.i_biases)
    (True, [], ['i1'])
    """
    return _forget(root, frozenset(keys), set())


def set_seeds(root: Any, seed: int) -> None:
    """Seed every random object that has no seed, so that workers learn the same.

    Parameters
    ----------
    root
        An object that has learned nothing.

    Examples
    --------
    >>> from river import reco
    >>> model = reco.FunkMF()
    >>> set_seeds(model, 5)
    >>> model.seed, model.initializer.seed
    (5, 5)
    """
    pending, seen = [root], set[int]()
    while pending:
        value = pending.pop()
        if is_leaf(value) or id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, Mapping):
            pending += value.values()
        elif isinstance(value, list | tuple | deque | set | frozenset):
            pending += value
        elif hasattr(value, "__dict__"):
            attributes = vars(value)
            if "seed" in attributes and attributes["seed"] is None:
                attributes["seed"] = seed
                generator = attributes.get("_rng")
                if isinstance(generator, random.Random | np.random.RandomState):
                    generator.seed(seed)
            pending += attributes.values()


def _forget(value: Any, keys: frozenset[str], seen: set[int]) -> bool:
    if is_leaf(value) or id(value) in seen:
        return not (isinstance(value, str) and _names(value, keys))
    seen.add(id(value))
    if isinstance(value, MutableMapping | VectorDict):
        for key in [key for key in _candidates(value, keys) if _names(key, keys)]:
            del value[key]
        return _forget_all(_values_to_search(value), keys, seen)
    if isinstance(value, MutableSet):
        value.difference_update([each for each in value if _names(each, keys)])  # type: ignore[attr-defined]
        return True
    if isinstance(value, list | tuple | deque):
        return _forget_all(value, keys, seen)
    return hasattr(value, "__dict__") and _forget_all(vars(value).values(), keys, seen)


def _forget_all(values: Iterable[Any], keys: frozenset[str], seen: set[int]) -> bool:
    # every value is searched, also after one that cannot be
    return sum(not _forget(each, keys, seen) for each in values) == 0


def _candidates(mapping: Any, keys: frozenset[str]) -> Iterable[Any]:
    """Keys of a mapping that may be or contain one of `keys`, without a scan where its keys are plain."""
    if not len(mapping):
        return ()
    first = next(iter(mapping))
    if isinstance(first, str) and "_" not in first:
        return [key for key in keys if key in mapping]
    return list(mapping)


def _names(key: Any, keys: frozenset[str]) -> bool:
    if isinstance(key, str):
        return key in keys or ("_" in key and key.rsplit("_", 1)[1] in keys)
    return isinstance(key, tuple) and any(_names(each, keys) for each in key)


def _values_to_search(mapping: Any) -> Iterable[Any]:
    """Values of a mapping; none if the first shows that all are plain."""
    first = next(iter(mapping.values()), None)
    if isinstance(first, str) or not is_leaf(first):
        return list(mapping.values())
    return ()


def held_bytes(root: Any) -> int:
    """Bytes that an object holds, to within a few percent, by the sizes of its containers.

    Examples
    --------
    >>> from river import reco
    >>> model = reco.BiasedMF()
    >>> before = held_bytes(model)
    >>> for user in range(1000):
    ...     model.learn_one(user, "i1", 1.0)
    >>> 350 < (held_bytes(model) - before) / 1000 < 600
    True
    """
    return _bytes(root, set())


def _bytes(value: Any, seen: set[int]) -> int:
    if is_leaf(value):
        return _leaf_bytes(value, seen)
    if id(value) in seen:
        return 0
    seen.add(id(value))
    if isinstance(value, Mapping | VectorDict):
        first = next(iter(value.values()), None)
        if first is None or is_leaf(first):
            # all values are alike: users' vectors, weights of features
            return len(value) * (_BYTES_PER_ENTRY + 56 + _bytes(first, seen))
        return sum(_BYTES_PER_ENTRY + 56 + _bytes(each, seen) for each in list(value.values()))
    if isinstance(value, list | tuple | deque | set | frozenset):
        return sum(8 + _bytes(each, seen) for each in value)
    attributes = vars(value).values() if hasattr(value, "__dict__") else ()
    return _BYTES_PER_OBJECT + sum(_bytes(each, seen) for each in attributes)


def _leaf_bytes(value: Any, seen: set[int]) -> int:
    if isinstance(value, np.ndarray):
        return value.nbytes + 112
    if isinstance(value, SCALARS):
        return getsizeof(value)
    if isinstance(value, CONSTANTS) or id(value) in seen:
        return 0
    seen.add(id(value))
    return _BYTES_PER_RANDOM

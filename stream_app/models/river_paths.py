"""River objects by name: ``reco.BiasedMF``, ``preprocessing.StandardScaler() | linear_model.LogisticRegression()``.

A text is parsed, not evaluated: it may name classes of River, call them with literals and with such objects, and join
them by ``|``, ``+`` and ``*`` as River does. Nothing else is reached by it.
"""

import ast
import re
from collections.abc import Mapping
from importlib import import_module
from inspect import Parameter, isclass, signature
from typing import Any, Final

from river import base

PREFIX: Final = "river:"
"""Begins the name of a River object where other names are possible."""

_MAX_LENGTH: Final = 1_000


def described(river: base.Base) -> str:
    """A River object and its parameters in one line, the same in each process.

    Examples
    --------
    >>> from river import optim
    >>> described(optim.initializers.Normal(sigma=0.1, seed=1))
    'Normal ( mu=0. sigma=0.1 seed=1 )'
    """
    return re.sub(r" at 0x[0-9a-fA-F]+", "", " ".join(repr(river).split()))


def is_river_name(name: str) -> bool:
    """Whether a name is that of a River object.

    Examples
    --------
    >>> is_river_name("river:reco.BiasedMF"), is_river_name("popularity")
    (True, False)
    """
    return name.startswith(PREFIX)


def river_object(text: str, parameters: Mapping[str, Any] | None = None, *, seed: int = 7) -> Any:
    """Make the object that a text describes.

    Parameters
    ----------
    text
        Path of a class below ``river``, or an expression of such classes.
    parameters
        Arguments of the class, if the text is a path alone or a call. A text that describes a River object stands
        for that object.
    seed
        For each class with a ``seed`` that is not given: workers must learn the same.

    Raises
    ------
    ValueError
        If the text cannot be parsed, a class does not exist, or it does not accept an argument.

    Examples
    --------
    >>> river_object("reco.BiasedMF", {"n_factors": 4, "latent_optimizer": "optim.SGD(0.05)"}).n_factors
    4
    >>> print(river_object("preprocessing.StandardScaler() | linear_model.LogisticRegression(l2=0.1)"))
    StandardScaler | LogisticRegression
    >>> river_object("reco.BiasedNF")
    Traceback (most recent call last):
    ValueError: River has no reco.BiasedNF; reco has Baseline, BiasedMF, FunkMF, RandomNormal
    """
    if len(text) > _MAX_LENGTH:
        raise ValueError(f"a description of a River object has at most {_MAX_LENGTH} characters")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError):
        raise ValueError(f"{text!r} is no path such as reco.BiasedMF") from None
    given = {name: _value(each, seed) for name, each in (parameters or {}).items()}
    if given and not isinstance(tree, ast.Attribute | ast.Call):
        raise ValueError(f"{', '.join(given)}: write the parameters of a pipeline into its steps")
    return _evaluate(tree, seed, given)


def parameter_names(text: str) -> tuple[str, ...]:
    """Names of the arguments that the class of a text accepts; none for an expression of several.

    Raises
    ------
    ValueError
        If the class does not exist.

    Examples
    --------
    >>> parameter_names("bandit.UCB")
    ('delta', 'reward_obj', 'reward_scaler', 'burn_in', 'seed')
    """
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError):
        raise ValueError(f"{text!r} is no path such as reco.BiasedMF") from None
    if isinstance(tree, ast.Call):
        tree = tree.func
    if not isinstance(tree, ast.Attribute):
        return ()
    kinds = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
    return tuple(name for name, each in signature(_class(tree)).parameters.items() if each.kind in kinds)


def _evaluate(tree: ast.AST, seed: int, parameters: Mapping[str, Any]) -> Any:
    """The object of a node; `parameters` are those of its outermost class."""
    if isinstance(tree, ast.Attribute):
        return _call(_class(tree), (), parameters, seed)
    if isinstance(tree, ast.Call):
        if not isinstance(tree.func, ast.Attribute):
            raise ValueError(f"{ast.unparse(tree.func)} is no class of River")  # noqa: TRY004  # of a setting
        arguments = [_argument(each, seed) for each in tree.args]
        named = {each.arg: _argument(each.value, seed) for each in tree.keywords if each.arg is not None}
        if len(named) < len(tree.keywords):
            raise ValueError(f"{ast.unparse(tree)}: ** is not possible here")
        return _call(_class(tree.func), arguments, {**named, **parameters}, seed)
    if isinstance(tree, ast.BinOp) and isinstance(tree.op, ast.BitOr | ast.Add | ast.Mult):
        left, right = _evaluate(tree.left, seed, {}), _evaluate(tree.right, seed, {})
        try:
            if isinstance(tree.op, ast.BitOr):
                return left | right
            return left + right if isinstance(tree.op, ast.Add) else left * right
        except (TypeError, ValueError) as error:
            raise ValueError(f"{ast.unparse(tree)}: {error}") from None
    raise ValueError(f"{ast.unparse(tree)} is neither a class of River nor a pipeline of some")


def _argument(tree: ast.AST, seed: int) -> Any:
    """A literal, a list of arguments, or a River object."""
    if isinstance(tree, ast.List | ast.Tuple):
        elements = [_argument(each, seed) for each in tree.elts]
        return elements if isinstance(tree, ast.List) else tuple(elements)
    try:
        return ast.literal_eval(tree)
    except ValueError:
        return _evaluate(tree, seed, {})


def _value(given: Any, seed: int) -> Any:
    """A parameter of the settings: a text that describes a River object stands for it."""
    if not isinstance(given, str) or "." not in given:
        return given
    try:
        return river_object(given, seed=seed)
    except ValueError:
        if given.split(".")[0].isidentifier() and "(" in given:
            raise
        return given


def _class(tree: ast.Attribute) -> type[Any]:
    path = ast.unparse(tree)
    *modules, name = path.split(".")
    if not all(part.isidentifier() and not part.startswith("_") for part in (*modules, name)):
        raise ValueError(f"{path!r} is no path such as reco.BiasedMF")
    try:
        module = import_module(".".join(("river", *modules)))
    except ImportError:
        raise ValueError(f"River has no module {'.'.join(modules)}") from None
    found = getattr(module, name, None)
    if not isclass(found) or not issubclass(found, base.Base):
        known = [
            each
            for each in getattr(module, "__all__", ())
            if isclass(getattr(module, each)) and issubclass(getattr(module, each), base.Base)
        ]
        raise ValueError(f"River has no {path}; {'.'.join(modules)} has {', '.join(known) or 'no classes'}")
    return found


def _call(kind: type[Any], arguments: Any, named: Mapping[str, Any], seed: int) -> Any:
    accepted = signature(kind).parameters
    seeded = {"seed": seed} if "seed" in accepted and "seed" not in named else {}
    try:
        bound = signature(kind).bind(*arguments, **named)
        if "seed" in bound.arguments:
            seeded = {}
        return kind(*arguments, **{**seeded, **named})
    except Exception as error:  # noqa: BLE001  # whatever the constructor of a class raises for the values of a setting
        raise ValueError(f"{kind.__name__}: {error}; it has {', '.join(accepted)}") from None

"""Every registered model passes every check."""

import pkgutil
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from typing import Any

import pytest

import stream_app.models
from stream_app.models.base import Model
from stream_app.models.registry import MODELS
from tests.checks.model_checks import CHECKS, check_old_events_decay
from tests.checks.model_harness import MakeHarness, ModelHarness

ALTERNATIVES = [
    ("item_to_item", "similarity", "jaccard"),
    ("item_to_item", "similarity", "pearson"),
    ("item_to_item", "similarity", "lift"),
    ("user_knn", "similarity", "jaccard"),
    ("user_knn", "similarity", "pearson"),
    ("session_knn", "weighting", "vsknn"),
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
@pytest.mark.parametrize("name", MODELS)
def test_model(name: str, check: Callable[[MakeHarness], None]) -> None:
    check(partial(ModelHarness, name))


# Lift divides by the counts of both items, and so divides their age out.
PARAMETER_CASES = [
    pytest.param(name, {what: choice}, check, id=f"{name}-{choice}-{check.__name__.removeprefix('check_')}")
    for name, what, choice in ALTERNATIVES
    for check in CHECKS
    if (choice, check) != ("lift", check_old_events_decay)
]


@pytest.mark.parametrize(("name", "parameters", "check"), PARAMETER_CASES)
def test_model_with_alternative_parameters(
    name: str, parameters: dict[str, Any], check: Callable[[MakeHarness], None]
) -> None:
    check(partial(ModelHarness, name, **parameters))


def _models(base: type[Model]) -> Iterator[type[Model]]:
    for kind in base.__subclasses__():
        if "name" in vars(kind):
            yield kind
        yield from _models(kind)


def test_every_model_of_the_package_is_registered() -> None:
    for module in pkgutil.iter_modules(stream_app.models.__path__, "stream_app.models."):
        import_module(module.name)
    assert {*_models(Model)} == {*MODELS.values()}
    assert all(name == model.name for name, model in MODELS.items())

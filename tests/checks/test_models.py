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
from tests.checks.model_checks import CHECKS, Make, Shop, check_old_events_fade

CHOICES = [
    ("item_to_item", "similarity", "jaccard"),
    ("item_to_item", "similarity", "pearson"),
    ("item_to_item", "similarity", "lift"),
    ("user_knn", "similarity", "jaccard"),
    ("user_knn", "similarity", "pearson"),
    ("session_knn", "weighting", "vsknn"),
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
@pytest.mark.parametrize("name", MODELS)
def test_model(name: str, check: Callable[[Make], None]) -> None:
    check(partial(Shop, name))


# Lift divides by the counts of both items, and so divides their age out.
CHOSEN = [
    pytest.param(name, {what: choice}, check, id=f"{name}-{choice}-{check.__name__.removeprefix('check_')}")
    for name, what, choice in CHOICES
    for check in CHECKS
    if (choice, check) != ("lift", check_old_events_fade)
]


@pytest.mark.parametrize(("name", "chosen", "check"), CHOSEN)
def test_model_by_another_choice(name: str, chosen: dict[str, Any], check: Callable[[Make], None]) -> None:
    check(partial(Shop, name, **chosen))


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

"""Every registered model passes every check."""

import contextlib
import pkgutil
from collections.abc import Iterator
from functools import partial
from importlib import import_module
from typing import Any

import pytest

import stream_app.models
from stream_app.models.base import Model
from stream_app.models.registry import MODELS, TRAINED_MODELS
from stream_app.tools.model_checks.harness import ModelHarness, stream
from stream_app.tools.model_checks.model_check import ModelCheck, NotApplicableError, Outcome, run_checks
from stream_app.tools.model_checks.suite import CHECKS

ALTERNATIVES = [
    ("item_to_item", "similarity", "jaccard"),
    ("item_to_item", "similarity", "pearson"),
    ("item_to_item", "similarity", "lift"),
    ("user_knn", "similarity", "jaccard"),
    ("user_knn", "similarity", "pearson"),
    ("session_knn", "weighting", "vsknn"),
]


RIVER_MODELS = [
    "river:reco.BiasedMF",
    "river:reco.FunkMF(optimizer=optim.Adam(0.01))",
    "river:preprocessing.StandardScaler() | linear_model.LogisticRegression()",
    "river:naive_bayes.GaussianNB",
]

SOURCES = {
    "popular",
    "also_viewed",
    "also_bought",
    "factors",
    "similar_sessions",
    "viewed_before",
    "bought_before",
    "viewed_next",
    "related",
    "similar_users",
    "similar_content",
    "matches_search",
    "chosen_after_search",
    "trending",
}
"""Sources of reasons, which docs/redis.md lists."""


def run(check: ModelCheck, name: str, **parameters: Any) -> None:
    with contextlib.suppress(NotApplicableError):
        check.run(partial(ModelHarness, name, **parameters))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
@pytest.mark.parametrize("name", [*MODELS, *RIVER_MODELS])
def test_model(name: str, check: ModelCheck) -> None:
    run(check, name)


# Lift divides by the counts of both items, and so divides their age out.
PARAMETER_CASES = [
    pytest.param(name, {what: choice}, check, id=f"{name}-{choice}-{check.name}")
    for name, what, choice in ALTERNATIVES
    for check in CHECKS
    if (choice, check.name) != ("lift", "old-events-decay")
]


@pytest.mark.parametrize(("name", "parameters", "check"), PARAMETER_CASES)
def test_model_with_alternative_parameters(name: str, parameters: dict[str, Any], check: ModelCheck) -> None:
    run(check, name, **parameters)


@pytest.mark.parametrize("name", MODELS)
def test_reasons_have_sources_that_a_page_lists(name: str) -> None:
    harness = ModelHarness(name).learn(*stream())
    sources = {
        harness.model.explain(context, item, evidence).source
        for context, found in zip(harness.contexts(), harness.lists(), strict=True)
        for item, evidence in zip(found.items.tolist(), found.evidence.tolist(), strict=True)
    }
    assert sources <= SOURCES


def test_an_index_of_a_harness_has_its_capacity() -> None:
    harness = ModelHarness("popularity", capacity=64, max_users=40)
    harness.learn(*stream(1000, users=300, items=500))
    assert len(harness.index) <= 64
    assert len(harness.tracker) <= 40


@pytest.mark.parametrize(
    ("name", "failed"),
    [
        # it draws a number whenever it is asked
        ("river:reco.RandomNormal", {"scoring-does-not-change-state", "candidates-have-the-highest-scores"}),
        # its tree grows
        ("river:tree.HoeffdingTreeClassifier", {"memory-is-bounded"}),
    ],
)
def test_a_model_that_breaks_a_rule_fails_its_check(name: str, failed: set[str]) -> None:
    results = run_checks(partial(ModelHarness, name), CHECKS)
    assert failed <= {result.check.name for result in results if result.outcome is Outcome.FAIL}


def _models(base: type[Model]) -> Iterator[type[Model]]:
    for kind in base.__subclasses__():
        # not those that other tests of this process define
        if "name" in vars(kind) and kind.__module__.startswith(stream_app.models.__name__):
            yield kind
        yield from _models(kind)


def test_every_model_of_the_package_is_registered() -> None:
    for module in pkgutil.iter_modules(stream_app.models.__path__, "stream_app.models."):
        import_module(module.name)
    assert {*_models(Model)} == {*MODELS.values(), *TRAINED_MODELS.values()}
    assert all(name == model.name for name, model in (MODELS | TRAINED_MODELS).items())

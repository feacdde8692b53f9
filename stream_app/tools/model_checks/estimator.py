"""Checks of a model as an estimator of River: ids in, and copies."""

import pickle
from copy import deepcopy
from typing import Any

from river import reco

from stream_app.models.river_model import RiverModel
from stream_app.tools.model_checks.harness import MakeHarness, ModelHarness, stream
from stream_app.tools.model_checks.model_check import Checks, check, expect

CHECKS: Checks = []

_ITEMS = [f"i{number}" for number in range(10)]


def _learned(harness: ModelHarness) -> ModelHarness:
    for event in stream(200):
        x = {"ts": event.ts, "kind": event.kind, "segments": event.segments, "query": "red thing"}
        harness.model.learn_one(event.user, event.item, event.weight, x)
    return harness


@check(
    CHECKS,
    "Derive from `Model`, which follows sessions by ids and calls `learn` and `score`.",
    river="Leave it out: its answers change from one question to the next, so that it ranks nothing.",
)
def check_ids_can_be_learned_and_ranked(make_harness: MakeHarness) -> None:
    """`learn_one`, `predict_one` and `rank` take ids, as those of River's rankers."""
    model = _learned(make_harness()).model
    expect(isinstance(model, reco.base.Ranker), "it is no river.reco.base.Ranker")
    ranked = model.rank("u1", {*_ITEMS, "unknown"})
    expect(sorted(ranked) == sorted([*_ITEMS, "unknown"]), "`rank` does not return the given items")
    scores = [model.predict_one("u1", item) for item in ranked]
    expect(scores == sorted(scores, reverse=True), "`rank` is not in the order of `predict_one`")
    expect(model.predict_one("u1", "unknown") == 0.0, "an unknown item scores above 0")


@check(
    CHECKS,
    "Keep each constructor keyword in an attribute of its name, and learn in no class attribute.",
    river="Its clones share what it has learned, so that it cannot begin anew: name it in one place alone, and start "
    "workers again to make it forget.",
)
def check_clones_have_learned_nothing(make_harness: MakeHarness) -> None:
    """A clone has the same parameters and an index of its own, and has learned nothing."""
    model = _learned(make_harness()).model
    clone = model.clone()
    expect(type(clone) is type(model), f"a clone is a {type(clone).__name__}")
    expect(clone.parameters() == model.parameters(), "a clone has other parameters")
    expect(clone.index is not model.index, "a clone shares the index")
    expect(all(clone.predict_one("u1", item) == 0.0 for item in _ITEMS), "a clone has learned items")
    before = model.rank("u1", _ITEMS)
    for _ in range(3):
        clone.learn_one("u1", "i9")
    expect(model.rank("u1", _ITEMS) == before, "what a clone learns changes the original")


@check(CHECKS, "Hold no lambdas, generators, locks or open files in attributes.")
def check_copies_go_on_alike(make_harness: MakeHarness) -> None:
    """`pickle` and `deepcopy` give a model that goes on where the original is."""
    original = _learned(make_harness()).model
    copies: list[Any] = [deepcopy(original)]
    if not isinstance(original, RiverModel) or original.is_saved:
        # other objects of River may not be picklable
        copies.append(pickle.loads(pickle.dumps(original)))  # noqa: S301  # nosec B301  # of this process
    for copy in copies:
        expect(copy.rank("u1", _ITEMS) == original.rank("u1", _ITEMS), "a copy ranks differently")
        copy.learn_one("u1", "i3")
    before = original.rank("u1", _ITEMS)
    for copy in copies:
        copy.learn_one("u1", "i4")
    expect(original.rank("u1", _ITEMS) == before, "what a copy learns changes the original")

"""Checks of what a model learns, and of the order in which it does."""

import numpy as np

from stream_app.models.river_model import RiverModel
from stream_app.tools.model_checks.harness import MakeHarness, ModelHarness, same, stream, view
from stream_app.tools.model_checks.model_check import Checks, NotApplicableError, check, expect

CHECKS: Checks = []


def require_learning(harness: ModelHarness) -> ModelHarness:
    """Skip a check of what a model learns for one that a trainer learns."""
    if harness.model.is_trained_apart:
        raise NotApplicableError("a trainer learns the model, and checkpoints hold it")
    return harness


@check(
    CHECKS,
    "Take all randomness from the seed and from hashes of ids, and iterate over no set.",
    river="Give it, and the objects within it, a `seed`, such as `(seed=1)`; without one, lists of workers differ.",
)
def check_learning_is_deterministic(make_harness: MakeHarness) -> None:
    """The same interactions in the same order give the same state."""
    expect(
        same(make_harness().learn(*stream()).model.state(), make_harness().learn(*stream()).model.state()),
        "two models that learned the same interactions have different states",
    )


@check(
    CHECKS, "See the error; give the River object parameters, or a scaler before it, with which it learns."
)
def check_river_objects_raise_no_errors(make_harness: MakeHarness) -> None:
    """A wrapped object of River learns and predicts without an error."""
    harness = make_harness()
    if not isinstance(harness.model, RiverModel):
        raise NotApplicableError("the model wraps no object of River")
    harness.learn(*stream()).lists()
    error = harness.model.last_error
    expect(
        error is None,
        f"{harness.model.n_errors} errors, the last: {type(error).__name__}: {error}",
    )


@check(CHECKS, "Propose an item as soon as `learn` has had it after an item of the context.")
def check_new_items_are_candidates_immediately(make_harness: MakeHarness) -> None:
    """An item is a candidate as soon as a few users chose it."""
    harness = require_learning(make_harness()).learn(*stream())
    before = harness.model.state()
    for number in range(3):
        harness.learn(view(f"v{number}", "i1", 30_000.0), view(f"v{number}", "fresh", 30_060.0))
    expect(not same(before, harness.model.state()), "six views of two items do not change the state")
    proposes = harness.model.proposes_new_items
    context = harness.context("v9", "i1") if proposes else harness.context("v9", "i1", "fresh")
    expect(
        harness.index.find("fresh") in harness.model.candidates(context, 100).items,
        "an item that three users viewed after another is not proposed with that one",
    )


@check(CHECKS, "Let sums decay by event time, not by the number of events.")
def check_old_events_decay(make_harness: MakeHarness) -> None:
    """Of an additive model, interactions of 30 half-lives ago weigh less than a few new ones."""
    harness = require_learning(make_harness(half_life=3600.0))
    if not harness.model.additive:
        raise NotApplicableError("only additive models must decay")
    for number in range(20):
        harness.learn(view(f"old{number}", "anchor", 0.0), view(f"old{number}", "old", 10.0))
    late = 3600.0 * 30
    for number in range(2):
        harness.learn(view(f"new{number}", "anchor", late), view(f"new{number}", "new", late + 10.0))
    # an item of every session has no correlation
    harness.learn(*(view(f"by{number}", "elsewhere", late) for number in range(20)))
    candidates = harness.model.candidates(harness.context("v", "anchor", now=late), 10).items.tolist()
    old, new = harness.index.find("old"), harness.index.find("new")
    expect(new in candidates, "two new choices are no candidate")
    # decayed sums stay above 0 until they are tiny
    expect(old in candidates, "20 old choices are no candidate at all")
    expect(candidates.index(new) < candidates.index(old), "20 old choices rank above two new ones")


@check(CHECKS, "Keep sums relative to a landmark that moves (stream_app.models.decay), and clip predictions.")
def check_scores_stay_finite_for_distant_times(make_harness: MakeHarness) -> None:
    """Events of years ahead or ago leave scores finite, and some candidates."""
    harness = make_harness(half_life=60.0).learn(*stream(100))
    for jump in (1e6, 1e9, 1.1e9):
        harness.learn(*(event._replace(ts=event.ts + jump) for event in stream(50)), *stream(20))
        lists = harness.lists()
        for candidates in lists:
            expect(np.isfinite(candidates.scores).all(), f"after {jump:g} seconds, scores are not finite")
        expect(any(len(each.items) for each in lists), f"after {jump:g} seconds, nothing is proposed")


@check(CHECKS, "Set `additive = False`, or make learning a sum over interactions.")
def check_additive_models_do_not_depend_on_order(make_harness: MakeHarness) -> None:
    """An additive model is the same for any order of the interactions."""
    if not make_harness().model.additive:
        raise NotApplicableError("the model does not claim to be additive")
    events = [event for event in stream() if event.weight > 0]
    in_order = make_harness(half_life=600.0).learn(*events).named_lists()
    by_user = sorted(events, key=lambda event: event.user)
    backwards = sorted(events, key=lambda event: event.user, reverse=True)
    for order in (by_user, backwards):
        expect(
            make_harness(half_life=600.0).learn(*order).named_lists() == in_order,
            "another order of the interactions gives other lists",
        )

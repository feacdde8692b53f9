"""Checks of a learned fusion: lists, learning, saved states and bounds."""

from collections.abc import Callable
from copy import deepcopy

import numpy as np

from stream_app.ranking.fusion.choice_fusion import MIN_CHOICES
from stream_app.tools.model_checks.fusion_harness import FusionHarness
from stream_app.tools.model_checks.harness import same
from stream_app.tools.model_checks.model_check import Checks, check, expect, fail
from stream_app.tools.model_checks.state import expect_plain
from topics.records import Reason

CHECKS: Checks = []

Make = Callable[[], FusionHarness]

_SESSIONS = 150


@check(CHECKS, "Return `FusedList` as its docstring says; `ChoiceFusion.fuse` does.")
def check_lists_are_well_formed(make: Make) -> None:
    """A list has distinct items that may be listed, best first, with probabilities as scores, each with a reason."""
    harness = make().learn(_SESSIONS)
    some = False
    for length in (1, 10, 100):
        for context, fused in zip(harness.contexts(), harness.lists(length, without=["hit"]), strict=True):
            items, scores = fused.items.tolist(), fused.scores
            some |= len(items) > 1
            expect(len(items) <= length, f"{len(items)} items on a list of {length}")
            expect(len(set(items)) == len(items), "an item is listed twice")
            expect(harness.models.index.find("hit") not in items, "an item that may not be listed is listed")
            expect(
                {len(scores), len(fused.sources), len(fused.evidence)} == {len(items)},
                "columns differ in length",
            )
            expect(((scores >= 0) & (scores <= 1.0 + 1e-6)).all(), "a score is no probability")
            expect((np.diff(scores) <= 1e-6).all(), "items are not in the order of their scores")
            n_sources = len(harness.fusion.proposals(context))
            for source, evidence in zip(fused.sources.tolist(), fused.evidence.tolist(), strict=True):
                expect(source < n_sources, f"an item has source {source} of {n_sources}")
                if source < 0:
                    expect(
                        isinstance(harness.fusion.explain(source, evidence), Reason),
                        "`explain` gives no reason",
                    )
    expect(some, "no list has two items")


@check(CHECKS, "Select the best items of one order.")
def check_shorter_lists_are_prefixes(make: Make) -> None:
    """The best five are the first five of the best twenty."""
    harness = make().learn(_SESSIONS)
    for few, many in zip(harness.named_lists(5), harness.named_lists(20), strict=True):
        names = [[name for name, _ in each] for each in (few, many)]
        expect(names[0] == names[1][: len(names[0])], "five items are others than the first of twenty")


@check(CHECKS, "Let `shortlist`, `score` and `fuse` read only.")
def check_fusing_does_not_change_state(make: Make) -> None:
    """Making lists changes nothing, and the second list of a user is the first."""
    harness = make().learn(_SESSIONS)
    before, first = harness.fusion.state(), harness.named_lists()
    expect(harness.named_lists() == first, "the second list of a user differs from the first")
    expect(same(before, harness.fusion.state()), "the state differs after lists were made")


@check(CHECKS, "Take all randomness from the seed, and iterate over no set.")
def check_learning_is_deterministic(make: Make) -> None:
    """The same interactions give the same state and the same lists."""
    one, other = make().learn(_SESSIONS), make().learn(_SESSIONS)
    expect(
        same(one.fusion.state(), other.fusion.state()), "two fusions that learned the same differ in state"
    )
    expect(one.named_lists() == other.named_lists(), "two fusions that learned the same give other lists")


@check(CHECKS, "Learn in `_learn_row`, and call `on_interaction` of `ChoiceFusion`.")
def check_choices_are_learned(make: Make) -> None:
    """After some hundred choices the fusion is ready, and ranks what follows an item above chance."""
    harness = make()
    expect(not harness.fusion.ready, "a fusion that has learned nothing is ready")
    before = harness.fusion.state()
    harness.learn(2 * _SESSIONS)
    expect(not same(before, harness.fusion.state()), "choices do not change the state")
    choices = harness.fusion.ranker.choices
    expect(choices >= MIN_CHOICES, f"{choices} of some thousand choices are learned")
    expect(harness.fusion.ready, f"`ready` is false with {choices} choices")
    [after, *_] = harness.named_lists(10)
    expect("i3" in [name for name, _ in after], "what follows two items in most sessions is not among ten")


@check(CHECKS, "Put numbers, texts, bytes, lists, dictionaries and numpy arrays into the state; copy arrays.")
def check_state_is_plain_data(make: Make) -> None:
    """The state is plain data that shares no memory with the fusion."""
    harness = make().learn(_SESSIONS)
    state = harness.fusion.state()
    expect_plain(state)
    copy = deepcopy(state)
    harness.learn(_SESSIONS, seed=2)
    expect(same(state, copy), "a state changed when the fusion learned more")


@check(CHECKS, "Save everything that lists and learning depend on; copy restored arrays.")
def check_state_round_trips(make: Make) -> None:
    """A restored fusion has the state, the lists and the further learning of the original."""
    harness, other = make().learn(_SESSIONS), make().learn(_SESSIONS)
    state = deepcopy(harness.fusion.state())
    harness.learn(20, seed=3)
    other.learn(20, seed=3)
    other.fusion.restore(state)
    harness.fusion.restore(deepcopy(state))
    expect(same(other.fusion.state(), state), "the state of the restored fusion differs")
    for part in ("at once", "after it learned more"):
        expect(harness.named_lists() == other.named_lists(), f"lists of the restored fusion differ {part}")
        harness.learn(20, seed=4)
        other.learn(20, seed=4)


@check(CHECKS, "Inherit `state` and `restore`; name the columns in `_state_header`.")
def check_incompatible_states_are_rejected(make: Make) -> None:
    """A state of another format or fusion raises a ValueError."""
    harness = make()
    state = harness.fusion.state()
    for message, wrong in {
        "format": {**state, "format": 99},
        "state belongs to": {**state, "name": "another"},
    }.items():
        try:
            harness.fusion.restore(wrong)
        except ValueError as error:
            expect(message in str(error), f"the error does not name {message!r}: {error}")
        else:
            fail(f"a state with another {message} is restored")


@check(CHECKS, "Keep no table of users, lists or choices without a limit.")
def check_memory_is_bounded(make: Make) -> None:
    """Memory stays the same while it learns on."""
    harness = make().learn(2 * _SESSIONS)
    before = harness.fusion.memory()
    after = harness.learn(4 * _SESSIONS, seed=2).fusion.memory()
    expect(after <= 1.02 * before, f"memory grows from {before:,} to {after:,} bytes in 2,400 interactions")


@check(CHECKS, "Keep nothing of items but features, or drop it in `forget_items`.")
def check_forgotten_items_are_not_listed(make: Make) -> None:
    """An item that the index has forgotten is on no list."""
    harness = make().learn(_SESSIONS)
    number = harness.models.index.find("i3")
    harness.models.index.forget("i3")
    for fused in harness.lists(100):
        expect(number not in fused.items, "a forgotten item is listed")


@check(CHECKS, "Take the hyperparameters from the constructor's keywords.")
def check_clones_have_learned_nothing(make: Make) -> None:
    """A clone is a fusion of the same models that has learned nothing."""
    harness = make().learn(_SESSIONS)
    before = harness.fusion.state()
    clone = harness.fusion.clone()
    expect(type(clone) is type(harness.fusion), f"a clone is a {type(clone).__name__}")
    expect(clone.ranker.choices == 0, "a clone has learned choices")
    expect(same(before, harness.fusion.state()), "making a clone changes the original")

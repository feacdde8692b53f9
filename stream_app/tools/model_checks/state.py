"""Checks of saved states."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import numpy as np

from stream_app.models.river_model import RiverModel
from stream_app.tools.model_checks.harness import (
    MakeHarness,
    ModelHarness,
    leaves,
    same,
    stream,
)
from stream_app.tools.model_checks.learning import require_learning
from stream_app.tools.model_checks.model_check import Checks, NotApplicableError, check, expect, fail

CHECKS: Checks = []


def _require_saved(harness: ModelHarness) -> ModelHarness:
    require_learning(harness)
    model = harness.model
    if isinstance(model, RiverModel) and not model.is_saved:
        raise NotApplicableError(
            f"{type(model.river).__name__} cannot be saved as plain data: each start learns it from the log"
        )
    return harness


@check(CHECKS, "Put numbers, texts, bytes, lists, dictionaries and numpy arrays into the state; copy arrays.")
def check_state_is_plain_data(make_harness: MakeHarness) -> None:
    """The state is plain data, which a snapshot can hold without pickle."""
    expect_plain(make_harness().learn(*stream()).model.state())


def expect_plain(state: Mapping[str, Any]) -> None:
    """Fail a check unless a state is plain data; in the parameters, tuples stand for lists."""
    parameters = {key: _lists(value) for key, value in state["parameters"].items()}
    for leaf in leaves({**state, "parameters": parameters}):
        if isinstance(leaf, np.ndarray):
            expect(leaf.dtype.kind in "biuf", f"the state has an array of {leaf.dtype}")
        else:
            plain = leaf is None or type(leaf) in {str, int, float, bool, bytes}
            expect(plain, f"the state has a {type(leaf).__name__}")


def _lists(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


@check(CHECKS, "Copy arrays and lists into the state.")
def check_state_shares_no_memory(make_harness: MakeHarness) -> None:
    """A state does not change while the model goes on learning."""
    harness = make_harness().learn(*stream(300))
    state = harness.model.state()
    copy = deepcopy(state)
    harness.learn(*stream(300, seed=2))
    expect(same(state, copy), "a state changed when the model learned more")


@check(CHECKS, "Save everything that candidates, scores and learning depend on; copy restored arrays.")
def check_state_round_trips(make_harness: MakeHarness) -> None:
    """A restored model has the state, the lists and the further learning of the original."""
    harness = _require_saved(make_harness().learn(*stream()))
    other = make_harness()
    other.index.restore(harness.index.state())
    other.tracker.restore(harness.tracker.state())
    other.described = set(harness.described)
    state = harness.model.state()
    for leaf in leaves(state):
        if isinstance(leaf, np.ndarray):
            leaf.flags.writeable = False  # as arrays read from a file are
    other.model.restore(state)
    expect(same(state, other.model.state()), "the state of the restored model differs")
    more = stream(200, items=60, seed=5)
    for part in ("at once", "after it learned more"):
        for ours, theirs in zip(harness.lists(), other.lists(), strict=True):
            for column in ("items", "scores", "evidence"):
                expect(
                    getattr(ours, column).tolist() == getattr(theirs, column).tolist(),
                    f"{column} of the restored model differ {part}",
                )
        harness.learn(*more)
        other.learn(*more)
    expect(same(harness.model.state(), other.model.state()), "the restored model learns differently")


@check(CHECKS, "Let `_reset` drop everything learned.")
def check_restore_replaces_the_learned_state(make_harness: MakeHarness) -> None:
    """Restoring an empty state leaves nothing of what was learned."""
    harness = _require_saved(make_harness())
    empty = harness.model.state()
    harness.learn(*stream())
    expect(not same(empty, harness.model.state()), "learning does not change the state")
    _require_saved(harness).model.restore(make_harness().model.state())
    expect(all(len(each.items) == 0 for each in harness.lists()), "items are still proposed")


@check(CHECKS, "Inherit `state` and `restore`; give all hyperparameters in `parameters`.")
def check_incompatible_states_are_rejected(make_harness: MakeHarness) -> None:
    """A state of another format, model or parameter raises a ValueError."""
    harness = make_harness()
    state = harness.model.state()
    wrong = {"format": {**state, "format": 99}, "state belongs to": {**state, "name": "another"}}
    for parameter in state["parameters"]:
        wrong[parameter] = {**state, "parameters": {**state["parameters"], parameter: -5}}
    for message, each in wrong.items():
        try:
            harness.model.restore(each)
        except ValueError as error:
            expect(message in str(error), f"the error does not name {message!r}: {error}")
        else:
            fail(f"a state with another {message} is restored")

"""Checks of memory, and of what is forgotten."""

import math
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from stream_app.models.id_index import stable_hash
from stream_app.models.model_state import State
from stream_app.models.river_model import RiverModel
from stream_app.tools.model_checks.harness import MakeHarness, arrays_of, leaves, stream, view
from stream_app.tools.model_checks.model_check import Checks, check, expect

CHECKS: Checks = []

SMALL = {
    "max_users": 40,
    "half_life": 3600.0,
    "segments": 4,
    "segment_items": 16,
    "sessions": 50,
    "length": 6,
    "bridges": 4,
    "postings": 8,
    "neighbors": 8,
    "user_items": 8,
    "slots": 64,
    "terms": 4,
    "queries": 30,
    "query_words": 30,
    "query_items": 8,
    "word_items": 8,
    "seed": 3,
}
"""Limits that a short stream reaches; each model gets those that it has."""


@check(
    CHECKS,
    "Bound every table: by the item index, by `max_users` and an IdIndex, or by a limit of its own.",
    river="Bound it by its own parameters, such as `max_depth`, `max_size` or `window_size`; the memory of a worker "
    "grows otherwise.",
)
def check_memory_is_bounded(make_harness: MakeHarness) -> None:
    """Memory stays the same once the limits of users and items are reached."""
    harness = make_harness(capacity=64, **SMALL)
    sizes = []
    for part in range(6):
        for event in stream(1000, users=300, items=500, seed=part):
            shifted = event._replace(ts=event.ts + 20_000.0 * part, segments=(f"page:{event.item}",))
            harness.learn(shifted)
        harness.lists()
        sizes.append(harness.model.memory())
    expect(
        sizes[-1] <= 1.02 * sizes[1],
        f"memory grows from {sizes[1]:,} bytes after 2,000 interactions to {sizes[-1]:,} after 6,000, with 64 items "
        f"and {SMALL['max_users']} users",
    )


@check(
    CHECKS,
    "Add the arrays in other objects to `memory()`.",
    river="It holds arrays that are not counted: it takes more memory than the metric of the model says.",
)
def check_memory_counts_every_array(make_harness: MakeHarness) -> None:
    """`memory()` is the size of all arrays, within a fifth."""
    harness = make_harness().learn(*stream())
    harness.lists()
    held, told = sum(arrays_of(harness.model).values()), harness.model.memory()
    # River's objects hold far more than arrays
    most = math.inf if isinstance(harness.model, RiverModel) else 1.2 * held + 100_000
    expect(held <= told <= most, f"memory() is {told:,} bytes, the arrays have {held:,}")


def expect_forgotten(state: State, user: str) -> None:
    """Fail a check if the id of a user, or its hash, is in a state."""
    user_hash = stable_hash(user)
    for leaf in (*leaves(state), *_keys(state)):
        is_hash = isinstance(leaf, np.ndarray) and leaf.dtype == np.uint64 and user_hash in leaf.tolist()
        expect(not is_hash, "the hash of a forgotten user is in the state")
        expect(not (isinstance(leaf, str) and leaf == user), "the id of a forgotten user is in the state")


def _keys(state: object) -> Iterator[str]:
    """The keys of all dictionaries."""
    parts: Iterable[object] = state if isinstance(state, list) else ()
    if isinstance(state, Mapping):
        yield from state
        parts = state.values()
    for part in parts:
        yield from _keys(part)


@check(CHECKS, "Drop in `forget_user` all that is keyed by the user; call `super().forget_user(user)`.")
def check_forgets_users(make_harness: MakeHarness) -> None:
    """After `forget_user`, neither the id nor its hash is in the state, and the user is a stranger."""
    harness = make_harness().learn(*stream())
    harness.model.forget_user("u1")
    harness.model.forget_user("never seen")
    expect_forgotten(harness.model.state(), "u1")
    forgotten = harness.model.candidates(harness.context("u1", "i1", "i2"), 20)
    stranger = harness.model.candidates(harness.context("stranger", "i1", "i2"), 20)
    expect(
        forgotten.items.tolist() == stranger.items.tolist()
        and forgotten.scores.tolist() == stranger.scores.tolist(),
        "a forgotten user gets another list than a stranger",
    )


@check(CHECKS, "Drop in `forget_items` everything of the integers, which go to other items.")
def check_forgets_items(make_harness: MakeHarness) -> None:
    """After `forget_items`, items score 0, and the next item of an integer starts from nothing."""
    harness = make_harness().learn(*stream())
    removed = [harness.index.find(name) for name in ("i0", "i1", "i2")]
    harness.index.forget("i0")
    harness.index.forget("i1")
    harness.model.forget_items(np.array([removed[2]], np.int32))
    every = np.array(removed, np.int32)
    for context, candidates in zip(harness.contexts(), harness.lists(100), strict=True):
        expect(not set(removed) & set(candidates.items.tolist()), "a forgotten item is proposed")
        expect(harness.model.score(context, every).tolist() == [0.0] * 3, "a forgotten item scores above 0")
    successor = harness.index.index("heir", 40_000.0)
    heir = np.array([successor], np.int32)
    expect(
        harness.model.score(harness.context("u1", "i3"), heir).tolist() == [0.0],
        "an item with the integer of a forgotten one has its score",
    )
    evidence = harness.model.candidates(harness.context("", "heir"), 10).evidence
    expect(successor not in evidence, "an item with the integer of a forgotten one is evidence")
    harness.learn(view("u5", "i3", 40_000.0), view("u5", "heir", 40_010.0))
    proposes = harness.model.proposes_new_items
    context = harness.context("u1", "i3") if proposes else harness.context("u1", "i3", "heir")
    expect(successor in harness.model.candidates(context, 100).items, "the new item cannot be learned")

"""Checks that every model must pass, as functions of a factory; `test_models` runs them over the registry."""

from copy import deepcopy

import numpy as np
import pytest

from stream_app.models.base import (
    EMPTY_ITEMS,
    EMPTY_TIMES,
    NO_ITEM,
    Context,
)
from stream_app.models.id_index import stable_hash
from tests.checks.model_harness import MakeHarness, arrays_of, leaves, same, stream, view

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


def check_learning_is_deterministic(make_harness: MakeHarness) -> None:
    events = stream()
    assert same(make_harness().learn(*events).model.state(), make_harness().learn(*events).model.state())


def check_new_items_are_candidates_immediately(make_harness: MakeHarness) -> None:
    harness = make_harness().learn(*stream())
    before = harness.model.state()
    for number in range(3):
        harness.learn(view(f"v{number}", "i1", 30_000.0), view(f"v{number}", "fresh", 30_060.0))
    assert not same(before, harness.model.state())
    context = (
        harness.context("v9", "i1")
        if harness.model.proposes_new_items
        else harness.context("v9", "i1", "fresh")
    )
    assert harness.index.find("fresh") in harness.model.candidates(context, 100).items


def check_scoring_does_not_change_state(make_harness: MakeHarness) -> None:
    harness = make_harness().learn(*stream())
    before = harness.model.state()
    first = harness.lists()
    for context, candidates in zip(harness.contexts(), first, strict=True):
        harness.model.score(context, candidates.items)
        for item, evidence in zip(candidates.items.tolist(), candidates.evidence.tolist(), strict=True):
            harness.model.explain(context, item, evidence)
    assert same(before, harness.model.state())
    assert all(np.array_equal(a.items, b.items) for a, b in zip(first, harness.lists(), strict=True))


def check_unknown_ids_score_zero(make_harness: MakeHarness) -> None:
    harness = make_harness()
    strange = np.array([NO_ITEM, 5, 100_000, 2**31 - 1], np.int32)
    nowhere = Context("nobody", strange, np.zeros(4), 0, ("no:such",), 0.0)
    for context in (nowhere, Context("", EMPTY_ITEMS, EMPTY_TIMES, 0, (), 0.0)):
        assert len(harness.model.candidates(context, 10).items) == 0
        assert harness.model.score(context, strange).tolist() == [0.0] * 4
    harness.learn(*stream())
    for context in [nowhere, *harness.contexts()]:
        scores = harness.model.score(context, np.array([NO_ITEM, 100_000, 2**31 - 1], np.int32))
        assert scores.dtype == np.float32
        assert scores.tolist() == [0.0] * 3


def check_candidates_are_well_formed(make_harness: MakeHarness) -> None:
    harness = make_harness().learn(*stream())
    ties = harness.index.hashes
    some = False
    for context in harness.contexts():
        for k in (1, 7, 100):
            candidates = harness.model.candidates(context, k)
            items, scores = candidates.items.tolist(), candidates.scores
            columns = (candidates.items, scores, candidates.evidence)
            assert [column.dtype.name for column in columns] == ["int32", "float32", "int32"]
            assert len(items) == len(scores) == len(candidates.evidence) <= k
            assert len(set(items)) == len(items)
            assert (scores > 0).all()
            order = sorted(range(len(items)), key=lambda at: (-scores[at], ties[items[at]]))
            assert order == list(range(len(items)))
            title = [
                harness.model.explain(context, *pair).item_id
                for pair in zip(items, candidates.evidence.tolist(), strict=True)
            ]
            assert set(title) <= {
                None,
                *(harness.index.id_of(item) for item in context.items.tolist() if item >= 0),
            }
            for item, evidence in zip(items, candidates.evidence.tolist(), strict=True):
                harness.index.id_of(item)
                assert harness.model.explain(context, item, evidence).source in SOURCES
            some |= len(items) > 1
    assert some


def check_candidates_have_the_highest_scores(make_harness: MakeHarness) -> None:
    harness = make_harness().learn(*stream())
    every = np.arange(harness.index.size, dtype=np.int32)
    for context in harness.contexts():
        candidates = harness.model.candidates(context, 5)
        scores = harness.model.score(context, every)
        assert harness.model.score(context, candidates.items).tolist() == candidates.scores.tolist()
        if len(candidates.items) == 5:
            others = np.delete(scores, candidates.items)
            # a model may rank a pool only, and an item is not on its own list
            assert np.count_nonzero(others > candidates.scores[-1]) <= 1


def check_smaller_k_is_a_prefix_of_larger_k(make_harness: MakeHarness) -> None:
    harness = make_harness().learn(*stream())
    for few, many in zip(harness.lists(5), harness.lists(20), strict=True):
        assert few.items.tolist() == many.items[:5].tolist()


def check_rankings_do_not_depend_on_item_numbering(make_harness: MakeHarness) -> None:
    plain, shuffled = make_harness(), make_harness()
    names = sorted({event.item for event in stream()}, reverse=True)
    for name in names:
        shuffled.index.index(name, 0.0)
    plain.learn(*stream())
    shuffled.learn(*stream())
    assert [plain.index.find(name) for name in names] != [shuffled.index.find(name) for name in names]
    assert plain.named_lists() == shuffled.named_lists()


def check_state_is_plain_data(make_harness: MakeHarness) -> None:
    state = make_harness().learn(*stream()).model.state()
    for leaf in leaves(state):
        if isinstance(leaf, np.ndarray):
            assert leaf.dtype.kind in "biuf"
        else:
            assert leaf is None or type(leaf) in {str, int, float, bool, bytes}


def check_state_shares_no_memory(make_harness: MakeHarness) -> None:
    harness = make_harness().learn(*stream(300))
    state = harness.model.state()
    copy = deepcopy(state)
    harness.learn(*stream(300, seed=2))
    assert same(state, copy)


def check_state_round_trips(make_harness: MakeHarness) -> None:
    harness = make_harness().learn(*stream())
    other = make_harness()
    other.index.restore(harness.index.state())
    other.tracker.restore(harness.tracker.state())
    other.described = set(harness.described)
    state = harness.model.state()
    for leaf in leaves(state):
        if isinstance(leaf, np.ndarray):
            leaf.flags.writeable = False  # as arrays read from a file are
    other.model.restore(state)
    assert same(state, other.model.state())
    more = stream(200, items=60, seed=5)
    for _ in range(2):
        for ours, theirs in zip(harness.lists(), other.lists(), strict=True):
            assert ours.items.tolist() == theirs.items.tolist()
            assert ours.scores.tolist() == theirs.scores.tolist()
            assert ours.evidence.tolist() == theirs.evidence.tolist()
        harness.learn(*more)
        other.learn(*more)
    assert same(harness.model.state(), other.model.state())


def check_restore_replaces_the_learned_state(make_harness: MakeHarness) -> None:
    harness = make_harness()
    empty = harness.model.state()
    harness.learn(*stream())
    assert not same(empty, harness.model.state())
    harness.model.restore(make_harness().model.state())
    assert all(len(candidates.items) == 0 for candidates in harness.lists())


def check_incompatible_states_are_rejected(make_harness: MakeHarness) -> None:
    harness = make_harness()
    state = harness.model.state()
    with pytest.raises(ValueError, match="format"):
        harness.model.restore({**state, "format": 99})
    with pytest.raises(ValueError, match="state belongs to"):
        harness.model.restore({**state, "name": "another"})
    for parameter in state["parameters"]:
        changed = {**state["parameters"], parameter: -5}
        with pytest.raises(ValueError, match=parameter):
            harness.model.restore({**state, "parameters": changed})


def check_memory_is_bounded(make_harness: MakeHarness) -> None:
    harness = make_harness(capacity=64, **SMALL)
    sizes = []
    for part in range(6):
        for event in stream(1000, users=300, items=500, seed=part):
            shifted = event._replace(ts=event.ts + 20_000.0 * part, segments=(f"page:{event.item}",))
            harness.learn(shifted)
        harness.lists()
        sizes.append(harness.model.memory())
    assert len(harness.index) <= 64
    assert len(harness.tracker) <= SMALL["max_users"]
    assert sizes[-1] <= 1.02 * sizes[1]


def check_memory_counts_every_array(make_harness: MakeHarness) -> None:
    harness = make_harness().learn(*stream())
    harness.lists()
    held = sum(arrays_of(harness.model).values())
    assert held <= harness.model.memory() <= 1.2 * held + 100_000


def check_old_events_decay(make_harness: MakeHarness) -> None:
    harness = make_harness(half_life=3600.0)
    if not harness.model.additive:
        return
    for number in range(20):
        harness.learn(view(f"old{number}", "anchor", 0.0), view(f"old{number}", "old", 10.0))
    late = 3600.0 * 30
    for number in range(2):
        harness.learn(view(f"new{number}", "anchor", late), view(f"new{number}", "new", late + 10.0))
    # an item of every session has no correlation
    harness.learn(*(view(f"by{number}", "elsewhere", late) for number in range(20)))
    candidates = harness.model.candidates(harness.context("v", "anchor", now=late), 10).items.tolist()
    assert candidates.index(harness.index.find("new")) < candidates.index(harness.index.find("old"))
    # decayed sums stay above 0 until they are tiny
    assert harness.index.find("old") in candidates


def check_scores_stay_finite_for_distant_times(make_harness: MakeHarness) -> None:
    harness = make_harness(half_life=60.0).learn(*stream(100))
    for jump in (1e6, 1e9, 1.1e9):
        harness.learn(*(event._replace(ts=event.ts + jump) for event in stream(50)), *stream(20))
        for candidates in harness.lists():
            assert np.isfinite(candidates.scores).all()
        assert any(len(candidates.items) for candidates in harness.lists())


def check_additive_models_do_not_depend_on_order(make_harness: MakeHarness) -> None:
    if not make_harness().model.additive:
        return
    events = [event for event in stream() if event.weight > 0]
    plain = make_harness(half_life=600.0).learn(*events).named_lists()
    by_user = sorted(events, key=lambda event: event.user)
    backwards = sorted(events, key=lambda event: event.user, reverse=True)
    for order in (by_user, backwards):
        assert make_harness(half_life=600.0).learn(*order).named_lists() == plain


def check_forgets_users(make_harness: MakeHarness) -> None:
    harness = make_harness().learn(*stream())
    harness.model.forget_user("u1")
    harness.model.forget_user("never seen")
    tie = stable_hash("u1")
    for leaf in leaves(harness.model.state()):
        if isinstance(leaf, np.ndarray) and leaf.dtype == np.uint64:
            assert tie not in leaf.tolist()
        assert not (isinstance(leaf, str) and leaf == "u1")
    mine = harness.model.candidates(harness.context("u1", "i1", "i2"), 20)
    strangers = harness.model.candidates(harness.context("stranger", "i1", "i2"), 20)
    assert mine.items.tolist() == strangers.items.tolist()
    assert mine.scores.tolist() == strangers.scores.tolist()


def check_forgets_items(make_harness: MakeHarness) -> None:
    harness = make_harness().learn(*stream())
    removed = [harness.index.find(name) for name in ("i0", "i1", "i2")]
    harness.index.forget("i0")
    harness.index.forget("i1")
    harness.model.forget_items(np.array([removed[2]], np.int32))
    every = np.array(removed, np.int32)
    for context, candidates in zip(harness.contexts(), harness.lists(100), strict=True):
        assert not set(removed) & set(candidates.items.tolist())
        assert harness.model.score(context, every).tolist() == [0.0] * 3
    # what gets the number next starts from nothing
    successor = harness.index.index("heir", 40_000.0)
    assert successor in removed
    assert harness.model.score(harness.context("u1", "i3"), np.array([successor], np.int32)).tolist() == [0.0]
    assert successor not in harness.model.candidates(harness.context("", "heir"), 10).evidence
    harness.learn(view("u5", "i3", 40_000.0), view("u5", "heir", 40_010.0))
    context = (
        harness.context("u1", "i3")
        if harness.model.proposes_new_items
        else harness.context("u1", "i3", "heir")
    )
    assert successor in harness.model.candidates(context, 100).items


CHECKS = [value for name, value in sorted(globals().items()) if name.startswith("check_")]
"""Every check above."""

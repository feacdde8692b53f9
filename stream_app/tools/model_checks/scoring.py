"""Checks of candidates and scores."""

import numpy as np

from stream_app.models.base import EMPTY_ITEMS, EMPTY_TIMES, NO_ITEM, Candidates, Context
from stream_app.tools.model_checks.harness import MakeHarness, ModelHarness, same, stream
from stream_app.tools.model_checks.model_check import Checks, check, expect

CHECKS: Checks = []


@check(
    CHECKS,
    "Let `candidates`, `score` and `explain` read only; draw nothing at random in them.",
    river="Leave it out: it changes or draws when it is asked, so that lists of workers differ.",
)
def check_scoring_does_not_change_state(make_harness: MakeHarness) -> None:
    """Asking a model for candidates, scores and reasons changes nothing."""
    harness = make_harness().learn(*stream())
    before = harness.model.state()
    first = harness.lists()
    for context, candidates in zip(harness.contexts(), first, strict=True):
        harness.model.score(context, candidates.items)
        for item, evidence in zip(candidates.items.tolist(), candidates.evidence.tolist(), strict=True):
            harness.model.explain(context, item, evidence)
    expect(same(before, harness.model.state()), "the state differs after it was asked")
    again = harness.lists()
    expect(
        all(np.array_equal(a.items, b.items) for a, b in zip(first, again, strict=True)),
        "the second list for a context differs from the first",
    )


@check(CHECKS, "Score items that were never learned (and `NO_ITEM`) 0, and all others above 0.")
def check_unknown_ids_score_zero(make_harness: MakeHarness) -> None:
    """Unknown items score 0, of a user known or not, and a model that learned nothing proposes nothing."""
    harness = make_harness()
    strange = np.array([NO_ITEM, 5, 100_000, 2**31 - 1], np.int32)
    nowhere = Context("stranger", strange, np.zeros(4), 0, ("no:such",), 0.0)
    for context in (nowhere, Context("", EMPTY_ITEMS, EMPTY_TIMES, 0, (), 0.0)):
        expect(len(harness.model.candidates(context, 10).items) == 0, "an empty model proposes items")
        expect(harness.model.score(context, strange).tolist() == [0.0] * 4, "an empty model scores above 0")
    harness.learn(*stream())
    for context in [nowhere, *harness.contexts()]:
        scores = harness.model.score(context, np.array([NO_ITEM, 100_000, 2**31 - 1], np.int32))
        expect(scores.dtype == np.float32, f"scores are {scores.dtype}, not float32")
        expect(scores.tolist() == [0.0] * 3, f"unknown items score {scores.tolist()}")


@check(CHECKS, "Return `Candidates` as its docstring says; `stream_app.models.kernels.topk.top_k` does.")
def check_candidates_are_well_formed(make_harness: MakeHarness) -> None:
    """Candidates are distinct and at most k, best first, ties by the smaller hash, each with a reason."""
    harness = make_harness().learn(*stream())
    some = False
    for context in harness.contexts():
        for k in (1, 7, 100):
            candidates = harness.model.candidates(context, k)
            _expect_well_formed(harness, candidates, k)
            _expect_reasons(harness, context, candidates)
            some |= len(candidates.items) > 1
    expect(some, "no context of the stream has two candidates")


def _expect_well_formed(harness: ModelHarness, candidates: Candidates, k: int) -> None:
    items, scores = candidates.items.tolist(), candidates.scores
    columns = (candidates.items, scores, candidates.evidence)
    types = [column.dtype.name for column in columns]
    expect(types == ["int32", "float32", "int32"], f"items, scores and evidence are {', '.join(types)}")
    lengths = [len(column) for column in columns]
    expect(max(lengths) <= k, f"{max(lengths)} candidates for k = {k}")
    expect(len({*lengths}) == 1, f"items, scores and evidence have lengths {lengths}")
    expect(len(set(items)) == len(items), "an item is proposed twice")
    expect((scores > 0).all(), "a candidate has a score of 0 or less")
    ties = harness.index.hashes
    order = sorted(range(len(items)), key=lambda at: (-scores[at], ties[items[at]]))
    expect(order == list(range(len(items))), "candidates are not in the order of score and hash")


def _expect_reasons(harness: ModelHarness, context: Context, candidates: Candidates) -> None:
    known = {None, *(harness.index.id_of(item) for item in context.items.tolist() if item >= 0)}
    for item, evidence in zip(candidates.items.tolist(), candidates.evidence.tolist(), strict=True):
        harness.index.id_of(item)
        reason = harness.model.explain(context, item, evidence)
        expect(reason.source, "a reason has no source")
        expect(reason.item_id in known, f"the evidence {reason.item_id!r} is not in the context")


@check(
    CHECKS,
    "Compute `candidates` from what `score` returns, over all items or a pool of them.",
    river="Leave it out: it answers the same question differently, so that its order means nothing.",
)
def check_candidates_have_the_highest_scores(make_harness: MakeHarness) -> None:
    """Scores of candidates are those of `score`, and few other items score higher."""
    harness = make_harness().learn(*stream())
    every = np.arange(harness.index.size, dtype=np.int32)
    for context in harness.contexts():
        candidates = harness.model.candidates(context, 5)
        scores = harness.model.score(context, every)
        expect(
            np.allclose(
                harness.model.score(context, candidates.items),
                candidates.scores,
                rtol=harness.tolerance,
                atol=0.0,
            ),
            "scores of candidates differ from those of `score`",
        )
        if len(candidates.items) == 5:
            others = np.delete(scores, candidates.items)
            higher = int(np.count_nonzero(others > candidates.scores[-1]))
            # a model may rank a pool only, and an item is not on its own list
            expect(higher <= 1, f"{higher} items that are not proposed score above the last candidate")


@check(CHECKS, "Select the best k of one order.")
def check_smaller_k_is_a_prefix_of_larger_k(make_harness: MakeHarness) -> None:
    """The best five are the first five of the best twenty."""
    harness = make_harness().learn(*stream())
    for few, many in zip(harness.lists(5), harness.lists(20), strict=True):
        expect(few.items.tolist() == many.items[:5].tolist(), "k = 5 gives others than the first of k = 20")


@check(CHECKS, "Decide ties and draw samples by `ItemIndex.hashes`, never by the integers of items.")
def check_rankings_do_not_depend_on_item_numbering(make_harness: MakeHarness) -> None:
    """Lists do not depend on the integers that items got."""
    as_met, shuffled = make_harness(), make_harness()
    for name in sorted({event.item for event in stream()}, reverse=True):
        shuffled.index.index(name, 0.0)
    as_met.learn(*stream())
    shuffled.learn(*stream())
    expect(as_met.named_lists() == shuffled.named_lists(), "other integers of the items give other lists")

"""Reciprocal rank fusion and the Borda count."""

import numpy as np
import pytest

from stream_app.models.base import Candidates
from stream_app.ranking.fusion.rank_fusion import FusedList, ReciprocalRankFusion


def proposal(*items: int) -> Candidates:
    array = np.array(items, np.int32)
    return Candidates(array, np.linspace(1, 0.1, len(items), dtype=np.float32), array)


def fuse(
    proposals: list[Candidates], length: int = 10, blocked: tuple[int, ...] = (), items: int = 50
) -> FusedList:
    allowed = np.ones(items, np.bool_)
    allowed[list(blocked)] = False
    hashes = np.arange(items, dtype=np.uint64)
    return ReciprocalRankFusion().fuse(proposals, length, allowed=allowed, hashes=hashes)


def test_scores_are_sums_of_reciprocal_ranks() -> None:
    fused = fuse([proposal(1, 2, 3), proposal(3, 1)])
    assert fused.items.tolist() == [1, 3, 2]
    assert fused.scores.tolist() == pytest.approx([1 / 61 + 1 / 62, 1 / 63 + 1 / 61, 1 / 62], abs=1e-6)


def test_each_item_is_attributed_to_its_top_source() -> None:
    fused = fuse([proposal(1, 2, 3), proposal(3, 1)])
    assert fused.sources.tolist() == [0, 1, 0]
    assert fused.evidence.tolist() == [1, 3, 2]


def test_excluded_items_are_dropped_without_changing_source_ranks() -> None:
    fused = fuse([proposal(1, 2)], blocked=(1,))
    assert fused.items.tolist() == [2]
    assert fused.scores.tolist() == pytest.approx([1 / 62], abs=1e-6)


def test_ties_are_broken_by_item_hash() -> None:
    assert fuse([proposal(7), proposal(4)]).items.tolist() == [4, 7]
    assert fuse([proposal(4), proposal(7)]).items.tolist() == [4, 7]


def test_fusion_keeps_the_top_items_up_to_length() -> None:
    rng = np.random.default_rng(3)
    sources = [proposal(*rng.permutation(50)[:30].tolist()) for _ in range(4)]
    full_list, short = fuse(sources, length=50), fuse(sources, length=7)
    assert short.items.tolist() == full_list.items[:7].tolist()
    assert (np.diff(full_list.scores) <= 0).all()


def test_no_candidates_give_an_empty_list() -> None:
    assert fuse([]).items.tolist() == []
    assert fuse([proposal()]).items.tolist() == []

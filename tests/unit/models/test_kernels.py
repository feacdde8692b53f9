"""Kernels that several models share."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_app.models.kernels.bounded_rows import add_weight
from stream_app.models.kernels.item_pool import insert_by_clock
from stream_app.models.kernels.popularity import find_slot, update_head
from stream_app.models.kernels.topk import top_k

SCORES = st.lists(st.sampled_from([-1.0, 0.0, 0.25, 0.5, 0.75, 1.0, 3.0]), max_size=60)


@given(SCORES, st.integers(1, 20), st.integers(0, 2**32))
@settings(deadline=None)  # the first call may compile
def test_top_k_equals_sorting_and_slicing(scores: list[float], k: int, seed: int) -> None:
    items = np.random.default_rng(seed).permutation(len(scores)).astype(np.int32)
    ties = np.random.default_rng(seed + 1).permutation(len(scores)).astype(np.uint64)
    expected = sorted(
        ((item, score) for item, score in zip(items.tolist(), scores, strict=True) if score > 0),
        key=lambda pair: (-pair[1], ties[pair[0]]),
    )[:k]
    out_items, out_scores = np.empty(k, np.int32), np.empty(k, np.float32)
    size = top_k(items, np.array(scores, np.float32), len(scores), ties, k, out_items, out_scores)
    found = list(zip(out_items[:size].tolist(), out_scores[:size].tolist(), strict=True))
    assert found == expected


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 5)), max_size=200))
@settings(deadline=None)  # the first call may compile
def test_the_head_holds_the_largest_counts_in_order(additions: list[tuple[int, int]]) -> None:
    ties = np.arange(31, dtype=np.uint64)[::-1].copy()
    counts = dict.fromkeys(range(31), 0.0)
    items, head = np.zeros(8, np.int32), np.zeros(8)
    size = 0
    for item, weight in additions:
        counts[item] += weight
        size = update_head(items, head, size, item, counts[item], ties)
        seen = [item for item, count in counts.items() if count]
        best = sorted(seen, key=lambda each: (-counts[each], ties[each]))[:8]
        assert items[:size].tolist() == best
        assert head[:size].tolist() == [counts[each] for each in best]


@given(st.lists(st.integers(0, 400), max_size=60))
@settings(deadline=None)  # the first call may compile
def test_find_slot_is_consistent(items_in_order: list[int]) -> None:
    keys = np.zeros(128, np.int32)
    slots: dict[int, int] = {}
    for item in items_in_order:
        slot = find_slot(keys, item)
        assert slots.setdefault(item, slot) == slot
        keys[slot] = item + 1
    assert len(set(slots.values())) == len(slots)


def test_the_clock_rule_keeps_referenced_items() -> None:
    pool, slots, referenced = np.zeros(3, np.int32), np.zeros(10, np.int32), np.zeros(3, np.bool_)
    hand = size = 0
    for item in (1, 2, 3, 1, 4, 5):
        hand, size = insert_by_clock(item, hand, size, pool, slots, referenced)
    # 1 was inserted again, so 4 replaced 2 and 5 replaced 3
    assert sorted(pool.tolist()) == [1, 4, 5]
    assert [pool[slots[item] - 1] for item in (1, 4, 5)] == [1, 4, 5]
    assert [slots[item] for item in (2, 3)] == [0, 0]


def test_a_full_row_evicts_its_weakest_neighbor() -> None:
    ties = np.array([5, 1, 2, 3, 4], np.uint64)
    items, weights, sizes = np.zeros((1, 3), np.int32), np.zeros((1, 3)), np.zeros(1, np.int32)
    for item, weight in [(1, 2.0), (2, 1.0), (3, 1.0), (1, 2.0), (4, 0.5)]:
        add_weight(0, item, weight, items, weights, sizes, ties)
    # 2 and 3 weigh the same; 3 has the larger tie value and goes
    assert dict(zip(items[0].tolist(), weights[0].tolist(), strict=True)) == {1: 4.0, 2: 1.0, 4: 0.5}

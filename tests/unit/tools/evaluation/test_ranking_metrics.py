"""Ranking metrics match their definitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.tools.evaluation.ranking_metrics import (
    UNLISTED,
    hit_rate,
    list_metrics,
    ranks_of_targets,
    reciprocal_rank,
)


@given(
    st.lists(st.integers(0, 30), min_size=1, max_size=12, unique=True), st.integers(0, 30), st.integers(1, 12)
)
def test_single_choice_metrics_match_their_definitions(listed: list[int], chosen: int, k: int) -> None:
    ranks = ranks_of_targets(np.array([listed], np.int32), np.array([chosen], np.int32))
    rank = listed.index(chosen) + 1 if chosen in listed else None
    assert ranks.tolist() == [rank or UNLISTED]
    counted = rank is not None and rank <= k
    assert hit_rate(ranks, k).tolist() == [float(counted)]
    assert reciprocal_rank(ranks, k).tolist() == [1 / rank if rank and counted else 0.0]


@given(st.lists(st.booleans(), min_size=1, max_size=10), st.integers(0, 5))
def test_multi_choice_metrics_match_their_definitions(hits: list[bool], n_unlisted: int) -> None:
    k, listed = len(hits), sum(hits)
    chosen = max(1, listed + n_unlisted)
    metrics = list_metrics(np.array([hits]), np.array([chosen]))
    precision, recall = listed / k, listed / chosen
    gain = sum(1 / np.log2(rank + 1) for rank, hit in enumerate(hits, start=1) if hit)
    best = sum(1 / np.log2(rank + 1) for rank in range(1, min(chosen, k) + 1))
    expected = (
        float(listed > 0),
        1 / (hits.index(True) + 1) if listed else 0.0,
        float(hits[0]),
        precision,
        recall,
        2 * precision * recall / (precision + recall) if listed else 0.0,
        gain / best,
    )
    assert [float(values[0]) for values in metrics] == pytest.approx(expected)


def test_ideal_order_has_an_ndcg_of_one() -> None:
    hits = np.array([[True, True, False], [True, False, False]])
    assert list_metrics(hits, np.array([2, 1])).ndcg.tolist() == [1.0, 1.0]

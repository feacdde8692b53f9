"""Metrics against their definitions, intervals against what they promise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.tools.evaluation.statistics import (
    UNLISTED,
    ClusterBootstrap,
    hit_rate,
    latency_stats,
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
    found = list_metrics(np.array([hits]), np.array([chosen]))
    precision, recall = listed / k, listed / chosen
    gain = sum(1 / np.log2(place + 1) for place, hit in enumerate(hits, start=1) if hit)
    best = sum(1 / np.log2(place + 1) for place in range(1, min(chosen, k) + 1))
    expected = (
        float(listed > 0),
        1 / (hits.index(True) + 1) if listed else 0.0,
        float(hits[0]),
        precision,
        recall,
        2 * precision * recall / (precision + recall) if listed else 0.0,
        gain / best,
    )
    assert [float(each[0]) for each in found] == pytest.approx(expected)


def test_ideal_order_has_an_ndcg_of_one() -> None:
    hits = np.array([[True, True, False], [True, False, False]])
    assert list_metrics(hits, np.array([2, 1])).ndcg.tolist() == [1.0, 1.0]


def test_intervals_have_nominal_coverage() -> None:
    rng = np.random.default_rng(3)
    truth, covered, n_trials = 0.3, 0, 300
    for trial in range(n_trials):
        user_rate = rng.beta(3, 7, size=80)  # its mean is .3
        groups = np.repeat(np.arange(80), 5)
        values = (rng.random(400) < user_rate[groups]).astype(np.float64)
        [found] = ClusterBootstrap(groups, resamples=300, seed=trial).intervals(values[:, None])
        covered += found.low <= truth <= found.high
    assert 0.90 <= covered / n_trials <= 0.99


def test_correlated_lists_widen_the_interval() -> None:
    values = np.repeat(np.random.default_rng(1).integers(0, 2, 50), 10).astype(np.float64)[:, None]
    [independent] = ClusterBootstrap(np.arange(500)).intervals(values)
    [clustered] = ClusterBootstrap(np.repeat(np.arange(50), 10)).intervals(values)
    assert clustered.mean == independent.mean
    assert clustered.high - clustered.low > 2 * (independent.high - independent.low)


def test_paired_interval_of_a_constant_difference_is_tight() -> None:
    baseline_values = np.random.default_rng(1).random(100)
    treatment_values = baseline_values + 0.01
    baseline, treatment, difference = ClusterBootstrap(np.arange(100)).intervals(
        np.stack((baseline_values, treatment_values, treatment_values - baseline_values), axis=1)
    )
    assert baseline.high > treatment.low
    assert [difference.low, difference.high] == pytest.approx([0.01, 0.01])


def test_mask_restricts_the_interval_to_its_lists() -> None:
    values = np.array([[1.0], [0.0], [0.0], [0.0]])
    bootstrap = ClusterBootstrap(np.array([0, 1, 2, 2]))
    [found] = bootstrap.intervals(values, np.array([True, True, False, False]))
    assert found.mean == 0.5
    [empty] = bootstrap.intervals(values, np.zeros(4, np.bool_))
    assert np.isnan([empty.mean, empty.low, empty.high]).all()


def test_the_same_seed_gives_the_same_interval() -> None:
    values = np.random.default_rng(1).random((50, 2))
    first, second = (ClusterBootstrap(np.arange(50), seed=4).intervals(values) for _ in range(2))
    assert first == second
    assert first != ClusterBootstrap(np.arange(50), seed=5).intervals(values)


def test_latency_stats_are_nan_without_predictions() -> None:
    found = latency_stats(np.zeros(0, np.int64))
    assert np.isnan([found.mean, found.p50, found.p99]).all()

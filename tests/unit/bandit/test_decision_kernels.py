"""Samples have the right distributions."""

from typing import Any

import numpy as np
import pytest
from scipy import stats  # type: ignore[import-untyped]

from stream_app.bandit.kernels.random import beta, beta_constants, gamma, normal, randint, seeded, uniform
from stream_app.bandit.kernels.slates import top_k

COUNT = 20_000


def draw_samples(sample: Any, *shapes: float) -> np.ndarray[Any, Any]:
    random = seeded(np.uint64(5))
    return np.array([sample(random, *shapes) for _ in range(COUNT)])


def test_uniform_and_normal() -> None:
    assert stats.kstest(draw_samples(uniform), "uniform").pvalue > 1e-3
    assert stats.kstest(draw_samples(normal), "norm").pvalue > 1e-3


def test_randint_is_uniform() -> None:
    counts = np.bincount(draw_samples(lambda random: randint(random, 64)), minlength=64)
    assert len(counts) == 64
    assert stats.chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize("shape", [0.05, 0.9, 1.0, 3.5, 400.0])
def test_gamma(shape: float) -> None:
    assert stats.kstest(draw_samples(gamma, shape), stats.gamma(shape).cdf).pvalue > 1e-3


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (1.0, 1.0),
        (1.0, 7.0),
        (7.0, 1.0),
        (1.5, 2.5),
        (2.5, 1.5),
        (40.0, 360.0),
        (9e3, 1e5),
        (0.3, 5.0),
        (5.0, 0.3),
    ],
)
def test_beta(a: float, b: float) -> None:
    assert stats.kstest(draw_samples(beta, a, b, *beta_constants(a, b)), stats.beta(a, b).cdf).pvalue > 1e-3


@pytest.mark.parametrize("k", [1, 5, 30])
def test_top_k_matches_a_stable_sort(k: int) -> None:
    for seed in range(50):
        scores = np.random.default_rng(seed).integers(0, 12, 30).astype(np.float32)
        order = np.empty(k, np.int32)
        top_k(scores, order)
        assert order.tolist() == np.argsort(-scores, kind="stable")[:k].tolist()

"""The moving average of weights."""

import numpy as np
import pytest

from stream_app.training.average import WeightAverage


def test_an_average_is_the_same_whether_a_vector_is_in_every_step_or_not() -> None:
    rng = np.random.default_rng(1)
    lazy, eager = WeightAverage(0.9, n_factors=2), WeightAverage(0.9, n_factors=2)
    vectors = rng.normal(size=(3, 2)).astype(np.float32)
    every, often = np.arange(3), np.full(3, 100_000, np.int32)
    for average in (lazy, eager):
        average.update(every, vectors, vectors, often, {})
    for _ in range(40):
        row = rng.integers(3, size=1)
        before = vectors.copy()
        vectors[row] += rng.normal(size=(1, 2)).astype(np.float32)
        lazy.update(row, before[row], vectors[row], often[:1], {})
        eager.update(every, before, vectors, often, {})
    assert lazy.vectors(every, vectors) == pytest.approx(eager.vectors(every, vectors), abs=1e-5)
    assert np.abs(lazy.vectors(every, vectors) - vectors).max() > 0.1


def test_vectors_with_few_updates_are_hardly_averaged() -> None:
    average = WeightAverage(0.99, n_factors=1)
    before, after = np.zeros((2, 1), np.float32), np.ones((2, 1), np.float32)
    rows = np.arange(2)
    average.update(rows, before, before, np.array([1, 10_000], np.int32), {})
    average.update(rows, before, after, np.array([2, 10_001], np.int32), {})
    few, many = average.vectors(rows, after).ravel().tolist()
    assert few > 0.8
    assert many < 0.05


def test_parameters_are_averaged_and_a_forgotten_vector_begins_anew() -> None:
    average = WeightAverage(0.9, n_factors=1)
    one, ones = np.array([0]), np.ones((1, 1), np.float32)
    for value in (0.0, 10.0):
        average.update(one, ones, ones, np.array([5_000], np.int32), {"scale": np.array([value])})
    assert 0.0 < average.parameters["scale"].item() < 10.0
    average.forget(one)
    assert average.vectors(one, 3.0 * ones).item() == 3.0

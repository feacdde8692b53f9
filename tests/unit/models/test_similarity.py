"""Similarities on worked examples, and against one another."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.models.similarity import (
    cosine,
    count_cosine,
    count_jaccard,
    count_lift,
    count_pearson,
    jaccard,
    knn_prediction,
    pearson,
)


def test_cosine_of_vectors() -> None:
    assert cosine((1, 2, 3), (4, 5, 6)) == pytest.approx(0.974632, abs=5e-7)
    assert cosine((1, 0), (0, 1)) == 0.0
    assert cosine((1, 2), (-1, -2)) == pytest.approx(-1.0)
    assert cosine((0, 0), (1, 2)) == 0.0


def test_pearson_of_vectors() -> None:
    assert pearson((3, 4, 5), (1, 2, 3)) == pytest.approx(1.0)
    assert pearson((1, 2, 3), (5, 3, 1)) == pytest.approx(-1.0)
    assert pearson((1, 1, 1), (1, 2, 3)) == 0.0
    assert pearson((1, 2, 4, 3), (2, 1, 3, 5)) == pytest.approx(np.corrcoef((1, 2, 4, 3), (2, 1, 3, 5))[0, 1])


def test_jaccard_of_sets() -> None:
    assert jaccard({1, 2, 3, 4}, {2, 3, 5, 6}) == pytest.approx(1 / 3)
    assert jaccard(set(), set()) == 0.0
    assert jaccard({"a"}, {"a"}) == 1.0


def test_knn_prediction_is_the_mean_weighted_by_similarity() -> None:
    # (4 x .7 + 5 x .6 + 3 x .5) / 1.8
    assert knn_prediction((4, 5, 3), (0.7, 0.6, 0.5)) == pytest.approx(4.0556, abs=5e-5)
    # (4 x .6 + 5 x .7 + 3 x .5) / 1.8: issue 5 gives 4.0556 for this order, which is the sum of the other
    assert knn_prediction((4, 5, 3), (0.6, 0.7, 0.5)) == pytest.approx(4.1111, abs=5e-5)
    assert knn_prediction((2, 4), (0.5, -0.5)) == pytest.approx(-1.0)
    assert knn_prediction((), ()) == 0.0


SETS = st.sets(st.integers(0, 19), min_size=1, max_size=19)


@given(SETS, SETS)
def test_similarities_by_counts_agree_with_those_of_vectors_and_sets(left: set[int], right: set[int]) -> None:
    both, n, m = float(len(left & right)), float(len(left)), float(len(right))
    a, b = ([float(each in these) for each in range(20)] for these in (left, right))
    assert count_cosine(both, n, m) == pytest.approx(cosine(a, b))
    assert count_jaccard(both, n, m) == pytest.approx(jaccard(left, right))
    assert count_pearson(both, n, m, 20.0) == pytest.approx(pearson(a, b), abs=1e-12)
    assert count_lift(both, n, m, 20.0) == pytest.approx((both / 20) / (n / 20 * m / 20))


def test_counts_may_be_arrays() -> None:
    both, left, right = np.array([2.0, 1.0]), np.array([4.0, 4.0]), np.array([4.0, 1.0])
    assert count_cosine(both, left, right).tolist() == [0.5, 0.5]

"""Similarities on examples, and compared with each other."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.models.similarity import count_cosine, count_jaccard, count_pearson
from tests.support.set_similarity import cosine, jaccard, pearson


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


SETS = st.sets(st.integers(0, 19), min_size=1, max_size=19)


@given(SETS, SETS)
def test_similarities_by_counts_agree_with_those_of_vectors_and_sets(left: set[int], right: set[int]) -> None:
    both, n, m = (np.array([float(len(each))]) for each in (left & right, left, right))
    a, b = ([float(each in these) for each in range(20)] for these in (left, right))
    assert count_cosine(both, n, m) == pytest.approx(cosine(a, b))
    assert count_jaccard(both, n, m) == pytest.approx(jaccard(left, right))
    assert count_pearson(both, n, m, np.array([20.0])) == pytest.approx(pearson(a, b), abs=1e-12)


def test_counts_may_be_arrays() -> None:
    both, left, right = np.array([2.0, 1.0]), np.array([4.0, 4.0]), np.array([4.0, 1.0])
    assert count_cosine(both, left, right).tolist() == [0.5, 0.5]

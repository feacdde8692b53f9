"""Centered and shortened vectors."""

from pathlib import Path

import numpy as np
import pytest

from stream_app.errors import UserError
from stream_app.models.array_types import Matrix
from stream_app.tools.embedding.reduction import Reduction, evenly_distributed


def shop(seed: int, items: int = 300) -> Matrix:
    """Vectors with a large common part, differences in three directions, and noise."""
    rng = np.random.default_rng(seed)
    directions, common = rng.normal(size=(3, 20)), 20 * rng.normal(size=20)
    values = common + rng.normal(size=(items, 3)) @ directions + 0.01 * rng.normal(size=(items, 20))
    scaled: Matrix = (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)
    return scaled


def test_what_items_differ_in_remains() -> None:
    vectors = shop(1)
    shortened = Reduction.fit(vectors, 3).apply(vectors)
    assert shortened.shape == (300, 3)
    np.testing.assert_allclose(np.linalg.norm(shortened, axis=1), 1.0, atol=1e-6)
    centered = vectors - vectors.mean(axis=0)
    centered /= np.linalg.norm(centered, axis=1, keepdims=True)
    assert np.corrcoef((shortened @ shortened.T).ravel(), (centered @ centered.T).ravel())[0, 1] > 0.99
    assert (vectors @ vectors.T).min() > 0.5
    assert (shortened @ shortened.T).min() < 0.0


def test_a_vector_has_the_same_result_in_any_batch() -> None:
    vectors = shop(2)
    reduction = Reduction.fit(vectors, 4)
    np.testing.assert_array_equal(reduction.apply(vectors)[[7]], reduction.apply(vectors[[7]]))


def test_vectors_without_a_direction_have_none_afterwards() -> None:
    vectors = np.concatenate([shop(3), np.zeros((1, 20), np.float32)])
    assert not Reduction.fit(vectors[:-1], 3).apply(vectors)[-1].any()
    equal = np.ones((9, 4), np.float32)
    assert not Reduction.fit(equal, 2).apply(equal).any()


def test_a_saved_reduction_is_the_same(tmp_path: Path) -> None:
    vectors = shop(4)
    reduction = Reduction.fit(vectors, 5)
    reduction.save(tmp_path / "a.npz")
    loaded = Reduction.load(tmp_path / "a.npz")
    assert loaded is not None
    assert (loaded.dimensions, loaded.fitted_to) == (5, 300)
    np.testing.assert_array_equal(loaded.apply(vectors), reduction.apply(vectors))
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_absent_and_damaged_files_are_told_apart(tmp_path: Path) -> None:
    assert Reduction.load(tmp_path / "absent.npz") is None
    (tmp_path / "damaged.npz").write_bytes(b"something else")
    with pytest.raises(UserError, match="is damaged"):
        Reduction.load(tmp_path / "damaged.npz")


def test_a_sample_is_evenly_distributed_over_distinct_keys() -> None:
    keys = [bytes([number % 100]) for number in range(1_000)]
    assert evenly_distributed(keys, 10) == [bytes([number]) for number in range(0, 100, 10)]
    assert len(evenly_distributed(keys, 30)) == 25
    assert evenly_distributed([]) == []

"""Changed copies of sequences."""

import numpy as np
import pytest

from stream_app.training.augmentation import AUGMENTATIONS, Augmenter, GroupedItems, make_views
from stream_app.training.sequences import Sequence


def sequence_of(*items: int) -> Sequence:
    n = len(items)
    return Sequence(
        1, np.array(items, np.int32), np.zeros(n, np.int32), 10.0 * np.arange(n, dtype=np.float64), 1
    )


def grouped(n: int = 40) -> GroupedItems:
    vectors = np.random.default_rng(2).normal(size=(n, 8)).astype(np.float32)
    vectors[1] = vectors[0] + 0.01
    found = GroupedItems(np.random.default_rng(5))
    found.group(np.arange(n), vectors)
    return found


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_a_copy_is_changed_in_its_own_way(name: str) -> None:
    original = sequence_of(*range(10))
    augmenter = Augmenter([name], np.random.default_rng(1), grouped())
    for _ in range(30):
        copy = augmenter.change(original)
        items = copy.items.tolist()
        assert len(items) == {"crop": 6, "mask": 7, "reorder": 10, "substitute": 10}[name]
        assert (np.diff(copy.times) >= 0).all()
        assert len(copy.kinds) == len(copy.times) == len(items)
        if name in {"crop", "mask"}:
            assert items == sorted(items)
        if name == "reorder":
            assert sorted(items) == list(range(10))
    assert original.items.tolist() == list(range(10))


def test_short_sequences_stay_as_they_are() -> None:
    augmenter = Augmenter(["crop"], np.random.default_rng(1))
    assert augmenter.change(sequence_of(1, 2)).items.tolist() == [1, 2]


def test_similar_items_are_near_and_unknown_items_stay() -> None:
    found = grouped()
    replaced = [int(found.similar(np.array([0, 99], np.int32))[0]) for _ in range(100)]
    assert max(set(replaced), key=replaced.count) == 1
    assert 0 not in replaced
    assert found.similar(np.array([0, 99], np.int32))[1] == 99


def test_views_are_pairs_of_the_same_sequence() -> None:
    augmenter = Augmenter(["crop"], np.random.default_rng(1))
    sequences = [sequence_of(*range(10)), sequence_of(1, 2), sequence_of(*range(20, 30))]
    views = make_views(sequences, augmenter, pairs=3, length=8, n_gaps=12)
    assert views.items.shape == (6, 8)
    assert views.last.tolist() == [5, 5, 0, 5, 5, 0]
    for row, first in [(0, 0), (3, 0), (1, 20), (4, 20)]:
        assert set(views.items[row, :6].tolist()) <= set(range(first, first + 10))
    assert (views.sequences[[2, 5]] == -1).all()


def test_wrong_names_are_refused() -> None:
    with pytest.raises(ValueError, match="crop, mask, reorder, substitute"):
        Augmenter(["twist"], np.random.default_rng(1))

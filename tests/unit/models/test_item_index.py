"""Ids as small integers, and catalog facts."""

import numpy as np
import pytest

from stream_app.models.base import NO_ITEM, Items
from stream_app.models.id_index import IdIndex, stable_hash
from stream_app.models.item_index import MAX_CATEGORIES, ItemIndex


def test_an_id_keeps_its_index() -> None:
    index = IdIndex(10)
    assert [index.index(name, 0.0) for name in "abcab"] == [0, 1, 2, 0, 1]
    assert [index.id_of(number) for number in (0, 1, 2)] == ["a", "b", "c"]
    assert len(index) == 3


def test_unknown_ids_have_no_index_and_free_indices_no_id() -> None:
    index = IdIndex(10)
    assert index.find("a") == NO_ITEM
    for number in (NO_ITEM, 0, 7):
        with pytest.raises(KeyError):
            index.id_of(number)


def test_a_full_index_evicts_the_least_recently_used_percent() -> None:
    evicted: list[str] = []

    def on_evict(numbers: Items) -> None:
        evicted.extend(index.id_of(number) for number in numbers.tolist())

    index = IdIndex(300, on_evict)
    for number in range(300):
        index.index(f"i{number}", float(number))
    index.index("i1", 1000.0)
    index.index("i3", 0.5)  # a late event does not make an item older
    index.index("one more", 1001.0)
    assert evicted == ["i0", "i2", "i3"]
    assert len(index) == 298
    assert index.find("i0") == NO_ITEM
    assert index.find("one more") in {0, 2, 3}


def test_eviction_does_not_depend_on_arrival_order() -> None:
    names = [f"i{number}" for number in range(50)]
    left = []
    for order in (names, names[::-1]):
        index = IdIndex(50)
        for name in order:
            index.index(name, 5.0)  # all used at one time: the hash decides
        index.index("one more", 6.0)
        left.append({name for name in names if index.find(name) != NO_ITEM})
    assert left[0] == left[1]
    assert len(left[0]) == 49


def test_hashes_depend_on_the_id_and_survive_growth() -> None:
    index = IdIndex(1000)
    for number in range(200):
        index.index(f"i{number}", 0.0)
    assert [int(index.hashes[number]) for number in (0, 199)] == [stable_hash("i0"), stable_hash("i199")]


def test_the_newest_facts_win() -> None:
    index = ItemIndex(10)
    shoe = index.index("shoe", 0.0)
    assert (bool(index.available[shoe]), index.brand(shoe), index.categories(shoe)) == (True, "", ())
    assert np.isnan(index.prices[shoe])
    index.describe(shoe, 20.0, price=2.0, brand="new")
    index.describe(shoe, 10.0, price=1.0, brand="old", available=False)
    assert (float(index.prices[shoe]), index.brand(shoe), bool(index.available[shoe])) == (2.0, "new", True)


def test_the_number_of_categories_is_bounded() -> None:
    index = ItemIndex(10)
    shoe = index.index("shoe", 0.0)
    index.describe(shoe, 1.0, categories=tuple("abcdefgh"))
    assert index.categories(shoe) == tuple("abcdefgh")[:MAX_CATEGORIES]


def test_a_reused_index_does_not_keep_the_old_facts() -> None:
    index = ItemIndex(1)
    old = index.index("old", 0.0)
    index.describe(old, 0.0, price=5.0, available=False, categories=("x",), brand="b")
    new = index.index("new", 1.0)
    assert new == old
    assert (bool(index.available[new]), index.brand(new), index.categories(new)) == (True, "", ())
    assert np.isnan(index.prices[new])
    index.describe(new, -5.0, brand="even an older word is the newest here")
    assert index.brand(new)


def test_state_round_trips() -> None:
    index = ItemIndex(100)
    for number in range(99):
        index.describe(index.index(f"i{number}", number), 0.0, price=float(number), categories=("c",))
    index.forget("i3")
    other = ItemIndex(100)
    other.restore(index.state())
    assert [other.find(f"i{number}") for number in range(99)] == [
        index.find(f"i{number}") for number in range(99)
    ]
    for one in (index, other):
        assert one.index("again", 500.0) == 3
        one.index("x", 501.0)
        one.index("y", 502.0)
    assert other.find("i0") == index.find("i0") == NO_ITEM
    assert np.array_equal(index.hashes[:100], other.hashes[:100])
    assert np.array_equal(index.prices[:100], other.prices[:100], equal_nan=True)
    assert other.categories(50) == ("c",)
    with pytest.raises(ValueError, match="99"):
        ItemIndex(99).restore(index.state())


def test_memory_is_constant_once_the_index_is_full() -> None:
    index = ItemIndex(256)
    sizes = []
    for number in range(4000):
        index.describe(index.index(f"i{number:05}", number), 0.0, categories=("c",))
        sizes.append(index.memory())
    assert max(sizes[300:]) == sizes[-1]

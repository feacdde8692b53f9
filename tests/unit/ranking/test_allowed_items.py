"""Items that may be listed."""

import pytest

from stream_app.models.item_index import ItemIndex
from stream_app.ranking.allowed_items import allowed_items


@pytest.fixture
def index() -> ItemIndex:
    index = ItemIndex(100)
    for number, name in enumerate(("shoe", "sock", "hat", "gone")):
        index.index(name, float(number))
    index.describe(index.find("gone"), 10.0, available=False)
    return index


def names(index: ItemIndex, excluded: list[str]) -> set[str]:
    with allowed_items(index, excluded) as allowed:
        return {name for name in ("shoe", "sock", "hat", "gone") if allowed[index.find(name)]}


def test_available_items_are_allowed(index: ItemIndex) -> None:
    assert names(index, []) == {"shoe", "sock", "hat"}


def test_excluded_items_are_not_allowed(index: ItemIndex) -> None:
    assert names(index, ["shoe", "hat"]) == {"sock"}


def test_excluding_unknown_ids_has_no_effect(index: ItemIndex) -> None:
    assert names(index, ["never seen", "shoe"]) == {"sock", "hat"}


def test_exclusions_do_not_leak_to_the_next_user(index: ItemIndex) -> None:
    before = index.available.copy()
    assert names(index, ["shoe", "shoe", "gone"]) == {"sock", "hat"}
    assert (index.available == before).all()
    assert names(index, []) == {"shoe", "sock", "hat"}


def test_flags_are_restored_when_ranking_fails(index: ItemIndex) -> None:
    with pytest.raises(RuntimeError), allowed_items(index, ["shoe"]):
        raise RuntimeError
    assert names(index, []) == {"shoe", "sock", "hat"}

"""What may not be shown."""

import pytest

from stream_app.models.item_index import ItemIndex
from stream_app.ranking.allowed_items import allowed_items


@pytest.fixture
def index() -> ItemIndex:
    index = ItemIndex(100)
    for place, name in enumerate(("shoe", "sock", "hat", "gone")):
        index.index(name, float(place))
    index.describe(index.find("gone"), 10.0, available=False)
    return index


def names(index: ItemIndex, excluded: list[str]) -> set[str]:
    with allowed_items(index, excluded) as allowed:
        return {name for name in ("shoe", "sock", "hat", "gone") if allowed[index.find(name)]}


def test_what_is_available_may_be_shown(index: ItemIndex) -> None:
    assert names(index, []) == {"shoe", "sock", "hat"}


def test_what_is_excluded_may_not(index: ItemIndex) -> None:
    assert names(index, ["shoe", "hat"]) == {"sock"}


def test_what_the_index_does_not_know_is_excluded_without_a_trace(index: ItemIndex) -> None:
    assert names(index, ["never seen", "shoe"]) == {"sock", "hat"}


def test_what_is_excluded_for_one_shopper_is_there_for_the_next(index: ItemIndex) -> None:
    before = index.available.copy()
    assert names(index, ["shoe", "shoe", "gone"]) == {"sock", "hat"}
    assert (index.available == before).all()
    assert names(index, []) == {"shoe", "sock", "hat"}


def test_flags_are_put_back_when_ranking_fails(index: ItemIndex) -> None:
    with pytest.raises(RuntimeError), allowed_items(index, ["shoe"]):
        raise RuntimeError
    assert names(index, []) == {"shoe", "sock", "hat"}

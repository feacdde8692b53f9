"""What a truncated list knows: which items had a reaction, and that all of its ranks may have been seen."""

import pytest

from state.list_store import PublishedListStore
from state.published_list import PublishedList, pack_propensities
from topics.records import RewardKind


def clicked_list(*ranks: int, propensities: tuple[float, ...] = ()) -> PublishedList:
    items = ("shoe", "sock", "hat", "scarf", "tie")
    listed = PublishedList("l", "fixed", 100.0, items, pack_propensities(propensities))
    for rank in ranks:
        listed.apply_outcome(RewardKind.CLICK, rank, (rank,), 110.0)
    return listed


@pytest.mark.parametrize("rank", range(5))
def test_items_with_a_reaction_stay_at_their_ranks_and_all_ranks_up_to_them_count_as_seen(rank: int) -> None:
    truncated = clicked_list(rank).truncate()
    assert truncated.rank(clicked_list().items[rank]) == rank
    assert sum(bool(item) for item in truncated.items) == 1
    assert truncated.is_truncated
    assert [truncated.seen >> at & 1 for at in range(rank + 1)] == [1] * (rank + 1)


def test_a_list_that_is_whole_again_has_unseen_ranks_behind_those_of_the_truncated_list() -> None:
    store = PublishedListStore()
    store.add_truncated([("ann", 0, clicked_list(1).truncate())])
    store.add("ann", 0, clicked_list())
    [whole] = store.lists_of("ann")
    assert whole.items == clicked_list().items
    # Two items and the placeholder.
    assert [whole.seen >> at & 1 for at in range(5)] == [1, 1, 1, 0, 0]


@pytest.mark.parametrize("certain", [(1.0, 0.5), (0.5, 1.0)])
def test_one_certain_item_does_not_make_the_others_certain(certain: tuple[float, float]) -> None:
    listed = PublishedList("l", "fixed", 100.0, ("shoe", "sock"), pack_propensities(certain))
    assert [listed.propensity(rank) for rank in range(2)] == list(certain)


def test_removed_items_are_certain() -> None:
    truncated = clicked_list(2, propensities=(0.5, 0.4, 0.3, 0.2, 0.1)).truncate()
    assert [truncated.propensity(rank) for rank in range(4)] == [1.0, 1.0, 0.3, 1.0]

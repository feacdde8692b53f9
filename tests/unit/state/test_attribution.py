"""Attribution: the list that a reaction is matched with, by the table in docs/rewards.md."""

from itertools import permutations

import pytest

from state.attribution import (
    DEFAULT_ATTRIBUTION_WINDOWS,
    Attribution,
    Unattributed,
)
from state.published_list import PublishedList
from tests.support.attribution_case import HOUR, OLD, AttributionCase, T, lists, unattributed_reasons
from topics.events import (
    Action,
    Erasure,
    FeedbackKind,
    Search,
)
from topics.records import RewardKind


@pytest.fixture
def case() -> AttributionCase:
    return AttributionCase()


def test_a_reaction_is_attributed_to_the_list_it_names(case: AttributionCase) -> None:
    case.listed("l1", "shoe", "sock")
    case.listed("l2", "sock", "shoe", after=1)
    assert lists(case.clicks("sock", list_id="l1")) == [("l1", "click", 1)]


def test_order_lines_not_on_the_named_list_are_attributed_to_their_own_lists(
    case: AttributionCase,
) -> None:
    case.listed("l1", "coat", "hat")
    case.clicks("coat")
    case.listed("l2", "sock", "shoe", after=20)
    found = case.buys("coat", "sock", "scarf", after=30, list_id="l2")
    assert [(each.list_id, each.item_id) for each in found.rewards] == [("l1", "coat"), ("l2", "sock")]
    assert found.unattributed == (Unattributed.NOT_ON_LIST,)
    # In an order of one item, the named list is that of the item.
    assert unattributed_reasons(case.buys("hat", after=40, list_id="l2")) == [Unattributed.NOT_ON_LIST]


def test_without_a_list_id_the_latest_list_before_the_event_is_chosen(case: AttributionCase) -> None:
    case.listed("l1", "shoe", "sock")
    case.listed("l2", "shoe", "sock", after=20)
    assert lists(case.clicks("sock", after=15)) == [("l1", "click", 1)]
    assert lists(case.clicks("shoe", after=25)) == [("l2", "click", 0)]


def test_the_newest_list_containing_the_item_is_chosen(case: AttributionCase) -> None:
    case.listed("l1", "shoe", "sock")
    case.listed("l2", "hat", "sock", after=1)
    case.listed("l3", "scarf", after=2)
    assert lists(case.clicks("sock")) == [("l2", "click", 1)]
    assert lists(case.clicks("shoe")) == [("l1", "click", 0)]


def test_an_item_on_two_lists_is_rewarded_on_the_newest_alone(case: AttributionCase) -> None:
    case.listed("l1", "shoe")
    case.listed("l2", "shoe", after=1)
    assert lists(case.clicks("shoe")) == [("l2", "click", 0)]
    assert unattributed_reasons(case.clicks("shoe", after=11)) == ["repeated"]


def test_a_clicked_item_is_not_rewarded_again_on_the_list_that_click_produced(case: AttributionCase) -> None:
    case.listed("l1", "shoe", "sock")
    assert lists(case.clicks("shoe", after=10)) == [("l1", "click", 0)]
    case.listed("l2", "shoe", "hat", after=10.05)
    # Some shops send the view of a tile and the item page as two clicks.
    assert unattributed_reasons(case.clicks("shoe", after=12, action=Action.DETAIL)) == ["repeated"]
    # A click that names the new list is a new choice.
    assert lists(case.clicks("shoe", after=60, list_id="l2")) == [("l2", "click", 0)]


def test_a_second_click_on_the_same_listed_item_is_not_rewarded(case: AttributionCase) -> None:
    case.listed("l", "shoe", "sock")
    assert lists(case.clicks("shoe", list_id="l")) == [("l", "click", 0)]
    assert unattributed_reasons(case.clicks("shoe", list_id="l")) == ["repeated"]
    assert unattributed_reasons(case.clicks("shoe")) == ["repeated"]
    assert lists(case.clicks("sock", list_id="l")) == [("l", "click", 1)]


def test_each_kind_of_reaction_to_an_item_counts(case: AttributionCase) -> None:
    case.listed("l", "shoe", "sock")
    actions = [Action.VIEW, Action.CART, Action.WISHLIST, Action.SHARE]
    results = [lists(case.clicks("sock", action=action))[0][1] for action in actions]
    results += [lists(case.gives_feedback(kind, "sock"))[0][1] for kind in FeedbackKind]
    results += [lists(case.buys("sock"))[0][1]]
    assert results == ["click", "cart", "wishlist", "share", "like", "dislike", "hide", "purchase"]


def test_an_item_on_no_list_is_unattributed(case: AttributionCase) -> None:
    case.listed("l", "shoe")
    assert unattributed_reasons(case.clicks("hat")) == ["not_on_list"]
    assert unattributed_reasons(case.clicks("hat", list_id="l")) == ["not_on_list"]


def test_a_reaction_of_a_user_without_lists_is_unattributed(case: AttributionCase) -> None:
    assert unattributed_reasons(case.clicks("shoe")) == ["no_list"]
    case.listed("l", "shoe", after=60)
    # The list is published after the event, by the broker's timestamps.
    assert unattributed_reasons(case.clicks("shoe", after=10)) == ["no_list"]


def test_a_reaction_naming_an_unknown_list_is_unattributed(case: AttributionCase) -> None:
    case.listed("l", "shoe")
    assert unattributed_reasons(case.clicks("shoe", list_id="of another page")) == ["unknown_list"]


def test_an_evicted_list_is_unknown(case: AttributionCase) -> None:
    # All reactions to the earlier lists are processed.
    case.list_store.advance_watermark(0, T + 1_000)
    for number in range(12):
        case.listed(f"l{number}", "shoe", after=number)
    assert unattributed_reasons(case.clicks("shoe", after=20, list_id="l0")) == ["unknown_list"]


@pytest.mark.parametrize("list_id", [None, "l"])
def test_a_late_reaction_is_unattributed(case: AttributionCase, list_id: str | None) -> None:
    case.listed("l", "shoe", "sock", "hat", "scarf")
    window = DEFAULT_ATTRIBUTION_WINDOWS[RewardKind.CLICK]
    assert lists(case.clicks("shoe", after=window, list_id=list_id)) == [("l", "click", 0)]
    assert unattributed_reasons(case.clicks("sock", after=window + 1, list_id=list_id)) == ["too_late"]
    # The windows of cart and purchase are longer.
    assert lists(case.clicks("sock", after=window + 1, action=Action.CART, list_id=list_id))
    assert lists(case.buys("hat", after=24 * HOUR, list_id=list_id))
    assert unattributed_reasons(case.buys("scarf", after=24 * HOUR + 1, list_id=list_id)) == ["too_late"]


def test_too_late_is_distinguished_from_not_on_list(case: AttributionCase) -> None:
    case.listed("l1", "shoe")
    case.listed("l2", "hat", after=HOUR)
    assert unattributed_reasons(case.clicks("shoe", after=HOUR + 10)) == ["too_late"]


def test_republishing_a_list_restarts_its_window(case: AttributionCase) -> None:
    case.listed("l", "shoe")
    case.listed("l", "shoe", after=10 * HOUR)
    [reward] = case.clicks("shoe", after=10 * HOUR + 5).rewards
    assert reward.delay == 10 * HOUR + 5


@pytest.mark.parametrize("list_id", ["l", None])
def test_a_repeated_impression_restarts_the_window(case: AttributionCase, list_id: str | None) -> None:
    case.listed("l", "shoe", "sock")
    case.sees("shoe", "sock", list_id=list_id, after=5)
    assert unattributed_reasons(case.sees("shoe", list_id=list_id, after=10 * HOUR)) == ["repeated"]
    assert lists(case.clicks("shoe", after=10 * HOUR + 5)) == [("l", "click", 0)]
    # An impression of another item, or a late one, does not restart the window.
    assert unattributed_reasons(case.sees("hat", list_id="l", after=20 * HOUR)) == ["not_on_list"]
    assert unattributed_reasons(case.sees("sock", list_id="l", after=HOUR)) == ["repeated"]
    assert lists(case.clicks("sock", after=10 * HOUR + 6)) == [("l", "click", 1)]
    assert unattributed_reasons(case.clicks("sock", after=20 * HOUR + 5, action=Action.SHARE)) == ["too_late"]


def test_a_late_first_impression_starts_the_window(case: AttributionCase) -> None:
    case.listed("l", "shoe", "sock")
    case.sees(list_id="l", after=10 * HOUR)
    assert lists(case.clicks("shoe", after=10 * HOUR + 5)) == [("l", "click", 0)]


def test_a_purchase_without_a_click_is_rewarded(case: AttributionCase) -> None:
    case.listed("l", "shoe", "sock")
    found = case.buys("sock")
    assert lists(found) == [("l", "purchase", 1)]
    assert found.rewards[0].seen == ("shoe", "sock")


def test_each_line_of_a_purchase_is_attributed_separately(case: AttributionCase) -> None:
    case.listed("l1", "shoe", "sock")
    case.listed("l2", "hat", after=1)
    found = case.buys("sock", "scarf", "hat", "sock")
    assert [(each.list_id, each.item_id, each.line) for each in found.rewards] == [
        ("l1", "sock", 0),
        ("l2", "hat", 2),
    ]
    assert found.unattributed == ("not_on_list", "repeated")


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_reactions_out_of_order_give_the_same_rewards(order: tuple[int, ...]) -> None:
    case = AttributionCase()
    case.listed("l1", "shoe", "sock", "hat")
    # It holds the sock, but is newer than the click on it; and the hat, and is older than its reactions.
    case.listed("l2", "belt", "hat", "sock", after=30)
    steps = [
        lambda: case.buys("hat", after=70),
        lambda: case.clicks("hat", after=50),
        lambda: case.clicks("sock", after=20),
        lambda: case.gives_feedback(FeedbackKind.DISLIKE, "shoe", after=60),
    ]
    rewards = [reward for at in order for reward in steps[at]().rewards]
    assert sorted((r.list_id, str(r.kind), r.item_id, r.value) for r in rewards) == [
        ("l1", "click", "sock", 1.0),
        ("l1", "dislike", "shoe", -2.0),
        ("l2", "click", "hat", 1.0),
        ("l2", "purchase", "hat", 10.0),
    ]
    assert sorted((r.list_id, rank) for r in rewards for rank in r.seen_positions) == [
        ("l1", 0),
        ("l1", 1),
        ("l2", 0),
        ("l2", 1),
    ]


def test_an_erased_user_has_no_list(case: AttributionCase) -> None:
    case.listed("l", "shoe")
    case.list_store.forget("ann")
    assert unattributed_reasons(case.clicks("shoe", list_id="l")) == ["unknown_list"]
    assert unattributed_reasons(case.clicks("shoe")) == ["no_list"]


def test_another_users_list_is_unknown(case: AttributionCase) -> None:
    case.list_store.add("bob", 0, PublishedList("l", "fixed", T, ("shoe",)))
    assert unattributed_reasons(case.clicks("shoe", list_id="l")) == ["unknown_list"]


def test_a_search_list_is_matched_only_by_its_list_id(case: AttributionCase) -> None:
    case.listed("s", "shoe", "sock", search=True)
    assert unattributed_reasons(case.clicks("sock")) == ["no_list"]
    assert lists(case.clicks("sock", list_id="s")) == [("s", "click", 1)]
    # A reward on the search list does not count for other lists.
    case.listed("l", "sock", after=11)
    assert lists(case.clicks("sock", after=20)) == [("l", "click", 0)]


def test_other_events_are_ignored(case: AttributionCase) -> None:
    case.listed("l", "shoe")
    for event in (
        Search(event_id="e", user_id="ann", ts=OLD, query="shoe", results=["shoe"]),
        Erasure(event_id="e", user_id="ann", ts=OLD),
    ):
        assert case.handle(event, 10.0) == Attribution()

"""Attribution: the fields of rewards, seen items, replay and recovery."""

import msgspec
import pytest

from state.attribution import (
    DEFAULT_ATTRIBUTION_WINDOWS,
    DEFAULT_REWARD_WEIGHTS,
    Attribution,
    AttributionRules,
    Unattributed,
    attribute,
)
from state.dedup import RecordId
from state.published_list import pack_propensities
from tests.support.attribution_case import HOUR, OLD, RULES, AttributionCase, T, lists, unattributed_reasons
from topics.events import (
    Action,
    FeedbackKind,
    OrderLine,
    Purchase,
)
from topics.records import REWARD_KINDS, Reward, RewardKind, Source


@pytest.fixture
def case() -> AttributionCase:
    return AttributionCase()


# ------------------------------------------------------------------------------------------- reward fields


def test_a_reward_holds_all_that_a_policy_learns_from(case: AttributionCase) -> None:
    rows = bytes(range(12))
    case.listed("l", "shoe", "sock", "hat", propensities=pack_propensities([0.5, 0.25, 0.125]), features=rows)
    [reward] = case.clicks("sock", after=12.5).rewards
    assert reward == Reward(
        source=Source.CLICK,
        partition=3,
        offset=1,
        line=0,
        ts=T + 12.5,
        user_id="ann",
        list_id="l",
        policy="thompson",
        kind=RewardKind.CLICK,
        item_id="sock",
        position=1,
        propensity=0.25,
        value=1.0,
        delay=12.5,
        features=rows[4:8],
        first_positive=True,
        first_exposure=True,
        seen=("shoe", "sock"),
        seen_positions=(0, 1),
        seen_propensities=(0.5, 0.25),
        seen_features=rows[:8],
    )
    raw = msgspec.msgpack.encode(reward)
    assert msgspec.msgpack.decode(raw, type=Reward) == reward


def test_a_dislike_and_a_hide_count_against(case: AttributionCase) -> None:
    case.listed("l", "shoe")
    values = [case.gives_feedback(kind, "shoe").rewards[0].value for kind in FeedbackKind]
    assert values == [
        DEFAULT_REWARD_WEIGHTS[RewardKind.LIKE],
        DEFAULT_REWARD_WEIGHTS[RewardKind.DISLIKE],
        DEFAULT_REWARD_WEIGHTS[RewardKind.HIDE],
    ]
    assert values[0] > 0 > values[1] > values[2]


@pytest.mark.parametrize("kind", sorted(set(REWARD_KINDS.values())))
def test_every_reward_of_a_reaction_has_a_weight_and_a_window(kind: RewardKind) -> None:
    assert DEFAULT_REWARD_WEIGHTS[kind] != 0
    assert DEFAULT_ATTRIBUTION_WINDOWS[kind] > 0


@pytest.mark.parametrize(("exponent", "value"), [(0.0, 10.0), (0.5, 20.0), (1.0, 40.0)])
def test_the_price_exponent_scales_the_purchase_value(
    case: AttributionCase, exponent: float, value: float
) -> None:
    rules = AttributionRules(price_exponent=exponent, price_unit=12.5)
    case.listed("l", "shoe", "gift")
    event = Purchase(
        event_id="e",
        user_id="ann",
        ts=OLD,
        order_id="o",
        items=[OrderLine(item_id="shoe", price=25.0, quantity=2), OrderLine(item_id="gift")],
    )
    shoe, gift = attribute(case.list_store, event, RecordId(Source.PURCHASE, 0, 0), T + 1, rules).rewards
    assert (shoe.value, shoe.revenue) == (value, 50.0)
    # Without a price, the value is the weight.
    assert (gift.value, gift.revenue) == (10.0, 0.0)


def test_the_delay_is_never_below_zero_though_clocks_differ(case: AttributionCase) -> None:
    case.listed("l", "shoe", after=3)
    [reward] = case.clicks("shoe", after=2, list_id="l").rewards
    assert reward.delay == 0.0


@pytest.mark.parametrize("against", [FeedbackKind.DISLIKE, FeedbackKind.HIDE])
def test_the_first_positive_reaction_is_marked_despite_earlier_negative_feedback(
    case: AttributionCase, against: FeedbackKind
) -> None:
    case.listed("l", "shoe", "sock")
    found = [
        case.gives_feedback(against, "sock"),
        case.clicks("sock"),
        case.buys("sock"),
    ]
    assert [each.rewards[0].first_positive for each in found] == [True, True, False]


def test_the_first_positive_reaction_to_a_listed_item_is_marked(case: AttributionCase) -> None:
    case.listed("l1", "shoe", "sock")
    case.listed("l2", "hat", "sock", after=1)
    case.sees(list_id="l1")
    found = [
        case.clicks("shoe", list_id="l1"),
        case.clicks("shoe", list_id="l1", action=Action.CART),
        case.clicks("sock", list_id="l1", action=Action.CART),
        case.buys("sock", list_id="l1"),
        case.clicks("sock", list_id="l2"),
    ]
    assert [each.rewards[0].first_positive for each in found] == [True, False, True, False, True]


def test_the_first_event_that_makes_a_list_seen_is_marked(case: AttributionCase) -> None:
    case.listed("l1", "shoe", "sock", "hat")
    case.listed("l2", "shoe", "sock", "hat", after=1)
    found = [
        case.clicks("shoe", list_id="l1"),
        case.clicks("hat", list_id="l1"),
        case.sees("hat", list_id="l2"),
        case.clicks("shoe", list_id="l2"),
    ]
    assert [each.rewards[0].first_exposure for each in found] == [True, False, True, False]
    [bought, again] = case.buys("sock", "shoe", list_id="l2").rewards
    assert (bought.first_exposure, again.first_exposure) == (False, False)


# ------------------------------------------------------------------------------------------------ seen items


def seen(found: Attribution) -> list[tuple[str, ...]]:
    return [each.seen for each in found.rewards]


def test_items_above_the_deepest_reaction_count_as_seen_once(case: AttributionCase) -> None:
    case.listed("l", "a", "b", "c", "d", "e")
    assert seen(case.clicks("b")) == [("a", "b")]
    assert seen(case.clicks("a")) == [()]
    assert seen(case.gives_feedback(FeedbackKind.HIDE, "d")) == [("c", "d")]
    assert seen(case.clicks("c")) == [()]


def test_an_impression_of_a_list_marks_all_items_as_seen(case: AttributionCase) -> None:
    case.listed("l", "a", "b", "c")
    assert seen(case.clicks("a")) == [("a",)]
    [reward] = case.sees(list_id="l").rewards
    assert (reward.kind, reward.item_id, reward.position, reward.value) == ("impression", "", -1, 0.0)
    assert (reward.seen, reward.seen_positions) == (("b", "c"), (1, 2))
    assert seen(case.clicks("c")) == [()]


@pytest.mark.parametrize("list_id", ["l", None])
def test_the_reward_of_an_impression_is_about_its_seen_items_alone(
    case: AttributionCase, list_id: str | None
) -> None:
    case.listed("l", "shoe", "sock", propensities=pack_propensities([0.5, 0.25]), features=bytes(range(8)))
    [reward] = case.sees("sock", list_id=list_id).rewards
    assert reward == Reward(
        source=Source.IMPRESSION,
        partition=3,
        offset=1,
        line=0,
        ts=T + 5.0,
        user_id="ann",
        list_id="l",
        policy="thompson",
        kind=RewardKind.IMPRESSION,
        delay=5.0,
        first_exposure=True,
        seen=("sock",),
        seen_positions=(1,),
        seen_propensities=(0.25,),
        seen_features=bytes(range(4, 8)),
        explicit=list_id is not None,
    )


def test_an_impression_with_items_marks_those_items_only(
    case: AttributionCase,
) -> None:
    case.listed("l", "a", "b", "c", "d", "e")
    assert seen(case.sees("a", "b", "x", list_id="l")) == [("a", "b")]
    assert seen(case.clicks("e", list_id="l")) == [("e",)]


def test_an_impression_without_a_list_id_matches_the_newest_list_with_half_its_items(
    case: AttributionCase,
) -> None:
    case.listed("l1", "a", "b", "c")
    case.listed("l2", "c", "x", "y", after=1)
    found = case.sees("a", "b", "c", "z")
    assert [(each.list_id, each.seen) for each in found.rewards] == [("l1", ("a", "b", "c"))]
    assert unattributed_reasons(case.sees("p", "q", "x")) == ["not_on_list"]


def test_a_repeated_impression_adds_nothing(case: AttributionCase) -> None:
    case.listed("l", "a", "b")
    case.sees(list_id="l")
    assert unattributed_reasons(case.sees(list_id="l")) == ["repeated"]


@pytest.mark.parametrize("list_id", [None, "l"])
def test_an_impression_of_an_unknown_list_is_unattributed(case: AttributionCase, list_id: str | None) -> None:
    assert unattributed_reasons(case.sees("a", list_id=list_id)) == ["unknown_list" if list_id else "no_list"]
    case.listed("other", "z")
    assert unattributed_reasons(case.sees("a", list_id=list_id)) == [
        "unknown_list" if list_id else "not_on_list"
    ]
    case.listed("l", "a")
    assert unattributed_reasons(case.sees("a", list_id=list_id, after=8 * 24 * HOUR)) == ["too_late"]
    assert unattributed_reasons(case.sees("b", list_id="l")) == ["not_on_list"]


# ---------------------------------------------------------------------------------------- replay and recovery


def test_replaying_lists_and_rewards_restores_the_store(case: AttributionCase) -> None:
    rows = [("l1", ("a", "b", "c"), 0.0), ("l2", ("c", "d"), 20.0)]
    for name, items, after in rows:
        case.listed(name, *items, after=after)
    found = [
        case.clicks("b"),
        case.sees("c", after=30),
        case.buys("c", "a", after=40),
        case.clicks("d", after=50, list_id="l2"),
    ]
    rewards = [reward for each in found for reward in each.rewards]
    assert len(rewards) == 5
    again = AttributionCase()
    for name, items, after in rows:
        again.listed(name, *items, after=after)
    for _ in range(2):
        for reward in rewards:
            again.list_store.apply_outcome(reward)
    assert again.list_store.lists_of("ann") == case.list_store.lists_of("ann")


def test_a_reward_records_whether_its_event_named_the_list(case: AttributionCase) -> None:
    case.listed("l1", "a", "b")
    case.listed("l2", "c", "d", after=1)
    results = {
        "click": case.clicks("a", list_id="l1"),
        "step without a name": case.clicks("a", action=Action.CART),
        "cart": case.clicks("b", list_id="l1", action=Action.CART),
        "order, and its line of another list": case.buys("a", "c", list_id="l1"),
        "impression": case.sees(list_id="l2"),
    }
    case.listed("l3", "e", "f", after=20)
    results["impression without a name"] = case.sees("e", after=21)
    assert {what: [each.explicit for each in found.rewards] for what, found in results.items()} == {
        "click": [True],
        "step without a name": [False],
        "cart": [True],
        "order, and its line of another list": [True, False],
        "impression": [True],
        "impression without a name": [False],
    }


def test_already_rewarded_lines_are_skipped_and_others_keep_their_number(case: AttributionCase) -> None:
    case.listed("l", "a", "b", "c")
    lines = [OrderLine(item_id=item) for item in "abc"]
    event = Purchase(event_id="e", user_id="ann", ts=OLD, order_id="o", items=lines)
    rank = RecordId(Source.PURCHASE, 0, 7)
    whole = attribute(case.list_store, event, rank, T + 10, RULES).rewards
    again = AttributionCase()
    again.listed("l", "a", "b", "c")
    again.list_store.apply_outcome(whole[0])
    assert attribute(again.list_store, event, rank, T + 10, RULES, 1).rewards == whole[1:]
    assert [each.line for each in whole] == [0, 1, 2]


def test_an_unseen_item_is_unattributed_unless_the_list_is_named() -> None:
    case = AttributionCase()
    case.listed("l1", "a", "b", "c", "d")
    case.sees("a", "b", list_id="l1")
    assert case.clicks("d").unattributed == (Unattributed.NOT_SEEN,)
    [named] = case.clicks("d", after=20.0, list_id="l1").rewards
    assert (named.list_id, named.position, named.seen) == ("l1", 3, ("d",))
    [seen] = case.clicks("b", after=30.0).rewards
    assert seen.position == 1


def test_a_post_click_reaction_is_attributed_to_the_clicked_list(
    case: AttributionCase,
) -> None:
    case.listed("clicked", "b", "a")
    assert lists(case.clicks("a", after=10.0)) == [("clicked", "click", 1)]
    case.listed("of the click", "a", "b", after=11.0)
    case.listed("of another page", "c", "a", after=20.0)
    assert lists(case.buys("a", after=30.0)) == [("clicked", "purchase", 1)]
    # An item without a click is attributed to the newest list, as a click is.
    assert lists(case.buys("b", after=31.0)) == [("of the click", "purchase", 1)]


def test_with_impressions_unseen_lists_get_no_reward(case: AttributionCase) -> None:
    case.listed("seen", "b", "c")
    case.sees(after=5.0, list_id="seen")
    # Item d is opened outside the lists, and the list published after that holds it.
    case.listed("not looked at", "d", "c", after=10.0)
    assert unattributed_reasons(case.buys("d", after=20.0)) == [Unattributed.NOT_SEEN]
    assert lists(case.buys("c", after=21.0)) == [("seen", "purchase", 1)]
    # A click on d is attributed neither to the newer, unseen list nor to the older one.
    assert unattributed_reasons(case.clicks("d", after=22.0)) == [Unattributed.NOT_SEEN]
    assert lists(case.clicks("b", after=23.0)) == [("seen", "click", 0)]


def test_with_required_list_ids_a_click_without_one_is_unattributed() -> None:
    case = AttributionCase(msgspec.structs.replace(RULES, require_list_id=True))
    case.listed("l", "a", "b", "c", "d")
    case.sees(list_id="l")
    assert unattributed_reasons(case.clicks("a")) == [Unattributed.MISSING_LIST_ID]
    assert unattributed_reasons(case.buys("a", after=11.0)) == [Unattributed.MISSING_LIST_ID]
    assert unattributed_reasons(case.gives_feedback(FeedbackKind.DISLIKE, "a", after=12.0)) == [
        Unattributed.MISSING_LIST_ID
    ]
    assert lists(case.clicks("b", after=13.0, list_id="l")) == [("l", "click", 1)]
    # A step after the click is attributed to the clicked list, named or not.
    assert lists(case.buys("b", after=14.0)) == [("l", "purchase", 1)]
    case.clicks("c", after=15.0, list_id="l")
    basket = case.buys("c", "d", "x", after=16.0, list_id="l")
    assert [(each.list_id, each.item_id) for each in basket.rewards] == [("l", "c"), ("l", "d")]
    assert unattributed_reasons(case.clicks("x", after=17.0)) == [Unattributed.NOT_ON_LIST]


def test_an_order_naming_an_unknown_list_is_unattributed(case: AttributionCase) -> None:
    case.listed("l", "a", "b")
    case.clicks("a", list_id="l")
    assert (
        unattributed_reasons(case.buys("a", "b", after=20.0, list_id="of another page"))
        == ["unknown_list"] * 2
    )

"""Which list a reaction came from: each outcome of the table in docs/rewards.md."""

from itertools import permutations
from typing import Any

import msgspec
import pytest

from state.attribution import WEIGHTS, WINDOWS, Attribution, AttributionRules, Unattributed, attribute
from state.dedup import Place
from state.list_store import ListMemory
from state.published_list import PublishedList, packed
from topics.events import (
    Action,
    Click,
    Erasure,
    Feedback,
    FeedbackKind,
    Impression,
    OrderLine,
    Purchase,
    Search,
    UserEvent,
)
from topics.records import Reward, RewardKind, Source

RULES = AttributionRules()
T = 1_700_000_000.0
"""When the first list was published."""

HOUR = 3600.0
OLD = 1_500_000_000_000
"""Event times are of another year, as in a replayed log: the broker's time is what counts."""


class Case:
    """Ann's lists and what she does, by the seconds after the first list."""

    def __init__(self, rules: AttributionRules = RULES) -> None:
        self.memory = ListMemory()
        self._rules = rules
        self._offset = 0

    def listed(self, list_id: str, *items: str, after: float = 0.0, **fields: Any) -> PublishedList:
        published = PublishedList(list_id, fields.pop("policy", "thompson"), T + after, items, **fields)
        self.memory.add("ann", 0, published)
        return published

    def does(self, event: UserEvent, after: float, source: Source = Source.CLICK) -> Attribution:
        self._offset += 1
        return attribute(self.memory, event, Place(source, 3, self._offset), T + after, self._rules)

    def clicks(self, item: str, after: float = 10.0, **fields: Any) -> Attribution:
        return self.does(Click(event_id="e", user_id="ann", ts=OLD, item_id=item, **fields), after)

    def buys(self, *items: str, after: float = 10.0, **fields: Any) -> Attribution:
        lines = [OrderLine(item_id=item, price=25.0, quantity=2) for item in items]
        event = Purchase(event_id="e", user_id="ann", ts=OLD, order_id="o", items=lines, **fields)
        return self.does(event, after, Source.PURCHASE)

    def says(self, kind: FeedbackKind, item: str, after: float = 10.0) -> Attribution:
        event = Feedback(event_id="e", user_id="ann", ts=OLD, item_id=item, kind=kind)
        return self.does(event, after, Source.FEEDBACK)

    def sees(self, *items: str, after: float = 5.0, list_id: str | None = None) -> Attribution:
        event = Impression(
            event_id="e", user_id="ann", ts=OLD, list_id=list_id, surface="home", items=list(items)
        )
        return self.does(event, after, Source.IMPRESSION)


@pytest.fixture
def case() -> Case:
    return Case()


def lists(found: Attribution) -> list[tuple[str, str, int]]:
    """List, kind and place of each reward, of an event of which nothing is unattributed."""
    assert found.unattributed == ()
    return [(each.list_id, str(each.kind), each.position) for each in found.rewards]


def why(found: Attribution) -> list[Unattributed]:
    """The reasons of an event without a reward."""
    assert found.rewards == ()
    return list(found.unattributed)


# ------------------------------------------------------------------------------------------- where it came from


def test_a_list_that_is_named_is_the_one(case: Case) -> None:
    case.listed("l1", "shoe", "sock")
    case.listed("l2", "sock", "shoe", after=1)
    assert lists(case.clicks("sock", list_id="l1")) == [("l1", "click", 1)]


def test_the_lines_of_an_order_that_are_not_on_the_list_it_names_are_of_the_lists_they_came_from(
    case: Case,
) -> None:
    case.listed("l1", "coat", "hat")
    case.clicks("coat")
    case.listed("l2", "sock", "shoe", after=20)
    found = case.buys("coat", "sock", "scarf", after=30, list_id="l2")
    assert [(each.list_id, each.item_id) for each in found.rewards] == [("l1", "coat"), ("l2", "sock")]
    assert found.unattributed == (Unattributed.NOT_ON_LIST,)
    # an order of one item that names a list says where that one came from
    assert why(case.buys("hat", after=40, list_id="l2")) == [Unattributed.NOT_ON_LIST]


def test_without_a_name_it_is_the_list_published_last_before_the_event(case: Case) -> None:
    case.listed("l1", "shoe", "sock")
    case.listed("l2", "shoe", "sock", after=20)
    assert lists(case.clicks("sock", after=15)) == [("l1", "click", 1)]
    assert lists(case.clicks("shoe", after=25)) == [("l2", "click", 0)]


def test_of_several_lists_it_is_the_newest_that_holds_the_item(case: Case) -> None:
    case.listed("l1", "shoe", "sock")
    case.listed("l2", "hat", "sock", after=1)
    case.listed("l3", "scarf", after=2)
    assert lists(case.clicks("sock")) == [("l2", "click", 1)]
    assert lists(case.clicks("shoe")) == [("l1", "click", 0)]


def test_an_item_on_two_lists_is_rewarded_on_the_newest_alone(case: Case) -> None:
    case.listed("l1", "shoe")
    case.listed("l2", "shoe", after=1)
    assert lists(case.clicks("shoe")) == [("l2", "click", 0)]
    assert why(case.clicks("shoe", after=11)) == ["repeated"]


def test_an_item_clicked_on_one_list_is_not_rewarded_again_on_the_list_made_of_that_click(case: Case) -> None:
    case.listed("l1", "shoe", "sock")
    assert lists(case.clicks("shoe", after=10)) == [("l1", "click", 0)]
    case.listed("l2", "shoe", "hat", after=10.05)
    # the shop tells a glance and the page of the item as two clicks
    assert why(case.clicks("shoe", after=12, action=Action.DETAIL)) == ["repeated"]
    # but whoever comes back to it from the new list, which the shop names, has chosen it again
    assert lists(case.clicks("shoe", after=60, list_id="l2")) == [("l2", "click", 0)]


def test_a_second_click_on_the_same_item_of_a_list_is_no_second_reward(case: Case) -> None:
    case.listed("l", "shoe", "sock")
    assert lists(case.clicks("shoe", list_id="l")) == [("l", "click", 0)]
    assert why(case.clicks("shoe", list_id="l")) == ["repeated"]
    assert why(case.clicks("shoe")) == ["repeated"]
    assert lists(case.clicks("sock", list_id="l")) == [("l", "click", 1)]


def test_each_kind_of_reaction_to_an_item_counts(case: Case) -> None:
    case.listed("l", "shoe", "sock")
    actions = [Action.VIEW, Action.CART, Action.WISHLIST, Action.SHARE]
    told = [lists(case.clicks("sock", action=action))[0][1] for action in actions]
    told += [lists(case.says(kind, "sock"))[0][1] for kind in FeedbackKind]
    told += [lists(case.buys("sock"))[0][1]]
    assert told == ["click", "cart", "wishlist", "share", "like", "dislike", "hide", "purchase"]


def test_an_item_on_no_list_is_nobodys_reward(case: Case) -> None:
    case.listed("l", "shoe")
    assert why(case.clicks("hat")) == ["not_on_list"]
    assert why(case.clicks("hat", list_id="l")) == ["not_on_list"]


def test_a_shopper_without_a_list_rewards_nobody(case: Case) -> None:
    assert why(case.clicks("shoe")) == ["no_list"]
    case.listed("l", "shoe", after=60)
    # published after the event, as the broker dates it
    assert why(case.clicks("shoe", after=10)) == ["no_list"]


def test_an_unknown_list_is_not_guessed_at(case: Case) -> None:
    case.listed("l", "shoe")
    assert why(case.clicks("shoe", list_id="of another page")) == ["unknown_list"]


def test_a_list_that_was_forgotten_is_unknown(case: Case) -> None:
    # what shoppers did with the lists of before is all taken
    case.memory.take_event(0, T + 1_000)
    for number in range(12):
        case.listed(f"l{number}", "shoe", after=number)
    assert why(case.clicks("shoe", after=20, list_id="l0")) == ["unknown_list"]


@pytest.mark.parametrize("list_id", [None, "l"])
def test_a_late_reaction_is_nobodys_reward(case: Case, list_id: str | None) -> None:
    case.listed("l", "shoe", "sock", "hat", "scarf")
    window = WINDOWS[RewardKind.CLICK]
    assert lists(case.clicks("shoe", after=window, list_id=list_id)) == [("l", "click", 0)]
    assert why(case.clicks("sock", after=window + 1, list_id=list_id)) == ["too_late"]
    # a cart and a purchase may come later
    assert lists(case.clicks("sock", after=window + 1, action=Action.CART, list_id=list_id))
    assert lists(case.buys("hat", after=24 * HOUR, list_id=list_id))
    assert why(case.buys("scarf", after=24 * HOUR + 1, list_id=list_id)) == ["too_late"]


def test_too_late_for_the_list_that_holds_it_is_told_from_on_no_list(case: Case) -> None:
    case.listed("l1", "shoe")
    case.listed("l2", "hat", after=HOUR)
    assert why(case.clicks("shoe", after=HOUR + 10)) == ["too_late"]


def test_a_list_published_again_may_be_reacted_to_from_then_on(case: Case) -> None:
    case.listed("l", "shoe")
    case.listed("l", "shoe", after=10 * HOUR)
    [reward] = case.clicks("shoe", after=10 * HOUR + 5).rewards
    assert reward.delay == 10 * HOUR + 5


@pytest.mark.parametrize("list_id", ["l", None])
def test_a_list_shown_again_hours_later_may_be_reacted_to_from_then_on(
    case: Case, list_id: str | None
) -> None:
    case.listed("l", "shoe", "sock")
    case.sees("shoe", "sock", list_id=list_id, after=5)
    assert why(case.sees("shoe", list_id=list_id, after=10 * HOUR)) == ["repeated"]
    assert lists(case.clicks("shoe", after=10 * HOUR + 5)) == [("l", "click", 0)]
    # neither something else that was shown nor an impression that comes late
    assert why(case.sees("hat", list_id="l", after=20 * HOUR)) == ["not_on_list"]
    assert why(case.sees("sock", list_id="l", after=HOUR)) == ["repeated"]
    assert lists(case.clicks("sock", after=10 * HOUR + 6)) == [("l", "click", 1)]
    assert why(case.clicks("sock", after=20 * HOUR + 5, action=Action.SHARE)) == ["too_late"]


def test_a_list_shown_hours_later_may_be_reacted_to_from_then_on(case: Case) -> None:
    case.listed("l", "shoe", "sock")
    case.sees(list_id="l", after=10 * HOUR)
    assert lists(case.clicks("shoe", after=10 * HOUR + 5)) == [("l", "click", 0)]


def test_a_purchase_without_a_click_is_a_reward_of_its_own(case: Case) -> None:
    case.listed("l", "shoe", "sock")
    found = case.buys("sock")
    assert lists(found) == [("l", "purchase", 1)]
    assert found.rewards[0].seen == ("shoe", "sock")


def test_each_line_of_a_purchase_is_matched_for_itself(case: Case) -> None:
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
    case = Case()
    case.listed("l1", "shoe", "sock", "hat")
    # it holds the sock too, but came after the click on it, and the hat, before what was done with it
    case.listed("l2", "belt", "hat", "sock", after=30)
    steps = [
        lambda: case.buys("hat", after=70),
        lambda: case.clicks("hat", after=50),
        lambda: case.clicks("sock", after=20),
        lambda: case.says(FeedbackKind.DISLIKE, "shoe", after=60),
    ]
    rewards = [reward for at in order for reward in steps[at]().rewards]
    assert sorted((r.list_id, str(r.kind), r.item_id, r.value) for r in rewards) == [
        ("l1", "click", "sock", 1.0),
        ("l1", "dislike", "shoe", -2.0),
        ("l2", "click", "hat", 1.0),
        ("l2", "purchase", "hat", 10.0),
    ]
    assert sorted((r.list_id, place) for r in rewards for place in r.seen_positions) == [
        ("l1", 0),
        ("l1", 1),
        ("l2", 0),
        ("l2", 1),
    ]


def test_an_erased_shopper_has_no_list(case: Case) -> None:
    case.listed("l", "shoe")
    case.memory.forget("ann")
    assert why(case.clicks("shoe", list_id="l")) == ["unknown_list"]
    assert why(case.clicks("shoe")) == ["no_list"]


def test_another_shoppers_list_is_unknown(case: Case) -> None:
    case.memory.add("bob", 0, PublishedList("l", "fixed", T, ("shoe",)))
    assert why(case.clicks("shoe", list_id="l")) == ["unknown_list"]


def test_the_list_of_a_search_is_matched_by_its_name_alone(case: Case) -> None:
    case.listed("s", "shoe", "sock", search=True)
    assert why(case.clicks("sock")) == ["no_list"]
    assert lists(case.clicks("sock", list_id="s")) == [("s", "click", 1)]
    # and what was chosen there counts for no other list
    case.listed("l", "sock", after=11)
    assert lists(case.clicks("sock", after=20)) == [("l", "click", 0)]


def test_what_is_no_reaction_has_no_part_in_this(case: Case) -> None:
    case.listed("l", "shoe")
    for event in (
        Search(event_id="e", user_id="ann", ts=OLD, query="shoe", results=["shoe"]),
        Erasure(event_id="e", user_id="ann", ts=OLD),
    ):
        assert case.does(event, 10.0) == Attribution()


# --------------------------------------------------------------------------------------------- what it tells


def test_a_reward_holds_all_that_a_policy_learns_from(case: Case) -> None:
    rows = bytes(range(12))
    case.listed("l", "shoe", "sock", "hat", propensities=packed([0.5, 0.25, 0.125]), features=rows)
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
        first=True,
        opens=True,
        seen=("shoe", "sock"),
        seen_positions=(0, 1),
        seen_propensities=(0.5, 0.25),
        seen_features=rows[:8],
    )
    raw = msgspec.msgpack.encode(reward)
    assert msgspec.msgpack.decode(raw, type=Reward) == reward


def test_a_dislike_and_a_hide_count_against(case: Case) -> None:
    case.listed("l", "shoe")
    values = [case.says(kind, "shoe").rewards[0].value for kind in FeedbackKind]
    assert values == [WEIGHTS[RewardKind.LIKE], WEIGHTS[RewardKind.DISLIKE], WEIGHTS[RewardKind.HIDE]]
    assert values[0] > 0 > values[1] > values[2]


@pytest.mark.parametrize(("exponent", "value"), [(0.0, 10.0), (0.5, 20.0), (1.0, 40.0)])
def test_the_price_counts_as_much_as_the_settings_say(case: Case, exponent: float, value: float) -> None:
    rules = AttributionRules(price_exponent=exponent, price_unit=12.5)
    case.listed("l", "shoe", "gift")
    event = Purchase(
        event_id="e",
        user_id="ann",
        ts=OLD,
        order_id="o",
        items=[OrderLine(item_id="shoe", price=25.0, quantity=2), OrderLine(item_id="gift")],
    )
    shoe, gift = attribute(case.memory, event, Place(Source.PURCHASE, 0, 0), T + 1, rules).rewards
    assert (shoe.value, shoe.revenue) == (value, 50.0)
    # what has no price is worth the weight of a purchase
    assert (gift.value, gift.revenue) == (10.0, 0.0)


def test_the_delay_is_never_below_zero_though_clocks_differ(case: Case) -> None:
    case.listed("l", "shoe", after=3)
    [reward] = case.clicks("shoe", after=2, list_id="l").rewards
    assert reward.delay == 0.0


@pytest.mark.parametrize("against", [FeedbackKind.DISLIKE, FeedbackKind.HIDE])
def test_the_first_good_reaction_is_the_first_whatever_was_said_against_the_item(
    case: Case, against: FeedbackKind
) -> None:
    case.listed("l", "shoe", "sock")
    found = [
        case.says(against, "sock"),
        case.clicks("sock"),
        case.buys("sock"),
    ]
    assert [each.rewards[0].first for each in found] == [True, True, False]


def test_the_first_reaction_to_an_item_of_a_list_is_told_from_what_follows_it(case: Case) -> None:
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
    assert [each.rewards[0].first for each in found] == [True, False, True, False, True]


def test_the_event_from_which_on_a_list_is_known_to_be_seen_opens_it(case: Case) -> None:
    case.listed("l1", "shoe", "sock", "hat")
    case.listed("l2", "shoe", "sock", "hat", after=1)
    found = [
        case.clicks("shoe", list_id="l1"),
        case.clicks("hat", list_id="l1"),
        case.sees("hat", list_id="l2"),
        case.clicks("shoe", list_id="l2"),
    ]
    assert [each.rewards[0].opens for each in found] == [True, False, True, False]
    [bought, again] = case.buys("sock", "shoe", list_id="l2").rewards
    assert (bought.opens, again.opens) == (False, False)


# ---------------------------------------------------------------------------------------------- what was seen


def seen(found: Attribution) -> list[tuple[str, ...]]:
    return [each.seen for each in found.rewards]


def test_a_list_is_seen_down_to_the_deepest_item_that_got_a_reaction_each_item_once(case: Case) -> None:
    case.listed("l", "a", "b", "c", "d", "e")
    assert seen(case.clicks("b")) == [("a", "b")]
    assert seen(case.clicks("a")) == [()]
    assert seen(case.says(FeedbackKind.HIDE, "d")) == [("c", "d")]
    assert seen(case.clicks("c")) == [()]


def test_an_impression_of_a_list_makes_all_of_it_seen(case: Case) -> None:
    case.listed("l", "a", "b", "c")
    assert seen(case.clicks("a")) == [("a",)]
    [reward] = case.sees(list_id="l").rewards
    assert (reward.kind, reward.item_id, reward.position, reward.value) == ("impression", "", -1, 0.0)
    assert (reward.seen, reward.seen_positions) == (("b", "c"), (1, 2))
    assert seen(case.clicks("c")) == [()]


def test_an_impression_with_items_makes_those_seen_and_a_reaction_further_down_only_its_own(
    case: Case,
) -> None:
    case.listed("l", "a", "b", "c", "d", "e")
    assert seen(case.sees("a", "b", "x", list_id="l")) == [("a", "b")]
    assert seen(case.clicks("e", list_id="l")) == [("e",)]


def test_an_impression_without_a_name_is_of_the_newest_list_that_holds_half_of_it(case: Case) -> None:
    case.listed("l1", "a", "b", "c")
    case.listed("l2", "c", "x", "y", after=1)
    found = case.sees("a", "b", "c", "z")
    assert [(each.list_id, each.seen) for each in found.rewards] == [("l1", ("a", "b", "c"))]
    assert why(case.sees("p", "q", "x")) == ["not_on_list"]


def test_an_impression_again_tells_nothing_new(case: Case) -> None:
    case.listed("l", "a", "b")
    case.sees(list_id="l")
    assert why(case.sees(list_id="l")) == ["repeated"]


@pytest.mark.parametrize("list_id", [None, "l"])
def test_an_impression_of_what_is_not_remembered_tells_nothing(case: Case, list_id: str | None) -> None:
    assert why(case.sees("a", list_id=list_id)) == ["unknown_list" if list_id else "no_list"]
    case.listed("other", "z")
    assert why(case.sees("a", list_id=list_id)) == ["unknown_list" if list_id else "not_on_list"]
    case.listed("l", "a")
    assert why(case.sees("a", list_id=list_id, after=8 * 24 * HOUR)) == ["too_late"]
    assert why(case.sees("b", list_id="l")) == ["not_on_list"]


# ------------------------------------------------------------------------------------------------ read again


def test_the_lists_and_the_rewards_make_the_same_memory_again(case: Case) -> None:
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
    again = Case()
    for name, items, after in rows:
        again.listed(name, *items, after=after)
    for _ in range(2):
        for reward in rewards:
            again.memory.take(reward)
    assert again.memory.of("ann") == case.memory.of("ann")


def test_a_reward_says_whether_the_event_itself_named_its_list(case: Case) -> None:
    case.listed("l1", "a", "b")
    case.listed("l2", "c", "d", after=1)
    told = {
        "click": case.clicks("a", list_id="l1"),
        "step without a name": case.clicks("a", action=Action.CART),
        "cart": case.clicks("b", list_id="l1", action=Action.CART),
        "order, and its line of another list": case.buys("a", "c", list_id="l1"),
        "impression": case.sees(list_id="l2"),
    }
    case.listed("l3", "e", "f", after=20)
    told["impression without a name"] = case.sees("e", after=21)
    assert {what: [each.named for each in found.rewards] for what, found in told.items()} == {
        "click": [True],
        "step without a name": [False],
        "cart": [True],
        "order, and its line of another list": [True, False],
        "impression": [True],
        "impression without a name": [False],
    }


def test_lines_that_have_their_reward_are_passed_over_and_the_others_keep_their_number(case: Case) -> None:
    case.listed("l", "a", "b", "c")
    lines = [OrderLine(item_id=item) for item in "abc"]
    event = Purchase(event_id="e", user_id="ann", ts=OLD, order_id="o", items=lines)
    place = Place(Source.PURCHASE, 0, 7)
    whole = attribute(case.memory, event, place, T + 10, RULES).rewards
    again = Case()
    again.listed("l", "a", "b", "c")
    again.memory.take(whole[0])
    assert attribute(again.memory, event, place, T + 10, RULES, 1).rewards == whole[1:]
    assert [each.line for each in whole] == [0, 1, 2]


def test_what_an_impression_says_was_not_seen_is_no_choice_unless_the_list_is_named() -> None:
    case = Case()
    case.listed("l1", "a", "b", "c", "d")
    case.sees("a", "b", list_id="l1")
    assert case.clicks("d").unattributed == (Unattributed.NOT_SEEN,)
    [named] = case.clicks("d", after=20.0, list_id="l1").rewards
    assert (named.list_id, named.position, named.seen) == ("l1", 3, ("d",))
    [seen] = case.clicks("b", after=30.0).rewards
    assert seen.position == 1


def test_a_step_after_the_click_goes_to_the_list_that_was_clicked_and_not_to_those_made_since(
    case: Case,
) -> None:
    case.listed("clicked", "b", "a")
    assert lists(case.clicks("a", after=10.0)) == [("clicked", "click", 1)]
    case.listed("of the click", "a", "b", after=11.0)
    case.listed("of another page", "c", "a", after=20.0)
    assert lists(case.buys("a", after=30.0)) == [("clicked", "purchase", 1)]
    # what was clicked on none goes to the newest, as a click does
    assert lists(case.buys("b", after=31.0)) == [("of the click", "purchase", 1)]


def test_where_impressions_are_sent_what_nobody_looked_at_sold_nothing(case: Case) -> None:
    case.listed("seen", "b", "c")
    case.sees(after=5.0, list_id="seen")
    # the page of d is opened from elsewhere, and the list made of that holds it
    case.listed("not looked at", "d", "c", after=10.0)
    assert why(case.buys("d", after=20.0)) == [Unattributed.NOT_SEEN]
    assert lists(case.buys("c", after=21.0)) == [("seen", "purchase", 1)]
    # neither is a click there: of a newer list that nobody saw, nor of the older one in its place
    assert why(case.clicks("d", after=22.0)) == [Unattributed.NOT_SEEN]
    assert lists(case.clicks("b", after=23.0)) == [("seen", "click", 0)]


def test_where_reactions_name_their_list_what_is_clicked_without_was_found_elsewhere() -> None:
    case = Case(msgspec.structs.replace(RULES, named_only=True))
    case.listed("l", "a", "b", "c", "d")
    case.sees(list_id="l")
    assert why(case.clicks("a")) == [Unattributed.NOT_NAMED]
    assert why(case.buys("a", after=11.0)) == [Unattributed.NOT_NAMED]
    assert why(case.says(FeedbackKind.DISLIKE, "a", after=12.0)) == [Unattributed.NOT_NAMED]
    assert lists(case.clicks("b", after=13.0, list_id="l")) == [("l", "click", 1)]
    # what follows a click on a list is of that list, whether it is named or not
    assert lists(case.buys("b", after=14.0)) == [("l", "purchase", 1)]
    case.clicks("c", after=15.0, list_id="l")
    basket = case.buys("c", "d", "x", after=16.0, list_id="l")
    assert [(each.list_id, each.item_id) for each in basket.rewards] == [("l", "c"), ("l", "d")]
    assert why(case.clicks("x", after=17.0)) == [Unattributed.NOT_ON_LIST]


def test_an_order_that_names_a_list_nobody_knows_is_guessed_at_for_none_of_its_lines(case: Case) -> None:
    case.listed("l", "a", "b")
    case.clicks("a", list_id="l")
    assert why(case.buys("a", "b", after=20.0, list_id="of another page")) == ["unknown_list"] * 2

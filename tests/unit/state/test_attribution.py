"""Attribution: each outcome of the table in docs/rewards.md."""

from itertools import permutations
from typing import Any

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
from state.list_store import PublishedListStore
from state.published_list import PublishedList, pack_propensities
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
"""Publication time of the first list."""

HOUR = 3600.0
OLD = 1_500_000_000_000
"""Event times are of another year, as in a replayed log: attribution uses the broker's timestamps."""


class AttributionCase:
    """The lists and events of one user; times are seconds after the first list."""

    def __init__(self, rules: AttributionRules = RULES) -> None:
        self.memory = PublishedListStore()
        self._rules = rules
        self._offset = 0

    def listed(self, list_id: str, *items: str, after: float = 0.0, **fields: Any) -> PublishedList:
        published = PublishedList(list_id, fields.pop("policy", "thompson"), T + after, items, **fields)
        self.memory.add("ann", 0, published)
        return published

    def handle(self, event: UserEvent, after: float, source: Source = Source.CLICK) -> Attribution:
        self._offset += 1
        return attribute(self.memory, event, RecordId(source, 3, self._offset), T + after, self._rules)

    def clicks(self, item: str, after: float = 10.0, **fields: Any) -> Attribution:
        return self.handle(Click(event_id="e", user_id="ann", ts=OLD, item_id=item, **fields), after)

    def buys(self, *items: str, after: float = 10.0, **fields: Any) -> Attribution:
        lines = [OrderLine(item_id=item, price=25.0, quantity=2) for item in items]
        event = Purchase(event_id="e", user_id="ann", ts=OLD, order_id="o", items=lines, **fields)
        return self.handle(event, after, Source.PURCHASE)

    def gives_feedback(self, kind: FeedbackKind, item: str, after: float = 10.0) -> Attribution:
        event = Feedback(event_id="e", user_id="ann", ts=OLD, item_id=item, kind=kind)
        return self.handle(event, after, Source.FEEDBACK)

    def sees(self, *items: str, after: float = 5.0, list_id: str | None = None) -> Attribution:
        event = Impression(
            event_id="e", user_id="ann", ts=OLD, list_id=list_id, surface="home", items=list(items)
        )
        return self.handle(event, after, Source.IMPRESSION)


@pytest.fixture
def case() -> AttributionCase:
    return AttributionCase()


def lists(found: Attribution) -> list[tuple[str, str, int]]:
    """List, kind and rank of each reward; fails if a line is unattributed."""
    assert found.unattributed == ()
    return [(each.list_id, str(each.kind), each.position) for each in found.rewards]


def unattributed_reasons(found: Attribution) -> list[Unattributed]:
    """The reasons of an event without a reward."""
    assert found.rewards == ()
    return list(found.unattributed)


# --------------------------------------------------------------------------------------------- matched list


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
    case.memory.advance_watermark(0, T + 1_000)
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
    case.memory.forget("ann")
    assert unattributed_reasons(case.clicks("shoe", list_id="l")) == ["unknown_list"]
    assert unattributed_reasons(case.clicks("shoe")) == ["no_list"]


def test_another_users_list_is_unknown(case: AttributionCase) -> None:
    case.memory.add("bob", 0, PublishedList("l", "fixed", T, ("shoe",)))
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
    shoe, gift = attribute(case.memory, event, RecordId(Source.PURCHASE, 0, 0), T + 1, rules).rewards
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
            again.memory.apply_outcome(reward)
    assert again.memory.lists_of("ann") == case.memory.lists_of("ann")


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
    whole = attribute(case.memory, event, rank, T + 10, RULES).rewards
    again = AttributionCase()
    again.listed("l", "a", "b", "c")
    again.memory.apply_outcome(whole[0])
    assert attribute(again.memory, event, rank, T + 10, RULES, 1).rewards == whole[1:]
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

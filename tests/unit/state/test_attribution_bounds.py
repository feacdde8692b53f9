"""Attribution at its bounds: times that are equal, windows that just end, half of the items of a list."""

import pytest

from state.attribution import Attribution, AttributionRules, Unattributed, attribute
from state.dedup import RecordId
from state.list_store import PublishedListStore
from state.published_list import PublishedList
from topics.events import Action, Click, Impression, OrderLine, Purchase, UserEvent
from topics.records import RewardKind, Source

AT = 1_000.0
RULES = AttributionRules()
CLICK_WINDOW = RULES.windows[RewardKind.CLICK]
IMPRESSION_WINDOW = RULES.windows[RewardKind.IMPRESSION]


@pytest.fixture
def store() -> PublishedListStore:
    made = PublishedListStore()
    made.add("ann", 0, PublishedList("l", "fixed", AT, ("a", "b", "c", "d")))
    return made


def attributed(
    store: PublishedListStore, event: UserEvent, ts: float, source: Source = Source.CLICK
) -> Attribution:
    return attribute(store, event, RecordId(source, 0, 7), ts, RULES)


def click(item: str, list_id: str | None = None) -> Click:
    return Click(event_id="e", user_id="ann", ts=0, item_id=item, list_id=list_id)


def impression(*items: str, list_id: str | None = None) -> Impression:
    return Impression(event_id="i", user_id="ann", ts=0, items=list(items), list_id=list_id)


@pytest.mark.parametrize(
    ("ts", "reason"), [(AT, Unattributed.NOT_ON_LIST), (AT - 0.001, Unattributed.NO_LIST)]
)
def test_a_list_published_at_the_time_of_the_event_was_there(
    store: PublishedListStore, ts: float, reason: Unattributed
) -> None:
    assert attributed(store, click("elsewhere"), ts).unattributed == (reason,)


def test_an_item_of_a_list_that_was_published_later_came_from_no_list(store: PublishedListStore) -> None:
    assert attributed(store, click("b"), AT - 0.001).unattributed == (Unattributed.NO_LIST,)
    [reward] = attributed(store, click("b"), AT).rewards
    assert (reward.position, reward.delay) == (1, 0.0)


@pytest.mark.parametrize("list_id", [None, "l"])
def test_a_window_is_open_up_to_its_last_moment(store: PublishedListStore, list_id: str | None) -> None:
    late = attributed(store, click("b", list_id), AT + CLICK_WINDOW + 0.001)
    assert late.unattributed == (Unattributed.TOO_LATE,)
    [reward] = attributed(store, click("b", list_id), AT + CLICK_WINDOW).rewards
    assert (reward.explicit, reward.delay) == (list_id == "l", CLICK_WINDOW)


def test_an_impression_has_a_window_too(store: PublishedListStore) -> None:
    late = attributed(store, impression("a", list_id="l"), AT + IMPRESSION_WINDOW + 0.001)
    assert late.unattributed == (Unattributed.TOO_LATE,)
    assert attributed(store, impression("a", list_id="l"), AT + IMPRESSION_WINDOW).rewards


@pytest.mark.parametrize(
    ("items", "reason"),
    [
        (("a", "x"), None),
        (("a", "x", "y"), Unattributed.NOT_ON_LIST),
        (("a", "b", "x", "y"), None),
        (("a", "b", "x", "y", "z"), Unattributed.NOT_ON_LIST),
        ((), Unattributed.NOT_ON_LIST),
    ],
)
def test_an_unnamed_impression_belongs_to_a_list_with_half_of_its_items(
    store: PublishedListStore, items: tuple[str, ...], reason: Unattributed | None
) -> None:
    found = attributed(store, impression(*items), AT, Source.IMPRESSION)
    assert found.unattributed == (() if reason is None else (reason,))
    assert [reward.seen for reward in found.rewards] == (
        [tuple(item for item in "abcd" if item in items)] if reason is None else []
    )


def test_an_unnamed_impression_before_any_list_has_no_list(store: PublishedListStore) -> None:
    assert attributed(store, impression("a"), AT - 0.001).unattributed == (Unattributed.NO_LIST,)
    assert attributed(store, impression("a", list_id="other"), AT).unattributed == (
        Unattributed.UNKNOWN_LIST,
    )


def test_a_named_impression_without_items_is_of_the_whole_list(store: PublishedListStore) -> None:
    [reward] = attributed(store, impression(list_id="l"), AT + 5.0).rewards
    assert (reward.seen, reward.seen_positions, reward.first_exposure) == (
        ("a", "b", "c", "d"),
        (0, 1, 2, 3),
        True,
    )
    assert (reward.kind, reward.item_id, reward.position, reward.value) == (
        RewardKind.IMPRESSION,
        "",
        -1,
        0.0,
    )
    assert reward.seen_propensities == (1.0, 1.0, 1.0, 1.0)
    again = attributed(store, impression(list_id="l"), AT + 60.0)
    assert again.unattributed == (Unattributed.REPEATED,)
    # The windows start anew with each display.
    assert store.lists_of("ann")[0].window_start == AT + 60.0
    assert attributed(store, click("a"), AT + 60.0 + CLICK_WINDOW).rewards
    assert attributed(store, impression("x", list_id="l"), AT + 61.0).unattributed == (
        Unattributed.NOT_ON_LIST,
    )
    assert store.lists_of("ann")[0].window_start == AT + 60.0


def test_items_above_a_reaction_count_as_seen_unless_impressions_are_reported(
    store: PublishedListStore,
) -> None:
    [first] = attributed(store, click("c"), AT + 1.0).rewards
    assert (first.seen, first.first_exposure, first.first_positive) == (("a", "b", "c"), True, True)
    [second] = attributed(store, click("d"), AT + 2.0).rewards
    assert (second.seen, second.first_exposure) == (("d",), False)
    store.add("bob", 0, PublishedList("m", "fixed", AT, ("a", "b", "c")))
    display = Impression(event_id="i", user_id="bob", ts=0, items=["a"], list_id="m")
    assert attribute(store, display, RecordId(Source.IMPRESSION, 0, 1), AT, RULES).rewards
    named = Click(event_id="e", user_id="bob", ts=0, item_id="c", list_id="m")
    [reward] = attribute(store, named, RecordId(Source.CLICK, 0, 1), AT, RULES).rewards
    assert (reward.seen, reward.first_exposure) == (("c",), False)


def test_a_replayed_impression_is_not_attributed_again(store: PublishedListStore) -> None:
    record_id = RecordId(Source.IMPRESSION, 0, 7)
    replayed = attribute(store, impression("a", list_id="l"), record_id, AT, RULES, 1)
    assert replayed == Attribution()


def test_lines_of_an_order_come_from_the_named_list_or_from_another(store: PublishedListStore) -> None:
    store.add("ann", 0, PublishedList("m", "fixed", AT + 1.0, ("x", "y")))
    lines = [OrderLine(item_id=item, quantity=3, price=2.0) for item in ("a", "x", "elsewhere", "a")]
    order = Purchase(event_id="p", user_id="ann", ts=0, order_id="o", items=lines, list_id="l")
    found = attributed(store, order, AT + 10.0, Source.PURCHASE)
    assert [(each.list_id, each.line, each.revenue, each.explicit) for each in found.rewards] == [
        ("l", 0, 6.0, True),
        ("m", 1, 6.0, False),
    ]
    assert found.unattributed == (Unattributed.NOT_ON_LIST, Unattributed.REPEATED)
    alone = Purchase(event_id="p", user_id="ann", ts=0, order_id="o", items=lines[1:2], list_id="l")
    assert attributed(store, alone, AT + 10.0).unattributed == (Unattributed.NOT_ON_LIST,)
    from_second = attribute(store, order, RecordId(Source.PURCHASE, 0, 8), AT + 10.0, RULES, 2)
    assert len(from_second.unattributed) == 2


def reacting(kind: RewardKind, *list_ids: str) -> PublishedListStore:
    """Three lists of ann, some of them with a reaction to item a."""
    store = PublishedListStore()
    for number, list_id in enumerate(("oldest", "middle", "newest")):
        store.add("ann", 0, PublishedList(list_id, "fixed", AT + number, ("a", "b")))
    for listed in store.lists_of("ann"):
        if listed.list_id in list_ids:
            listed.apply_outcome(kind, 0, (0,), AT + 5.0)
    return store


@pytest.mark.parametrize(
    ("clicked", "rewarded"),
    [
        ((), "newest"),
        (("oldest",), "oldest"),
        (("oldest", "middle"), "middle"),
        (("oldest", "middle", "newest"), "newest"),
    ],
)
def test_a_purchase_belongs_to_the_newest_list_on_which_the_item_was_clicked(
    clicked: tuple[str, ...], rewarded: str
) -> None:
    order = Purchase(event_id="p", user_id="ann", ts=0, order_id="o", items=[OrderLine(item_id="a")])
    [reward] = attributed(reacting(RewardKind.CLICK, *clicked), order, AT + 10.0, Source.PURCHASE).rewards
    assert reward.list_id == rewarded
    assert reward.first_positive == (rewarded not in clicked)


def test_a_click_belongs_to_the_newest_list_whatever_was_liked_before() -> None:
    [reward] = attributed(reacting(RewardKind.LIKE, "oldest", "middle"), click("a"), AT + 10.0).rewards
    assert reward.list_id == "newest"


def test_lists_of_a_user_move_with_them_to_another_partition() -> None:
    store = reacting(RewardKind.CLICK)
    store.add("ann", 3, PublishedList("later", "fixed", AT + 9.0, ("a",)))
    store.retain_partitions({3})
    assert len(store.lists_of("ann")) == 4
    store.retain_partitions({0})
    assert len(store) == 0


@pytest.mark.parametrize("kind", list(RewardKind))
def test_only_a_positive_reaction_takes_the_next_one_its_first_place(kind: RewardKind) -> None:
    store = reacting(kind, "newest")
    positive = kind not in {RewardKind.IMPRESSION, RewardKind.ERASURE, RewardKind.DISLIKE, RewardKind.HIDE}
    newest = store.lists_of("ann")[-1]
    assert newest.has_positive_reaction(0) == positive
    assert not newest.has_positive_reaction(1)
    assert newest.has_reaction == (kind is not RewardKind.IMPRESSION)
    if kind is not RewardKind.SHARE:
        shared = Click(event_id="e", user_id="ann", ts=0, item_id="a", action=Action.SHARE, list_id="newest")
        [reward] = attributed(store, shared, AT + 10.0).rewards
        assert reward.first_positive == (not positive)

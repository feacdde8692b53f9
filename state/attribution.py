"""Which published list a reaction came from, and what that is worth.

`attribute` is a function of what is remembered of the lists, the event, its place and the broker's time of it: no
clock, no chance, no I/O. `docs/rewards.md` has the table of outcomes.
"""

import math
from collections.abc import Sequence
from enum import StrEnum
from typing import Final, NamedTuple, cast

import msgspec

from state.dedup import RecordId
from state.list_store import PublishedListStore
from state.published_list import PublishedList
from topics.event_types import BY_STRUCT, Effect, EventContent
from topics.events import Impression, UserEvent
from topics.records import POST_CLICK_KINDS, REWARD_KINDS, Line, Reward, RewardKind

DEFAULT_REWARD_WEIGHTS: Final[dict[RewardKind, float]] = {
    RewardKind.CLICK: 1.0,
    RewardKind.SHARE: 2.0,
    RewardKind.WISHLIST: 2.0,
    RewardKind.CART: 3.0,
    RewardKind.PURCHASE: 10.0,
    RewardKind.LIKE: 2.0,
    RewardKind.DISLIKE: -2.0,
    RewardKind.HIDE: -3.0,
}
"""What a reaction of each kind is worth unless the settings say otherwise."""

DEFAULT_ATTRIBUTION_WINDOWS: Final[dict[RewardKind, float]] = {
    RewardKind.CLICK: 1_800.0,
    RewardKind.SHARE: 1_800.0,
    RewardKind.WISHLIST: 7_200.0,
    RewardKind.CART: 7_200.0,
    RewardKind.PURCHASE: 86_400.0,
    RewardKind.LIKE: 86_400.0,
    RewardKind.DISLIKE: 86_400.0,
    RewardKind.HIDE: 86_400.0,
    RewardKind.IMPRESSION: 7 * 86_400.0,
}
"""Seconds after a list was published, or shown, in which a reaction of each kind may come, unless set otherwise."""


class Unattributed(StrEnum):
    """Why a reaction is nobody's reward; also the `reason` label of the metric."""

    NO_LIST = "no_list"
    UNKNOWN_LIST = "unknown_list"
    NOT_ON_LIST = "not_on_list"
    NOT_SEEN = "not_seen"
    MISSING_LIST_ID = "missing_list_id"
    TOO_LATE = "too_late"
    REPEATED = "repeated"


class AttributionRules(msgspec.Struct, frozen=True, kw_only=True):
    """What reactions are worth, and how long they count.

    Attributes
    ----------
    weights, windows
        By kind: worth, and seconds.
    price_exponent
        How much the price counts in a purchase: 0 not at all, 1 in proportion.
    price_unit
        The price, times quantity, at which a purchase is worth just its weight.
    require_list_id
        Whether the shop's pages name the list in each reaction to it: what is clicked without was found elsewhere,
        though it stands on a list as well.

    Examples
    --------
    >>> rules = AttributionRules(price_exponent=0.5, price_unit=25.0)
    >>> rules.value(RewardKind.PURCHASE, 100.0), rules.value(RewardKind.CLICK)
    (20.0, 1.0)
    """

    weights: dict[RewardKind, float] = msgspec.field(default_factory=lambda: dict(DEFAULT_REWARD_WEIGHTS))
    windows: dict[RewardKind, float] = msgspec.field(
        default_factory=lambda: dict(DEFAULT_ATTRIBUTION_WINDOWS)
    )
    price_exponent: float = 0.0
    price_unit: float = 50.0
    require_list_id: bool = False

    def value(self, kind: RewardKind, revenue: float = 0.0) -> float:
        """What a reaction is worth; a purchase of unknown price (0) is worth its weight.

        Parameters
        ----------
        kind
            What the shopper did.
        revenue
            Price times quantity of a purchase.
        """
        weight = self.weights.get(kind, 0.0)
        if revenue > 0.0 and self.price_exponent:
            return weight * float((revenue / self.price_unit) ** self.price_exponent)
        return weight

    @property
    def longest_window(self) -> float:
        """The longest window, in seconds."""
        return max(self.windows.values())

    @property
    def longest_post_click_window(self) -> float:
        """The longest window of a step after the click, in seconds."""
        return max(self.windows[kind] for kind in POST_CLICK_KINDS)


class Attribution(NamedTuple):
    """What came of an event.

    Attributes
    ----------
    rewards
        In the order of the event's lines.
    unattributed
        Why the other lines are nobody's reward.
    """

    rewards: tuple[Reward, ...] = ()
    unattributed: tuple[Unattributed, ...] = ()


NO_ATTRIBUTION: Final = Attribution()


def attribute(
    list_store: PublishedListStore,
    event: UserEvent,
    place: RecordId,
    ts: float,
    rules: AttributionRules,
    first_line: int = 0,
) -> Attribution:
    """Match an event with the lists it came from.

    Each line is a reward of one list at most: of the one the event names, else (and for the lines of an order of
    several that are not on it) of the newest that was published before it within the window and holds the item. What
    it tells is noted in `list_store` at once, as `stream_app.worker.list_recovery` does with rewards read from Kafka.

    Parameters
    ----------
    list_store
        The shopper's lists and their fate so far; changed by the rewards that come out.
    event
        A checked event; one that is neither a reaction nor an impression has no part in this.
    place
        Where the event stood.
    ts
        The broker's time of the event, seconds since the epoch.
    rules
        Windows and values.
    first_line
        The lines before it have their rewards already.

    Examples
    --------
    >>> from topics.events import Click
    >>> from topics.records import Source
    >>> list_store = PublishedListStore()
    >>> list_store.add("u", 0, PublishedList("l", "fixed", 100.0, ("a", "b", "c")))
    >>> click = Click(event_id="e", user_id="u", ts=110_000, item_id="b")
    >>> [reward] = attribute(list_store, click, RecordId(Source.CLICK, 0, 7), 110.0, AttributionRules()).rewards
    >>> reward.list_id, reward.position, reward.value, reward.delay, reward.seen
    ('l', 1, 1.0, 10.0, ('a', 'b'))
    """
    event_type = BY_STRUCT[type(event)]
    if event_type.effect is Effect.EXPOSURE:
        impression = cast("Impression", event)
        return (
            NO_ATTRIBUTION if first_line else _attribute_impression(list_store, impression, place, ts, rules)
        )
    content = event_type.read(event) if event_type.read is not None else None
    kind = None if content is None else REWARD_KINDS.get(content.kind)
    if content is None or kind is None:
        return NO_ATTRIBUTION
    rewards: list[Reward] = []
    unattributed: list[Unattributed] = []
    for number in range(first_line, len(content.lines)):
        line = content.lines[number]
        match = _match_line(list_store, event.user_id, content, line, kind, ts, rules)
        if isinstance(match, Unattributed):
            unattributed.append(match)
            continue
        listed, at = match
        # A shop that says what was shown has said what was seen above; from any other it is taken so.
        impressions_reported = RewardKind.IMPRESSION in (listed.rewarded or ())
        seen = _newly_seen(listed, (at,) if impressions_reported else range(at + 1))
        revenue = _revenue(line)
        reward = msgspec.structs.replace(
            _make_reward(listed, kind, event.user_id, content.list_id, place, number, ts, seen),
            item_id=line.item_id,
            position=at,
            propensity=listed.propensity(at),
            value=rules.value(kind, revenue),
            revenue=revenue,
            features=listed.feature_row(at),
            first_positive=not listed.has_positive_reaction(at),
        )
        listed.apply_outcome(kind, at, seen, ts)
        rewards.append(reward)
    return Attribution(tuple(rewards), tuple(unattributed))


def _revenue(line: Line) -> float:
    """Price times quantity; 0 for a line without a price."""
    return 0.0 if math.isnan(line.price) else line.quantity * line.price


_Match = tuple[PublishedList, int] | Unattributed
"""The list that a reaction with an item came from and the item's place on it, or why there is none."""


def _match_line(
    list_store: PublishedListStore,
    user_id: str,
    content: EventContent,
    line: Line,
    kind: RewardKind,
    ts: float,
    rules: AttributionRules,
) -> _Match:
    """The list that one line came from."""
    if content.list_id:
        named_list = list_store.find(user_id, content.list_id)
        # An order names one list, and its other lines may come from others.
        if named_list is None or named_list.rank(line.item_id) >= 0 or len(content.lines) == 1:
            return _match_named(named_list, line.item_id, kind, ts, rules.windows[kind])
    return _match_newest(list_store.lists_of(user_id), line.item_id, kind, ts, rules)


def _match_named(
    named_list: PublishedList | None, item_id: str, kind: RewardKind, ts: float, window: float
) -> _Match:
    """The list that the event names."""
    if named_list is None:
        return Unattributed.UNKNOWN_LIST
    at = named_list.rank(item_id)
    if at < 0:
        return Unattributed.UNKNOWN_LIST if named_list.is_truncated else Unattributed.NOT_ON_LIST
    if ts - named_list.window_start > window:
        return Unattributed.TOO_LATE
    return Unattributed.REPEATED if named_list.rewarded_mask(kind) >> at & 1 else (named_list, at)


def _match_newest(
    lists: Sequence[PublishedList], item_id: str, kind: RewardKind, ts: float, rules: AttributionRules
) -> _Match:
    """The newest list of before that holds the item.

    Of a shopper whose impressions are told, only where the item was seen: what they do by themselves makes new lists
    too, which may well hold what they are at. A step after the click (cart, purchase, like, …) goes to the list on
    which the item was clicked, however many were made since. Where reactions name their list, to no other.
    """
    window = rules.windows[kind]
    match = None
    clicked = False
    reason = Unattributed.NO_LIST
    is_post_click = kind in POST_CLICK_KINDS
    impressions_reported = any(RewardKind.IMPRESSION in (each.rewarded or ()) for each in lists)
    for each in reversed(lists):
        if item_id not in each.items:
            if reason is Unattributed.NO_LIST and each.at <= ts:
                reason = Unattributed.NOT_ON_LIST
        elif ts - each.window_start > window:
            reason = Unattributed.TOO_LATE
        else:
            at = each.items.index(item_id)
            if each.rewarded_mask(kind) >> at & 1:
                # Once an item and kind, however many of the shopper's lists hold the item.
                return Unattributed.REPEATED
            if impressions_reported and not each.seen >> at & 1:
                # The shop tells what was seen, and this was not: the shopper found it elsewhere.
                reason = Unattributed.NOT_SEEN
            elif rules.require_list_id and not (is_post_click and each.has_positive_reaction(at)):
                reason = Unattributed.MISSING_LIST_ID
            elif each.at <= ts:
                is_better = is_post_click and not clicked and each.has_positive_reaction(at)
                if is_better or match is None:
                    match, clicked = (each, at), clicked or is_better
    return reason if match is None else match


def _attribute_impression(
    list_store: PublishedListStore, event: Impression, place: RecordId, ts: float, rules: AttributionRules
) -> Attribution:
    """What an impression tells: all of the list it names, or the items it names of it, were seen."""
    if event.list_id:
        listed = list_store.find(event.user_id, event.list_id)
        if listed is None:
            return Attribution(unattributed=(Unattributed.UNKNOWN_LIST,))
    else:
        lists, displayed_ids = list_store.lists_of(event.user_id), set(event.items)
        earlier = [each for each in lists if each.at <= ts]
        matching = [
            each for each in earlier if 2 * len(displayed_ids.intersection(each.items)) >= len(displayed_ids)
        ]
        if not displayed_ids or not matching:
            reason = Unattributed.NOT_ON_LIST if earlier else Unattributed.NO_LIST
            return Attribution(unattributed=(reason,))
        listed = matching[-1]
    if ts - listed.window_start > rules.windows[RewardKind.IMPRESSION]:
        return Attribution(unattributed=(Unattributed.TOO_LATE,))
    ranks: Sequence[int] = range(len(listed.items))
    if event.items:
        named_list = set(event.items)
        ranks = [at for at, item in enumerate(listed.items) if item in named_list]
    seen = _newly_seen(listed, ranks)
    if not seen:
        if ranks:
            # It is before the shopper's eyes again, though nothing of it is news.
            listed.window_start = max(listed.window_start, ts)
        return Attribution(unattributed=(Unattributed.REPEATED if ranks else Unattributed.NOT_ON_LIST,))
    reward = _make_reward(listed, RewardKind.IMPRESSION, event.user_id, event.list_id, place, 0, ts, seen)
    listed.apply_outcome(RewardKind.IMPRESSION, -1, seen, ts)
    return Attribution(rewards=(reward,))


def _newly_seen(listed: PublishedList, ranks: Sequence[int]) -> tuple[int, ...]:
    """Those of some places that were not known to be seen."""
    return tuple([at for at in ranks if not listed.seen >> at & 1])


def _make_reward(
    listed: PublishedList,
    kind: RewardKind,
    user_id: str,
    named_list_id: str | None,
    place: RecordId,
    line: int,
    ts: float,
    seen: tuple[int, ...],
) -> Reward:
    """A reward with what is alike for all kinds: whose, where, when, and what was seen."""
    return Reward(
        source=place.source,
        partition=place.partition,
        offset=place.offset,
        line=line,
        ts=ts,
        user_id=user_id,
        list_id=listed.list_id,
        policy=listed.policy,
        kind=kind,
        delay=max(0.0, ts - listed.at),
        first_exposure=bool(seen) and not listed.seen,
        seen=tuple([listed.items[at] for at in seen]),
        seen_positions=seen,
        seen_propensities=tuple([listed.propensity(at) for at in seen]),
        seen_features=b"".join([listed.feature_row(at) for at in seen]),
        search=listed.search,
        explicit=listed.list_id == named_list_id,
    )

"""Which published list a reaction came from, and what that is worth.

`attribute` is a function of what is remembered of the lists, the event, its place and the broker's time of it: no
clock, no chance, no I/O. `docs/rewards.md` has the table of outcomes.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from state.dedup import Place
from state.list_store import ListMemory
from state.published_list import PublishedList
from topics.events import Action, Click, Feedback, FeedbackKind, Impression, Purchase, UserEvent
from topics.records import LATER_STEPS, Reward, RewardKind

WEIGHTS: Final[dict[RewardKind, float]] = {
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

WINDOWS: Final[dict[RewardKind, float]] = {
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

_ACTION_KIND: Final = {
    Action.VIEW: RewardKind.CLICK,
    Action.DETAIL: RewardKind.CLICK,
    Action.CART: RewardKind.CART,
    Action.WISHLIST: RewardKind.WISHLIST,
    Action.SHARE: RewardKind.SHARE,
}
_FEEDBACK_KIND: Final = {
    FeedbackKind.LIKE: RewardKind.LIKE,
    FeedbackKind.DISLIKE: RewardKind.DISLIKE,
    FeedbackKind.HIDE: RewardKind.HIDE,
}


class Unattributed(StrEnum):
    """Why a reaction is nobody's reward; also the `reason` label of the metric."""

    NO_LIST = "no_list"
    UNKNOWN_LIST = "unknown_list"
    NOT_ON_LIST = "not_on_list"
    NOT_SEEN = "not_seen"
    NOT_NAMED = "not_named"
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
    named_only
        Whether the shop's pages name the list in each reaction to it: what is clicked without was found elsewhere,
        though it stands on a list as well.

    Examples
    --------
    >>> rules = AttributionRules(price_exponent=0.5, price_unit=25.0)
    >>> rules.value(RewardKind.PURCHASE, 100.0), rules.value(RewardKind.CLICK)
    (20.0, 1.0)
    """

    weights: dict[RewardKind, float] = msgspec.field(default_factory=lambda: dict(WEIGHTS))
    windows: dict[RewardKind, float] = msgspec.field(default_factory=lambda: dict(WINDOWS))
    price_exponent: float = 0.0
    price_unit: float = 50.0
    named_only: bool = False

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
    def longest(self) -> float:
        """The longest window, in seconds."""
        return max(self.windows.values())

    @property
    def longest_step(self) -> float:
        """The longest window of a step after the click, in seconds."""
        return max(self.windows[kind] for kind in LATER_STEPS)


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


NOTHING: Final = Attribution()


class _Line(NamedTuple):
    item_id: str
    revenue: float


def attribute(
    memory: ListMemory,
    event: UserEvent,
    place: Place,
    ts: float,
    rules: AttributionRules,
    first_line: int = 0,
) -> Attribution:
    """Match an event with the lists it came from.

    Each line is a reward of one list at most: of the one the event names, else (and for the lines of an order of
    several that are not on it) of the newest that was published before it within the window and holds the item. What
    it tells is noted in `memory` at once, as `stream_app.worker.list_recovery` does with rewards read from Kafka.

    Parameters
    ----------
    memory
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
    >>> from topics.records import Source
    >>> memory = ListMemory()
    >>> memory.add("u", 0, PublishedList("l", "fixed", 100.0, ("a", "b", "c")))
    >>> click = Click(event_id="e", user_id="u", ts=110_000, item_id="b")
    >>> [reward] = attribute(memory, click, Place(Source.CLICK, 0, 7), 110.0, AttributionRules()).rewards
    >>> reward.list_id, reward.position, reward.value, reward.delay, reward.seen
    ('l', 1, 1.0, 10.0, ('a', 'b'))
    """
    lines: tuple[_Line, ...]
    if isinstance(event, Click):
        kind, lines = _ACTION_KIND[event.action], (_Line(event.item_id, 0.0),)
    elif isinstance(event, Purchase):
        kind = RewardKind.PURCHASE
        lines = tuple([_Line(line.item_id, line.quantity * line.price) for line in event.items])
    elif isinstance(event, Feedback):
        kind, lines = _FEEDBACK_KIND[event.kind], (_Line(event.item_id, 0.0),)
    elif isinstance(event, Impression):
        return NOTHING if first_line else _shown(memory, event, place, ts, rules)
    else:
        return NOTHING
    rewards: list[Reward] = []
    unattributed: list[Unattributed] = []
    lists, window = memory.of(event.user_id), rules.windows[kind]
    for number in range(first_line, len(lines)):
        item_id, revenue = lines[number]
        if event.list_id:
            named = memory.find(event.user_id, event.list_id)
            found = _named(named, item_id, kind, ts, window)
            if named is not None and named.place(item_id) < 0 and len(lines) > 1:
                # an order names one list, and what is in the basket may come from several
                found = _newest(lists, item_id, kind, ts, rules)
        else:
            found = _newest(lists, item_id, kind, ts, rules)
        if isinstance(found, Unattributed):
            unattributed.append(found)
            continue
        listed, at = found
        # A shop that says what was shown has said what was seen above; from any other it is taken so.
        told = RewardKind.IMPRESSION in (listed.given or ())
        seen = _new(listed, (at,) if told else range(at + 1))
        reward = _reward(listed, kind, event, place, number, ts, seen)
        reward = msgspec.structs.replace(
            reward,
            item_id=item_id,
            position=at,
            propensity=listed.propensity(at),
            value=rules.value(kind, revenue),
            revenue=revenue,
            features=listed.row(at),
            first=not listed.reacted_to(at),
        )
        listed.mark(kind, at, seen, ts)
        rewards.append(reward)
    return Attribution(tuple(rewards), tuple(unattributed))


_Match = tuple[PublishedList, int] | Unattributed
"""The list that a reaction with an item came from and the item's place on it, or why there is none."""


def _named(named: PublishedList | None, item_id: str, kind: RewardKind, ts: float, window: float) -> _Match:
    """The list that the event names."""
    if named is None:
        return Unattributed.UNKNOWN_LIST
    at = named.place(item_id)
    if at < 0:
        return Unattributed.UNKNOWN_LIST if named.is_remnant else Unattributed.NOT_ON_LIST
    if ts - named.since > window:
        return Unattributed.TOO_LATE
    return Unattributed.REPEATED if named.was_given(kind) >> at & 1 else (named, at)


def _newest(
    lists: Sequence[PublishedList], item_id: str, kind: RewardKind, ts: float, rules: AttributionRules
) -> _Match:
    """The newest list of before that holds the item.

    Of a shopper whose impressions are told, only where the item was seen: what they do by themselves makes new lists
    too, which may well hold what they are at. A step after the click (cart, purchase, like, …) goes to the list on
    which the item was clicked, however many were made since. Where reactions name their list, to no other.
    """
    window = rules.windows[kind]
    found = None
    clicked = False
    reason = Unattributed.NO_LIST
    later = kind in LATER_STEPS
    told = any(RewardKind.IMPRESSION in (each.given or ()) for each in lists)
    for each in reversed(lists):
        if item_id not in each.items:
            if reason is Unattributed.NO_LIST and each.at <= ts:
                reason = Unattributed.NOT_ON_LIST
        elif ts - each.since > window:
            reason = Unattributed.TOO_LATE
        else:
            at = each.items.index(item_id)
            if each.was_given(kind) >> at & 1:
                # Once an item and kind, however many of the shopper's lists hold the item.
                return Unattributed.REPEATED
            if told and not each.seen >> at & 1:
                # The shop tells what was seen, and this was not: the shopper found it elsewhere.
                reason = Unattributed.NOT_SEEN
            elif rules.named_only and not (later and each.reacted_to(at)):
                reason = Unattributed.NOT_NAMED
            elif each.at <= ts:
                best = later and not clicked and each.reacted_to(at)
                if best or found is None:
                    found, clicked = (each, at), clicked or best
    return reason if found is None else found


def _shown(
    memory: ListMemory, event: Impression, place: Place, ts: float, rules: AttributionRules
) -> Attribution:
    """What an impression tells: all of the list it names, or the items it names of it, were seen."""
    if event.list_id:
        listed = memory.find(event.user_id, event.list_id)
        if listed is None:
            return Attribution(unattributed=(Unattributed.UNKNOWN_LIST,))
    else:
        lists, shown = memory.of(event.user_id), set(event.items)
        of_before = [each for each in lists if each.at <= ts]
        holding = [each for each in of_before if 2 * len(shown.intersection(each.items)) >= len(shown)]
        if not shown or not holding:
            reason = Unattributed.NOT_ON_LIST if of_before else Unattributed.NO_LIST
            return Attribution(unattributed=(reason,))
        listed = holding[-1]
    if ts - listed.since > rules.windows[RewardKind.IMPRESSION]:
        return Attribution(unattributed=(Unattributed.TOO_LATE,))
    places: Sequence[int] = range(len(listed.items))
    if event.items:
        named = set(event.items)
        places = [at for at, item in enumerate(listed.items) if item in named]
    seen = _new(listed, places)
    if not seen:
        if places:
            # It is before the shopper's eyes again, though nothing of it is news.
            listed.since = max(listed.since, ts)
        return Attribution(unattributed=(Unattributed.REPEATED if places else Unattributed.NOT_ON_LIST,))
    reward = _reward(listed, RewardKind.IMPRESSION, event, place, 0, ts, seen)
    listed.mark(RewardKind.IMPRESSION, -1, seen, ts)
    return Attribution(rewards=(reward,))


def _new(listed: PublishedList, places: Sequence[int]) -> tuple[int, ...]:
    """Those of some places that were not known to be seen."""
    return tuple([at for at in places if not listed.seen >> at & 1])


def _reward(
    listed: PublishedList,
    kind: RewardKind,
    event: Click | Purchase | Feedback | Impression,
    place: Place,
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
        user_id=event.user_id,
        list_id=listed.list_id,
        policy=listed.policy,
        kind=kind,
        delay=max(0.0, ts - listed.at),
        opens=bool(seen) and not listed.seen,
        seen=tuple([listed.items[at] for at in seen]),
        seen_positions=seen,
        seen_propensities=tuple([listed.propensity(at) for at in seen]),
        seen_features=b"".join([listed.row(at) for at in seen]),
        search=listed.search,
        named=listed.list_id == event.list_id,
    )

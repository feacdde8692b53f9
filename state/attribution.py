"""Attribution: matches a reaction with the published list that it came from, and computes the reward.

The rule, for each line of a reaction (a click, an order line, a feedback):

1. If the event names a list, only that list matches. An order line that is not on the named list, in an order of
   several lines, continues with rule 2.
2. Otherwise the newest list of the user matches that holds the item, was published before the event, and whose
   window for this kind is open. A window starts at the publication or at the last impression. Search lists match
   only if named.
3. A step after the click (cart, purchase, like, …) prefers the newest list with a positive reaction to the item.
4. If the user's impressions are reported, a list matches only if the item was seen there. If reactions must name
   their list (`require_list_id`), an unnamed one matches only by rule 3.
5. One reward per item and kind, on the named list or, for an unnamed reaction, on all lists with an open window; a
   second one is `Unattributed.REPEATED`.
6. The reward marks the item and all items above it as seen; only the item if impressions of the list are reported.
7. An impression marks the named items as seen, or all items of the list that it names. Without a list id, it belongs
   to the newest list that holds at least half of its items.

`attribute` is a pure function of the lists, the event and the broker's timestamp. `docs/rewards.md` has a table of
outcomes.
"""

import math
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple, cast

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
"""Default value of a reaction, by kind."""

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
"""Default attribution window by kind, in seconds after publication or impression of the list."""


class Unattributed(StrEnum):
    """Why a reaction is attributed to no list; also the `reason` label of the metric."""

    NO_LIST = "no_list"
    UNKNOWN_LIST = "unknown_list"
    NOT_ON_LIST = "not_on_list"
    NOT_SEEN = "not_seen"
    MISSING_LIST_ID = "missing_list_id"
    TOO_LATE = "too_late"
    REPEATED = "repeated"


class AttributionRules(msgspec.Struct, frozen=True, kw_only=True):
    """Values and windows of reactions.

    Attributes
    ----------
    weights, windows
        Value, and attribution window in seconds, by kind.
    price_exponent
        Exponent of the price in the value of a purchase: 0 ignores the price, 1 is proportional.
    price_unit
        Price times quantity at which the value of a purchase equals its weight.
    require_list_id
        Whether the shop's pages name the list in each reaction to it. Then an unnamed click is attributed to no list,
        even if the item is on one.

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
        """The value of a reaction: its weight, times ``(revenue / price_unit) ** price_exponent`` for a purchase.

        Parameters
        ----------
        revenue
            Price times quantity of a purchase; 0 if unknown, and then the value is the weight.
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
    """The result of an attribution.

    Attributes
    ----------
    rewards
        Rewards, in the order of the event's lines.
    unattributed
        The reasons of the lines without a reward.
    """

    rewards: tuple[Reward, ...] = ()
    unattributed: tuple[Unattributed, ...] = ()


NO_ATTRIBUTION: Final = Attribution()


def attribute(
    list_store: PublishedListStore,
    event: UserEvent,
    record_id: RecordId,
    ts: float,
    rules: AttributionRules,
    first_line: int = 0,
    is_outlier: Callable[[Line], bool] = lambda _: False,
) -> Attribution:
    """Attribute an event to published lists, by the rule of the module docstring.

    Parameters
    ----------
    list_store
        The lists and their outcomes; the rewards are applied to it.
    event
        A checked event; a search or an erasure has no rewards.
    record_id
        Position of the event in the log.
    ts
        The broker's timestamp of the event, seconds since the epoch.
    first_line
        The first line to attribute; earlier lines already have their rewards.
    is_outlier
        Whether the price or quantity of a line is implausible; its revenue then counts as unknown. One mistyped price
        of 10⁹ would outweigh all other rewards for weeks.

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
            NO_ATTRIBUTION
            if first_line
            else _attribute_impression(list_store, impression, record_id, ts, rules)
        )
    if event_type.read is None:
        return NO_ATTRIBUTION
    content = event_type.read(event)
    kind = REWARD_KINDS.get(content.kind)
    if kind is None:
        return NO_ATTRIBUTION
    rewards: list[Reward] = []
    unattributed: list[Unattributed] = []
    for number in range(first_line, len(content.lines)):
        match = _match_line(list_store, event.user_id, content, content.lines[number], kind, ts, rules)
        if isinstance(match, Unattributed):
            unattributed.append(match)
        else:
            revenue = _revenue(content.lines[number], is_outlier)
            rewards.append(
                _reward_reaction(match, event.user_id, content, record_id, number, revenue, ts, rules)
            )
    return Attribution(tuple(rewards), tuple(unattributed))


def _reward_reaction(
    match: tuple[PublishedList, int],
    user_id: str,
    content: EventContent,
    record_id: RecordId,
    number: int,
    revenue: float,
    ts: float,
    rules: AttributionRules,
) -> Reward:
    """The reward of one line; its outcome is applied to the matched list."""
    listed, rank = match
    kind = REWARD_KINDS[content.kind]
    # With impressions of this list, seen items above are known already; without, they are assumed to be seen.
    impressions_reported = RewardKind.IMPRESSION in (listed.rewarded or ())
    seen = _newly_seen(listed, (rank,) if impressions_reported else range(rank + 1))
    reward = _make_reward(
        listed,
        kind,
        user_id,
        content.list_id,
        record_id,
        ts,
        seen,
        line=number,
        item_id=content.lines[number].item_id,
        position=rank,
        propensity=listed.propensity(rank),
        value=rules.value(kind, revenue),
        revenue=revenue,
        features=listed.feature_row(rank),
        first_positive=not listed.has_positive_reaction(rank),
    )
    listed.apply_outcome(kind, rank, seen, ts)
    return reward


def _revenue(line: Line, is_outlier: Callable[[Line], bool]) -> float:
    """Price times quantity; 0 for a line without a plausible price."""
    return 0.0 if math.isnan(line.price) or is_outlier(line) else line.quantity * line.price


_Match = tuple[PublishedList, int] | Unattributed
"""The matched list and the item's rank on it, or the reason why no list matches."""


def _match_line(
    list_store: PublishedListStore,
    user_id: str,
    content: EventContent,
    line: Line,
    kind: RewardKind,
    ts: float,
    rules: AttributionRules,
) -> _Match:
    """Match one line with a list (rules 1 and 2)."""
    if content.list_id:
        named_list = list_store.find(user_id, content.list_id)
        # An order names one list, but its lines may come from several.
        if named_list is None or named_list.rank(line.item_id) >= 0 or len(content.lines) == 1:
            return _match_named(named_list, line.item_id, kind, ts, rules.windows[kind])
    return _match_newest(list_store.lists_of(user_id), line.item_id, kind, ts, rules)


def _match_named(
    named_list: PublishedList | None, item_id: str, kind: RewardKind, ts: float, window: float
) -> _Match:
    """Match with the named list."""
    if named_list is None:
        return Unattributed.UNKNOWN_LIST
    rank = named_list.rank(item_id)
    if rank < 0:
        return Unattributed.UNKNOWN_LIST if named_list.is_truncated else Unattributed.NOT_ON_LIST
    if ts - named_list.window_start > window:
        return Unattributed.TOO_LATE
    return Unattributed.REPEATED if named_list.rewarded_mask(kind) >> rank & 1 else (named_list, rank)


def _match_newest(
    lists: Sequence[PublishedList], item_id: str, kind: RewardKind, ts: float, rules: AttributionRules
) -> _Match:
    """Match with the newest list that holds the item (rules 2 to 5).

    Rule 4 exists because activity outside the lists also creates new lists, and these often hold the item at hand.
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
            rank = each.items.index(item_id)
            if each.rewarded_mask(kind) >> rank & 1:
                # One reward per item and kind, even if several of the user's lists hold the item.
                return Unattributed.REPEATED
            if impressions_reported and not each.seen >> rank & 1:
                # Impressions are reported and the item was not seen on this list: the user found it elsewhere.
                reason = Unattributed.NOT_SEEN
            elif rules.require_list_id and not (is_post_click and each.has_positive_reaction(rank)):
                reason = Unattributed.MISSING_LIST_ID
            elif each.at <= ts:
                is_better = is_post_click and not clicked and each.has_positive_reaction(rank)
                if is_better or match is None:
                    match, clicked = (each, rank), clicked or is_better
    return reason if match is None else match


def _attribute_impression(
    list_store: PublishedListStore, event: Impression, record_id: RecordId, ts: float, rules: AttributionRules
) -> Attribution:
    """Mark the items of an impression as seen (rule 7)."""
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
        named_items = set(event.items)
        ranks = [rank for rank, item in enumerate(listed.items) if item in named_items]
    seen = _newly_seen(listed, ranks)
    if not seen:
        if ranks:
            # The list is displayed again: its windows restart, but no item is newly seen.
            listed.window_start = max(listed.window_start, ts)
        return Attribution(unattributed=(Unattributed.REPEATED if ranks else Unattributed.NOT_ON_LIST,))
    reward = _make_reward(
        listed, RewardKind.IMPRESSION, event.user_id, event.list_id, record_id, ts, seen, line=0
    )
    listed.apply_outcome(RewardKind.IMPRESSION, -1, seen, ts)
    return Attribution(rewards=(reward,))


def _newly_seen(listed: PublishedList, ranks: Sequence[int]) -> tuple[int, ...]:
    """The ranks that were not seen before."""
    return tuple([rank for rank in ranks if not listed.seen >> rank & 1])


def _make_reward(
    listed: PublishedList,
    kind: RewardKind,
    user_id: str,
    named_list_id: str | None,
    record_id: RecordId,
    ts: float,
    seen: tuple[int, ...],
    **fields: Any,
) -> Reward:
    """A reward with the fields that all kinds have (identity, list, time, newly seen items), and `fields`."""
    return Reward(
        source=record_id.source,
        partition=record_id.partition,
        offset=record_id.offset,
        ts=ts,
        user_id=user_id,
        list_id=listed.list_id,
        policy=listed.policy,
        kind=kind,
        delay=max(0.0, ts - listed.at),
        first_exposure=bool(seen) and not listed.seen,
        seen=tuple([listed.items[rank] for rank in seen]),
        seen_positions=seen,
        seen_propensities=tuple([listed.propensity(rank) for rank in seen])
        if listed.propensities
        else (1.0,) * len(seen),
        seen_features=b"".join([listed.feature_row(rank) for rank in seen]) if listed.features else b"",
        search=listed.search,
        explicit=listed.list_id == named_list_id,
        **fields,
    )

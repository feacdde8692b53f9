"""The pure fold of an event into a shopper's row.

`fold` is a function of its arguments: no clock, no chance, no I/O. Recent items, the session, queries, bought items
and counts are functions of the *set* of events taken (the newest by event time, sums, maxima), so that events that
arrive in another order across topics leave the same row.
"""

from enum import StrEnum
from typing import Final, NamedTuple, TypeVar

from msgspec import structs

from state import dedup
from state.dedup import RecordId
from state.row import (
    EMPTY_ROW,
    MAX_BOUGHT,
    MAX_HIDDEN,
    MAX_LIKED,
    MAX_QUERIES,
    MAX_RECENT,
    MAX_RESULTS,
    EventCounts,
    RecentInteraction,
    RecentQuery,
    UserRow,
)
from state.session_window import NO_SESSION, current_session, insert_time
from topics.events import (
    Action,
    Click,
    Erasure,
    Feedback,
    FeedbackKind,
    Impression,
    Purchase,
    Search,
    UserEvent,
)
from topics.records import Interaction, Kind, Line

_ACTION_KIND: Final = {
    Action.VIEW: Kind.VIEW,
    Action.DETAIL: Kind.DETAIL,
    Action.CART: Kind.CART,
    Action.WISHLIST: Kind.WISHLIST,
    Action.SHARE: Kind.SHARE,
}
_FEEDBACK_KIND: Final = {
    FeedbackKind.LIKE: Kind.LIKE,
    FeedbackKind.DISLIKE: Kind.DISLIKE,
    FeedbackKind.HIDE: Kind.HIDE,
}


class FoldOutcome(StrEnum):
    """What became of an event; also the `outcome` label of the metric."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    REPLAYED = "replayed"


class FoldResult(NamedTuple):
    """The result of a fold.

    Attributes
    ----------
    row
        The row after the event; the very same object where nothing changed.
    outcome
        Accepted, a duplicate, or read again after a crash.
    interaction
        What the models are to learn; None for a duplicate and for an impression.
    """

    row: UserRow
    outcome: FoldOutcome
    interaction: Interaction | None


def fold(row: UserRow, event: UserEvent, record_id: RecordId, gap: float) -> FoldResult:
    """Take an event into a row.

    Parameters
    ----------
    row
        The shopper's row so far.
    event
        A checked event of that shopper.
    record_id
        Where the event stood.
    gap
        Seconds of inactivity that close a session.

    Returns
    -------
    Folded
        An event at or below the row's watermark changes nothing, but its interaction is given again,
        identical: after a crash it may be missing from the log though the row was written.

    Examples
    --------
    >>> from topics.records import Source
    >>> click = Click(event_id="e1", user_id="u", ts=1_000_000, item_id="a")
    >>> folded = fold(EMPTY_ROW, click, RecordId(Source.CLICK, 0, 7), gap=1800)
    >>> folded.outcome, folded.row.recent[0].item_id, folded.row.watermarks[Source.CLICK]
    (<FoldOutcome.ACCEPTED: 'accepted'>, 'a', 7)
    >>> fold(folded.row, click, RecordId(Source.CLICK, 0, 9), gap=1800).outcome
    <FoldOutcome.DUPLICATE: 'duplicate'>
    >>> fold(folded.row, click, RecordId(Source.CLICK, 0, 7), gap=1800).outcome
    <FoldOutcome.REPLAYED: 'replayed'>
    """
    source, _, offset = record_id
    first_seen = dedup.find(row.ring, event.event_id)
    if offset <= row.watermarks[source]:
        is_duplicate = first_seen is not None and first_seen != (source, offset)
        return FoldResult(
            row, FoldOutcome.REPLAYED, None if is_duplicate else interaction_of(event, record_id)
        )
    if first_seen is not None:
        return FoldResult(row, FoldOutcome.DUPLICATE, None)
    watermarks = (*row.watermarks[:source], offset, *row.watermarks[source + 1 :])
    ring = dedup.remember(row.ring, event.event_id, source, offset)
    if isinstance(event, Erasure):
        # Only what recognises the shopper's older events on replay is kept.
        erased_row = structs.replace(EMPTY_ROW, watermarks=watermarks, ring=ring)
        return FoldResult(erased_row, FoldOutcome.ACCEPTED, interaction_of(event, record_id))
    ts = event.time
    segments = segments_of(event)
    has_newer_segments = bool(segments) and ts >= row.segments_ts
    kind = _kind_of(event)
    bought, hidden, liked, recent = row.bought, row.hidden, row.liked, row.recent
    if isinstance(event, Click):
        recent = _insert(recent, RecentInteraction(ts, event.item_id, kind), MAX_RECENT)
    elif isinstance(event, Purchase):
        for line in event.items:
            recent = _insert(recent, RecentInteraction(ts, line.item_id, kind), MAX_RECENT)
            bought = _with_latest(bought, line.item_id, ts, MAX_BOUGHT)
    elif isinstance(event, Feedback):
        if event.kind is FeedbackKind.LIKE:
            liked = _with_latest(liked, event.item_id, ts, MAX_LIKED)
        else:
            hidden = _with_latest(hidden, event.item_id, ts, MAX_HIDDEN)
    last_ts = max(row.last_ts, ts)
    times = row.times if isinstance(event, Impression) else insert_time(row.times, ts)
    new_row = UserRow(
        watermarks=watermarks,
        ring=ring,
        recent=recent,
        times=times,
        session=current_session(times, gap, row.session if ts >= row.session.last else NO_SESSION),
        counts=_increment(row.counts, event),
        first_ts=ts if row.counts.total == 0 else min(row.first_ts, ts),
        last_ts=last_ts,
        bought=bought,
        hidden=hidden,
        liked=liked,
        queries=_with_query(row.queries, event, last_ts - gap),
        segments=segments if has_newer_segments else row.segments,
        segments_ts=ts if has_newer_segments else row.segments_ts,
    )
    return FoldResult(new_row, FoldOutcome.ACCEPTED, interaction_of(event, record_id))


def interaction_of(event: UserEvent, record_id: RecordId) -> Interaction | None:
    """What the models are to learn from an event: a function of the event and its place alone.

    Returns
    -------
    Interaction or None
        None for an impression, which says what was shown and not what the shopper did.
    """
    lines: tuple[Line, ...] = ()
    query = ""
    shown: tuple[str, ...] = ()
    shown_prices: tuple[float, ...] = ()
    list_id = ""
    if isinstance(event, Click):
        lines = (Line(event.item_id),)
        query, list_id = event.query or "", event.list_id or ""
    elif isinstance(event, Purchase):
        lines = tuple(Line(line.item_id, line.quantity, line.price) for line in event.items)
        query, list_id = event.query or "", event.list_id or ""
        shown, shown_prices = tuple(event.shown), tuple(event.shown_prices)
    elif isinstance(event, Search):
        query = event.query
        shown, shown_prices = tuple(event.results), tuple(event.prices)
    elif isinstance(event, Feedback):
        lines = (Line(event.item_id),)
        list_id = event.list_id or ""
    elif isinstance(event, Impression):
        return None
    return Interaction(
        source=record_id.source,
        partition=record_id.partition,
        offset=record_id.offset,
        ts=event.time,
        user_id=event.user_id,
        kind=_kind_of(event),
        lines=lines,
        segments=segments_of(event),
        query=query,
        shown=shown,
        shown_prices=shown_prices,
        list_id=list_id,
    )


def segments_of(event: UserEvent) -> tuple[str, ...]:
    """The audiences an event counts for besides ``all``: its country and its channel.

    Examples
    --------
    >>> segments_of(Search(event_id="e", user_id="u", ts=0, query="q", channel="web",
    ...                    context={"country": "FR"}))
    ('country:FR', 'channel:web')
    """
    country = event.context.get("country")
    segments = (f"country:{country}",) if isinstance(country, str) and country else ()
    return (*segments, f"channel:{event.channel}") if event.channel else segments


def _kind_of(event: UserEvent) -> Kind:
    if isinstance(event, Click):
        return _ACTION_KIND[event.action]
    if isinstance(event, Purchase):
        return Kind.PURCHASE
    if isinstance(event, Feedback):
        return _FEEDBACK_KIND[event.kind]
    if isinstance(event, Erasure):
        return Kind.ERASE
    return Kind.SEARCH


def _increment(counts: EventCounts, event: UserEvent) -> EventCounts:
    if isinstance(event, Click):
        return structs.replace(counts, clicks=counts.clicks + 1)
    if isinstance(event, Purchase):
        return structs.replace(counts, purchases=counts.purchases + 1)
    if isinstance(event, Search):
        return structs.replace(counts, searches=counts.searches + 1)
    if isinstance(event, Impression):
        return structs.replace(counts, impressions=counts.impressions + 1)
    return structs.replace(counts, feedback=counts.feedback + 1)


_Timed = TypeVar("_Timed", RecentInteraction, RecentQuery)


def _order(
    entry: RecentInteraction | RecentQuery,
) -> tuple[float, str, int, tuple[str, ...], tuple[float, ...]]:
    if isinstance(entry, RecentInteraction):
        return entry.ts, entry.item_id, entry.kind, (), ()
    return entry.ts, entry.query, 0, entry.results, entry.prices


def _insert(entries: tuple[_Timed, ...], entry: _Timed, limit: int) -> tuple[_Timed, ...]:
    """`entries` with one more at its place in event time, the oldest dropped beyond `limit`."""
    updated_entries: list[_Timed] = list(entries)
    updated_entries.append(entry)
    if len(updated_entries) > 1 and entry.ts <= updated_entries[-2].ts:
        updated_entries.sort(key=_order)
    return tuple(updated_entries[-limit:])


def _with_query(
    queries: tuple[RecentQuery, ...], event: UserEvent, oldest_ts: float
) -> tuple[RecentQuery, ...]:
    """The searches with the one of the event; results stay at the newest alone, and not from before `oldest_ts`."""
    if isinstance(event, Search):
        # one price for each result, or it is not known which is whose
        known_prices = event.prices if len(event.prices) == len(event.results) else ()
        results, prices = tuple(event.results[:MAX_RESULTS]), tuple(known_prices[:MAX_RESULTS])
        queries = _insert(queries, RecentQuery(event.time, event.query, results, prices), MAX_QUERIES)
    elif not queries or not queries[-1].results or queries[-1].ts >= oldest_ts:
        return queries
    last = len(queries) - 1
    return tuple(
        [
            each
            if not each.results or (index == last and each.ts >= oldest_ts)
            else RecentQuery(each.ts, each.query)
            for index, each in enumerate(queries)
        ]
    )


def _with_latest(times: dict[str, float], item_id: str, ts: float, limit: int) -> dict[str, float]:
    """`times` with the newest time of one item, the oldest item dropped beyond `limit`."""
    updated = {**times, item_id: max(ts, times.get(item_id, ts))}
    if len(updated) > limit:
        del updated[min(updated, key=lambda key: (updated[key], key))]
    return updated

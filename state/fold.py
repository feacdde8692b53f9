"""The pure fold of an event into a shopper's row.

`fold` is a function of its arguments: no clock, no chance, no I/O. Recent items, the session, queries, bought items
and counts are functions of the *set* of events taken (the newest by event time, sums, maxima), so that events that
arrive in another order across topics leave the same row.
"""

from enum import StrEnum
from typing import Final, NamedTuple, TypeVar

from msgspec import structs

from state import dedup as duplicates
from state.dedup import Place
from state.row import (
    EMPTY_ROW,
    MAX_BOUGHT,
    MAX_HIDDEN,
    MAX_LIKED,
    MAX_QUERIES,
    MAX_RECENT,
    MAX_RESULTS,
    Counts,
    Query,
    Recent,
    UserRow,
)
from state.session_window import NO_SESSION, current, with_time
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


class Outcome(StrEnum):
    """What became of an event; also the `outcome` label of the metric."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    REPLAYED = "replayed"


class Folded(NamedTuple):
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
    outcome: Outcome
    interaction: Interaction | None


def fold(row: UserRow, event: UserEvent, place: Place, gap: float) -> Folded:
    """Take an event into a row.

    Parameters
    ----------
    row
        The shopper's row so far.
    event
        A checked event of that shopper.
    place
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
    >>> folded = fold(EMPTY_ROW, click, Place(Source.CLICK, 0, 7), gap=1800)
    >>> folded.outcome, folded.row.recent[0].item_id, folded.row.watermarks[Source.CLICK]
    (<Outcome.ACCEPTED: 'accepted'>, 'a', 7)
    >>> fold(folded.row, click, Place(Source.CLICK, 0, 9), gap=1800).outcome
    <Outcome.DUPLICATE: 'duplicate'>
    >>> fold(folded.row, click, Place(Source.CLICK, 0, 7), gap=1800).outcome
    <Outcome.REPLAYED: 'replayed'>
    """
    source, _, offset = place
    first = duplicates.find(row.ring, event.event_id)
    if offset <= row.watermarks[source]:
        sent_again = first is not None and first != (source, offset)
        return Folded(row, Outcome.REPLAYED, None if sent_again else interaction_of(event, place))
    if first is not None:
        return Folded(row, Outcome.DUPLICATE, None)
    watermarks = (*row.watermarks[:source], offset, *row.watermarks[source + 1 :])
    ring = duplicates.remember(row.ring, event.event_id, source, offset)
    if isinstance(event, Erasure):
        # Only what recognises the shopper's older events on replay is kept.
        forgotten = structs.replace(EMPTY_ROW, watermarks=watermarks, ring=ring)
        return Folded(forgotten, Outcome.ACCEPTED, interaction_of(event, place))
    ts = event.time
    segments = segments_of(event)
    newer = bool(segments) and ts >= row.segments_ts
    kind = _kind_of(event)
    bought, hidden, liked, recent = row.bought, row.hidden, row.liked, row.recent
    if isinstance(event, Click):
        recent = _insert(recent, Recent(ts, event.item_id, kind), MAX_RECENT)
    elif isinstance(event, Purchase):
        for line in event.items:
            recent = _insert(recent, Recent(ts, line.item_id, kind), MAX_RECENT)
            bought = _latest(bought, line.item_id, ts, MAX_BOUGHT)
    elif isinstance(event, Feedback):
        if event.kind is FeedbackKind.LIKE:
            liked = _latest(liked, event.item_id, ts, MAX_LIKED)
        else:
            hidden = _latest(hidden, event.item_id, ts, MAX_HIDDEN)
    last_ts = max(row.last_ts, ts)
    times = row.times if isinstance(event, Impression) else with_time(row.times, ts)
    after = UserRow(
        watermarks=watermarks,
        ring=ring,
        recent=recent,
        times=times,
        session=current(times, gap, row.session if ts >= row.session.last else NO_SESSION),
        counts=_counted(row.counts, event),
        first_ts=ts if row.counts.total == 0 else min(row.first_ts, ts),
        last_ts=last_ts,
        bought=bought,
        hidden=hidden,
        liked=liked,
        queries=_searches(row.queries, event, last_ts - gap),
        segments=segments if newer else row.segments,
        segments_ts=ts if newer else row.segments_ts,
    )
    return Folded(after, Outcome.ACCEPTED, interaction_of(event, place))


def interaction_of(event: UserEvent, place: Place) -> Interaction | None:
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
        source=place.source,
        partition=place.partition,
        offset=place.offset,
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


def _counted(counts: Counts, event: UserEvent) -> Counts:
    if isinstance(event, Click):
        return structs.replace(counts, clicks=counts.clicks + 1)
    if isinstance(event, Purchase):
        return structs.replace(counts, purchases=counts.purchases + 1)
    if isinstance(event, Search):
        return structs.replace(counts, searches=counts.searches + 1)
    if isinstance(event, Impression):
        return structs.replace(counts, impressions=counts.impressions + 1)
    return structs.replace(counts, feedback=counts.feedback + 1)


_Timed = TypeVar("_Timed", Recent, Query)


def _order(entry: Recent | Query) -> tuple[float, str, int, tuple[str, ...], tuple[float, ...]]:
    if isinstance(entry, Recent):
        return entry.ts, entry.item_id, entry.kind, (), ()
    return entry.ts, entry.query, 0, entry.results, entry.prices


def _insert(entries: tuple[_Timed, ...], entry: _Timed, limit: int) -> tuple[_Timed, ...]:
    """`entries` with one more at its place in event time, the oldest dropped beyond `limit`."""
    kept: list[_Timed] = list(entries)
    kept.append(entry)
    if len(kept) > 1 and entry.ts <= kept[-2].ts:
        kept.sort(key=_order)
    return tuple(kept[-limit:])


def _searches(queries: tuple[Query, ...], event: UserEvent, oldest: float) -> tuple[Query, ...]:
    """The searches with the one of the event; results stay at the newest alone, and not from before `oldest`."""
    if isinstance(event, Search):
        # one price for each result, or it is not known which is whose
        told = event.prices if len(event.prices) == len(event.results) else ()
        results, prices = tuple(event.results[:MAX_RESULTS]), tuple(told[:MAX_RESULTS])
        queries = _insert(queries, Query(event.time, event.query, results, prices), MAX_QUERIES)
    elif not queries or not queries[-1].results or queries[-1].ts >= oldest:
        return queries
    last = len(queries) - 1
    return tuple(
        [
            each if not each.results or (at == last and each.ts >= oldest) else Query(each.ts, each.query)
            for at, each in enumerate(queries)
        ]
    )


def _latest(times: dict[str, float], item_id: str, ts: float, limit: int) -> dict[str, float]:
    """`times` with the newest time of one item, the oldest item dropped beyond `limit`."""
    updated = {**times, item_id: max(ts, times.get(item_id, ts))}
    if len(updated) > limit:
        del updated[min(updated, key=lambda key: (updated[key], key))]
    return updated

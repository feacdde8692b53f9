"""The pure fold of an event into a user's row.

`fold` is a function of its arguments: no clock, no randomness, no I/O. Recent items, the session, queries, bought
items and counts are functions of the *set* of accepted events (newest by event time, sums, maxima): events that
arrive in another order across topics result in the same row.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple, TypeVar

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
    NO_WATERMARKS,
    UNKNOWN_PARTITION,
    ErasureMark,
    ErasureStage,
    RecentInteraction,
    RecentQuery,
    UserRow,
    watermark_of,
    with_watermark,
)
from state.session_window import NO_SESSION, current_session, insert_time
from topics.event_types import BY_STRUCT, Effect, EventType
from topics.events import UserEvent
from topics.log_keys import one_way_hash
from topics.records import Interaction, Kind, Line

_ITEM_TIMES: Final = {
    Kind.PURCHASE: ("bought", MAX_BOUGHT),
    Kind.LIKE: ("liked", MAX_LIKED),
    Kind.DISLIKE: ("hidden", MAX_HIDDEN),
    Kind.HIDE: ("hidden", MAX_HIDDEN),
}
"""The field of the row that keeps the last time of a kind per item, and its bound."""


class FoldOutcome(StrEnum):
    """The outcome of an event; also the `outcome` label of the metric."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    REPLAYED = "replayed"
    ERASED = "erased"


class FoldResult(NamedTuple):
    """The result of a fold.

    Attributes
    ----------
    row
        The row after the event; the same object if nothing changed.
    outcome
        Accepted, a duplicate, replayed after a crash, or from before the erasure of the user.
    interaction
        The interaction that the models learn; None for a duplicate, an erased event and an exposure.
    """

    row: UserRow
    outcome: FoldOutcome
    interaction: Interaction | None


def fold(row: UserRow, event: UserEvent, record_id: RecordId, gap: float, now: float = 0.0) -> FoldResult:
    """Fold an event into a row.

    Parameters
    ----------
    record_id
        Position of the event in the log.
    gap
        Seconds of inactivity that close a session.
    now
        Time of an erasure, seconds since the epoch; other events do not need it.

    Returns
    -------
    FoldResult
        An event at or below the row's watermark does not change the row, but returns the same interaction again:
        after a crash it may be missing in the log although the row was written. Watermarks of another partition, or
        of an unknown one, are not compared: then the ring of event ids alone finds replays and duplicates.

    Examples
    --------
    >>> from topics.events import Click
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
    source, partition, offset = record_id
    first_seen = dedup.find(row.ring, event.event_id)
    known_watermarks = row.watermarks if row.partition == partition else NO_WATERMARKS
    if offset <= watermark_of(known_watermarks, source) or (
        first_seen == (source, offset) and row.partition in {partition, UNKNOWN_PARTITION}
    ):
        if row.erasure is None and _precedes_erasure(row, event):
            # The user has returned: no sweep would remove the interaction once more.
            return FoldResult(row, FoldOutcome.ERASED, None)
        is_duplicate = first_seen is not None and first_seen != (source, offset)
        interaction = None if is_duplicate else interaction_of(event, record_id)
        return FoldResult(
            row if interaction is None else _erased_again(row), FoldOutcome.REPLAYED, interaction
        )
    if first_seen is not None and not _is_later_erasure(row, event):
        return FoldResult(row, FoldOutcome.DUPLICATE, None)
    if _precedes_erasure(row, event):
        return FoldResult(row, FoldOutcome.ERASED, None)
    watermarks = with_watermark(known_watermarks, source, offset)
    seen = {
        "watermarks": watermarks,
        "ring": dedup.remember(row.ring, event.event_id, source, offset),
        "partition": partition,
    }
    interaction = interaction_of(event, record_id)
    event_type = BY_STRUCT[type(event)]
    if event_type.effect is Effect.ERASURE:
        # Watermarks and event ids stay: they reject replays and duplicates of the erased events.
        row = structs.replace(
            EMPTY_ROW,
            **seen,
            erasure=_erasure_mark(event, record_id, watermarks, now),
            erased_until=max(event.time, _erased_until(row)),
        )
    else:
        row = _updated_row(row, event, event_type, interaction, gap, seen)
    return FoldResult(row, FoldOutcome.ACCEPTED, interaction)


def _erasure_mark(
    event: UserEvent, record_id: RecordId, watermarks: tuple[int, ...], now: float
) -> ErasureMark:
    event_id = event.event_id
    return ErasureMark(
        ErasureStage.PENDING,
        now,
        event.time,
        record_id.offset,
        watermarks,
        "" if event.user_id in event_id else event_id,
        one_way_hash(event_id),
    )


def _precedes_erasure(row: UserRow, event: UserEvent) -> bool:
    """Whether the user acted before the erasure that is applied already.

    The topics of a backlog are read side by side, and few erasures far ahead of many clicks: the user would be back.
    """
    if event.time >= _erased_until(row):
        return False
    return BY_STRUCT[type(event)].effect is not Effect.ERASURE


def _is_later_erasure(row: UserRow, event: UserEvent) -> bool:
    """Whether an event is a new request of erasure: shops use one id for each request of a user, ``erase-ann``."""
    return BY_STRUCT[type(event)].effect is Effect.ERASURE and event.time > _erased_until(row)


def _erased_until(row: UserRow) -> float:
    # The row of an earlier version has the time in the mark alone.
    return row.erased_until if row.erasure is None else max(row.erased_until, row.erasure.requested_at)


def _erased_again(row: UserRow) -> UserRow:
    """The row after a replay: the interaction of an erased user is on the log again, and must be removed again."""
    erasure = row.erasure
    if erasure is None or erasure.stage is ErasureStage.PENDING:
        return row
    repeated = structs.replace(erasure, stage=ErasureStage.PENDING, n_replays=erasure.n_replays + 1)
    return structs.replace(row, erasure=repeated)


def _updated_row(
    row: UserRow,
    event: UserEvent,
    event_type: EventType,
    interaction: Interaction | None,
    gap: float,
    seen: dict[str, Any],
) -> UserRow:
    counts, recent, times, queries = row.counts, row.recent, row.times, row.queries
    item_times: dict[str, dict[str, float]] = {}
    if interaction is None:
        # An exposure is not an activity of the user: it belongs to no session.
        ts, segments = event.time, segments_of(event)
    else:
        ts, segments = interaction.ts, interaction.segments
        times = insert_time(times, ts)
        if event_type.is_choice:
            for line in interaction.lines:
                recent = _insert(recent, RecentInteraction(ts, line.item_id, interaction.kind), MAX_RECENT)
        if interaction.kind in _ITEM_TIMES:
            field, limit = _ITEM_TIMES[interaction.kind]
            item_times[field] = _with_latest(getattr(row, field), interaction.lines, ts, limit)
        if event_type.effect is Effect.SEARCH:
            queries = _with_query(queries, interaction)
    erasure = row.erasure
    if erasure is not None and erasure.stage is not ErasureStage.PENDING:
        # A user who returned; the remainder of the erased row goes its own way.
        erasure = None
    last_ts = max(row.last_ts, ts)
    has_newer_segments = bool(segments) and ts >= row.segments_ts
    counter = event_type.counter
    return structs.replace(
        row,
        recent=recent,
        times=times,
        session=current_session(times, gap, row.session if ts >= row.session.last else NO_SESSION),
        counts=structs.replace(counts, **{counter: getattr(counts, counter) + 1}),
        first_ts=ts if counts.total == 0 else min(row.first_ts, ts),
        last_ts=last_ts,
        queries=_without_old_results(queries, last_ts - gap),
        segments=segments if has_newer_segments else row.segments,
        segments_ts=ts if has_newer_segments else row.segments_ts,
        erasure=erasure,
        erased_until=_erased_until(row),
        **item_times,
        **seen,
    )


def interaction_of(event: UserEvent, record_id: RecordId) -> Interaction | None:
    """The interaction of an event: a function of the event and its position in the log alone.

    Returns
    -------
    Interaction or None
        None for an exposure, which is not an action of the user.
    """
    read = BY_STRUCT[type(event)].read
    if read is None:
        return None
    content = read(event)
    return Interaction(
        source=record_id.source,
        partition=record_id.partition,
        offset=record_id.offset,
        ts=event.time,
        user_id=event.user_id,
        kind=content.kind,
        lines=content.lines,
        segments=segments_of(event),
        query=content.query,
        shown=content.shown,
        shown_prices=content.shown_prices,
        list_id=content.list_id,
    )


def segments_of(event: UserEvent) -> tuple[str, ...]:
    """The segments of an event besides ``all``: its country and its channel.

    Examples
    --------
    >>> from topics.events import Search
    >>> segments_of(Search(event_id="e", user_id="u", ts=0, query="q", channel="web",
    ...                    context={"country": "FR"}))
    ('country:FR', 'channel:web')
    """
    country = event.context.get("country")
    segments = (f"country:{country}",) if isinstance(country, str) and country else ()
    return (*segments, f"channel:{event.channel}") if event.channel else segments


_Timed = TypeVar("_Timed", RecentInteraction, RecentQuery)


def _insert(entries: tuple[_Timed, ...], entry: _Timed, limit: int) -> tuple[_Timed, ...]:
    """`entries`, ordered by event time, with one more; the oldest are dropped beyond `limit`."""
    updated_entries: list[_Timed] = list(entries)
    updated_entries.append(entry)
    if len(updated_entries) > 1 and entry.ts <= updated_entries[-2].ts:
        updated_entries.sort(key=structs.astuple)
    return tuple(updated_entries[-limit:])


def _with_query(queries: tuple[RecentQuery, ...], search: Interaction) -> tuple[RecentQuery, ...]:
    """`queries` with one more search; only the newest keeps its results."""
    # If the number of prices differs from that of the results, they cannot be matched.
    known_prices = search.shown_prices if len(search.shown_prices) == len(search.shown) else ()
    query = RecentQuery(search.ts, search.query, search.shown[:MAX_RESULTS], known_prices[:MAX_RESULTS])
    *older, newest = _insert(queries, query, MAX_QUERIES)
    return (*[RecentQuery(each.ts, each.query) if each.results else each for each in older], newest)


def _without_old_results(queries: tuple[RecentQuery, ...], oldest_ts: float) -> tuple[RecentQuery, ...]:
    """Drop the results of the newest search if it is older than `oldest_ts`."""
    if not queries or not queries[-1].results or queries[-1].ts >= oldest_ts:
        return queries
    return (*queries[:-1], RecentQuery(queries[-1].ts, queries[-1].query))


def _with_latest(times: dict[str, float], lines: Sequence[Line], ts: float, limit: int) -> dict[str, float]:
    """`times` with the newest time of each item; the oldest items are dropped beyond `limit`."""
    for line in lines:
        item_id = line.item_id
        times = {**times, item_id: max(ts, times.get(item_id, ts))}
        if len(times) > limit:
            del times[min(times, key=lambda key: (times[key], key))]
    return times

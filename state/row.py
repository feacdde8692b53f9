"""The row of one user: the complete state of the user, and its encoding.

Rows are immutable: the fold creates a new one, so that an exception leaves the old row intact. Every field is
bounded.
"""

from enum import IntEnum
from typing import Final

import msgspec

from state.session_window import NO_SESSION, Session
from topics.records import Kind, Source

FORMAT: Final = 1
MAX_RECENT: Final = 50
MAX_BOUGHT: Final = 200
MAX_HIDDEN: Final = 200
MAX_LIKED: Final = 100
MAX_QUERIES: Final = 10
MAX_RESULTS: Final = 200

NO_WATERMARKS: Final = (-1,) * len(Source)

UNKNOWN_PARTITION: Final = -1


class RecentInteraction(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One recent interaction with an item."""

    ts: float
    item_id: str
    kind: Kind


class RecentQuery(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One recent search.

    Attributes
    ----------
    ts, query
        Event time, and the query as typed.
    results, prices
        Result item ids in display order and their prices, if the shop reports them; at most ``MAX_RESULTS``. Only
        the newest search keeps them, for the session gap, because its list may have to be published again.
    """

    ts: float
    query: str
    results: tuple[str, ...] = ()
    prices: tuple[float, ...] = ()


class EventCounts(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Number of events by type."""

    clicks: int = 0
    searches: int = 0
    purchases: int = 0
    impressions: int = 0
    feedback: int = 0

    @property
    def total(self) -> int:
        """The sum over all types."""
        return self.clicks + self.searches + self.purchases + self.impressions + self.feedback


class ErasureStage(IntEnum):
    """What has been done about an erasure."""

    PENDING = 0
    """The row is empty. Redis may still have lists of the user; the row is stored under the user id."""
    UNSWEPT = 1
    """Redis has no list, and nothing is stored under the user id. The logs still have records of the user."""
    SWEPT = 2
    """The records on the logs have tombstones."""


class ErasureMark(msgspec.Struct, frozen=True, array_like=True):
    """What a row remembers of an erasure until everything of the user is removed.

    Attributes
    ----------
    stage
        What has been done.
    at, requested_at
        When the row was emptied, and the time of the event; seconds since the epoch.
    offset, watermarks
        Offset of the erasure event, and the watermarks of the row at that moment: records of events at or below them
        are from before the erasure.
    event_id, event_hash
        Id of the erasure event, empty if it contains the user id, and its one-way hash.
    n_replays
        How often an event from before the erasure was read again after its removal: each puts a record of the user
        on the log again, so that the mark must differ from the one that a sweep began with.
    """

    stage: ErasureStage
    at: float
    requested_at: float
    offset: int
    watermarks: tuple[int, ...]
    event_id: str
    event_hash: bytes
    n_replays: int = 0


class UserRow(msgspec.Struct, frozen=True, array_like=True):
    """The state of one user.

    Attributes
    ----------
    format
        Version of this layout.
    watermarks
        The highest applied offset of each `topics.records.Source`, -1 for none. A row stored before a source existed
        is shorter; see `watermark_of`.
    ring
        Recent event ids, see `state.dedup`.
    recent
        The newest interactions with items by event time, oldest first; at most ``MAX_RECENT``.
    times
        Event times of the newest events, ascending; see `state.session_window`.
    first_ts, last_ts
        Event times of the first and the newest event.
    bought, hidden, liked
        Event time of the last purchase, of the last dislike or hide, and of the last like, by item id; bounded, the
        oldest are dropped.
    queries
        The newest searches, oldest first.
    segments
        Segments besides ``all``, from the newest event that has any.
    segments_ts
        Event time of that event.
    partition
        The partition that the watermarks belong to: offsets of different partitions cannot be compared.
        ``UNKNOWN_PARTITION`` in an empty row, and in one that was stored before this field existed.
    erasure
        The user's erasure, until it is done; None in the row of a user who was not erased. A row that is stored
        under the hash of its user is the remainder of an erased user.
    erased_until
        Event time of the newest erasure, 0 for none; a user who returned keeps it, so that older events that arrive
        late are still dropped.
    """

    format: int = FORMAT
    watermarks: tuple[int, ...] = NO_WATERMARKS
    ring: bytes = b""
    recent: tuple[RecentInteraction, ...] = ()
    times: tuple[float, ...] = ()
    session: Session = NO_SESSION
    counts: EventCounts = EventCounts()
    first_ts: float = 0.0
    last_ts: float = 0.0
    bought: dict[str, float] = {}
    hidden: dict[str, float] = {}
    liked: dict[str, float] = {}
    queries: tuple[RecentQuery, ...] = ()
    segments: tuple[str, ...] = ()
    segments_ts: float = 0.0
    partition: int = UNKNOWN_PARTITION
    erasure: ErasureMark | None = None
    erased_until: float = 0.0

    @property
    def is_to_be_erased(self) -> bool:
        """Whether the user is erased, has not returned, and Redis may still have their lists."""
        erasure = self.erasure
        return erasure is not None and erasure.stage is ErasureStage.PENDING and not self.counts.total


EMPTY_ROW: Final = UserRow()


def watermark_of(watermarks: tuple[int, ...], source: Source) -> int:
    """The highest applied offset of a source; -1 if the row is older than the source.

    Examples
    --------
    >>> watermark_of((7, 3), Source.SEARCH), watermark_of((7, 3), Source.ERASURE)
    (3, -1)
    """
    return watermarks[source] if source < len(watermarks) else -1


def with_watermark(watermarks: tuple[int, ...], source: Source, offset: int) -> tuple[int, ...]:
    """Watermarks with a new one for a source; a row that is older than the source is padded.

    Examples
    --------
    >>> with_watermark((7, 3), Source.IMPRESSION, 5)
    (7, 3, -1, 5)
    """
    watermarks += (-1,) * (source - len(watermarks))
    return (*watermarks[:source], offset, *watermarks[source + 1 :])


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(UserRow)


class RowFormatError(ValueError):
    """Stored bytes are not a row of a supported format."""


def encode_row(row: UserRow) -> bytes:
    """Msgpack bytes of a row.

    Examples
    --------
    >>> decode_row(encode_row(EMPTY_ROW)) == EMPTY_ROW
    True
    """
    return _encoder.encode(row)


def decode_row(raw: bytes | None) -> UserRow:
    """The row in `raw`; the empty row if `raw` is None.

    Raises
    ------
    RowFormatError
        If the bytes are not a row, or have another format version.
    """
    if raw is None:
        return EMPTY_ROW
    try:
        row = _decoder.decode(raw)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:  # ValueError: invalid UTF-8
        raise RowFormatError(f"the stored row cannot be decoded: {error}") from None
    if row.format != FORMAT:
        raise RowFormatError(f"the stored row has format {row.format}, this version reads {FORMAT}")
    return row

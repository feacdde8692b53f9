"""The row of one shopper: everything remembered of them, and its encoding.

Rows are immutable: the fold makes a new one, so that an exception half-way leaves the old row whole. Every part
has a bound.
"""

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


class RecentInteraction(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One recent interaction with an item, at its place in event time."""

    ts: float
    item_id: str
    kind: Kind


class RecentQuery(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One recent search.

    Attributes
    ----------
    ts, query
        When, and the words as typed.
    results, prices
        What the shop showed, in its order, and the prices where it said them; at most ``MAX_RESULTS``. Kept for
        the newest search alone, and no longer than the session gap: until then its list may have to be published
        again.
    """

    ts: float
    query: str
    results: tuple[str, ...] = ()
    prices: tuple[float, ...] = ()


class EventCounts(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How many events of each kind were taken."""

    clicks: int = 0
    searches: int = 0
    purchases: int = 0
    impressions: int = 0
    feedback: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.clicks + self.searches + self.purchases + self.impressions + self.feedback


class UserRow(msgspec.Struct, frozen=True, array_like=True):
    """What is remembered of one shopper.

    Attributes
    ----------
    format
        Version of this layout.
    watermarks
        For each `topics.records.Source` the highest offset applied, -1 for none.
    ring
        Recent event ids, see `state.dedup`.
    recent
        The newest interactions with items by event time, oldest first; at most ``MAX_RECENT``.
    times
        Event times of the newest events, rising; see `state.session_window`.
    session
        The current session.
    counts
        Events taken, by kind.
    first_ts, last_ts
        Event times of the first and the newest event.
    bought, hidden, liked
        Item id to event time of the last purchase, dislike or hide, like; the oldest are dropped.
    queries
        The newest searches, oldest first.
    segments
        Audiences besides ``all``, from the newest event that named them.
    segments_ts
        Event time of that event.
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
    if source >= len(watermarks):
        watermarks += (-1,) * (source + 1 - len(watermarks))
    return (*watermarks[:source], offset, *watermarks[source + 1 :])


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(UserRow)


class RowFormatError(ValueError):
    """Stored bytes are not a row of a format this version reads."""


def encode_row(row: UserRow) -> bytes:
    """Msgpack bytes of a row.

    Examples
    --------
    >>> decode_row(encode_row(EMPTY_ROW)) == EMPTY_ROW
    True
    """
    return _encoder.encode(row)


def decode_row(raw: bytes | None) -> UserRow:
    """The row in `raw`; the empty row where there is none.

    Raises
    ------
    RowFormatError
        If the bytes are no row, or of a newer format.
    """
    if raw is None:
        return EMPTY_ROW
    try:
        row = _decoder.decode(raw)
    except msgspec.DecodeError as error:
        raise RowFormatError(f"the stored row cannot be read: {error}") from None
    if row.format != FORMAT:
        raise RowFormatError(f"the stored row has format {row.format}, this version reads {FORMAT}")
    return row

"""Format ``jsonl``: Headrace's events, one JSON object per line, with `type` (or `topic`) as the kind."""

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from stream_app.tools.feeds.rows import EventRow, Row, UnreadableRow
from topics.catalog import CATALOG_ITEMS, SHOP_TOPICS, TopicSpec
from topics.event_types import EVENT_TYPES
from topics.events import EVENT_STRUCTS


class _EventEnvelope(msgspec.Struct):
    type: str | None = None
    topic: str | None = None


_ENVELOPE_DECODER: Final = msgspec.json.Decoder(_EventEnvelope)
_DECODERS: Final = {event_type: msgspec.json.Decoder(event_type) for event_type in EVENT_STRUCTS}
_SPEC_BY_KIND: Final[dict[str, TopicSpec]] = {
    name: spec for spec in SHOP_TOPICS for name in (spec.name, spec.name.removeprefix("events."))
} | {"catalog": CATALOG_ITEMS}
EVENT_KINDS: Final = (*(event_type.topic.removeprefix("events.") for event_type in EVENT_TYPES), "catalog")
"""Values of `type`; the name of the topic (``events.click``) is accepted, too."""


def rows(lines: Iterable[bytes], name: str) -> Iterator[Row]:
    """Read events.

    Examples
    --------
    >>> line = b'{"type":"click","event_id":"e1","user_id":"u1","ts":1541599523000,"item_id":"i1"}'
    >>> [row] = rows([line, b"   "], "log")
    >>> row.event.item_id
    'i1'
    """
    del name  # events have their own ids
    for number, line in enumerate(lines, start=1):
        raw = line.strip()
        if raw:
            yield _row(number, raw)


def _row(number: int, raw: bytes) -> Row:
    try:
        envelope = _ENVELOPE_DECODER.decode(raw)
    except (ValueError, RecursionError) as error:
        return UnreadableRow(number, raw, f"not a JSON object: {error}")
    kind = envelope.type or envelope.topic
    spec = _SPEC_BY_KIND.get(kind or "")
    if spec is None:
        problem = f"type {kind[:40]!r} is unknown" if kind else "there is no `type`"
        return UnreadableRow(number, raw, f"{problem}; types are {', '.join(EVENT_KINDS)}")
    event_type = spec.payload
    try:
        return EventRow(number, _DECODERS[event_type].decode(raw))  # type: ignore[index]  # shop topics carry events
    except (ValueError, RecursionError, OverflowError) as error:
        return UnreadableRow(number, raw, f"not a valid {kind}: {error}", topic=spec.name)

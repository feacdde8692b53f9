"""Format ``jsonl``: our own events, one JSON object a line, `type` (or `topic`) naming the kind."""

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from stream_app.tools.feeds.rows import Mapped, Row, Unreadable
from topics.catalog import SHOP_TOPICS, TopicSpec
from topics.codec import EVENT_TYPES


class _Head(msgspec.Struct):
    type: str | None = None
    topic: str | None = None


_HEAD: Final = msgspec.json.Decoder(_Head)
_DECODERS: Final = {event_type: msgspec.json.Decoder(event_type) for event_type in EVENT_TYPES}
_SPECS: Final[dict[str, TopicSpec]] = {
    name: spec for spec in SHOP_TOPICS for name in (spec.name, spec.name.removeprefix("events."))
} | {"catalog": SHOP_TOPICS[-1]}
KINDS: Final = ("click", "search", "purchase", "impression", "feedback", "erasure", "catalog")
"""What `type` may be; the name of the topic (``events.click``) is understood as well."""


def rows(lines: Iterable[bytes], name: str) -> Iterator[Row]:
    """Read events.

    Parameters
    ----------
    lines
        Of the file.
    name
        Of the file; not needed here, events bring their own ids.

    Examples
    --------
    >>> line = b'{"type":"click","event_id":"e1","user_id":"u1","ts":1541599523000,"item_id":"i1"}'
    >>> [row] = rows([line, b"   "], "log")
    >>> row.event.item_id
    'i1'
    """
    del name
    for number, line in enumerate(lines, start=1):
        raw = line.strip()
        if raw:
            yield _row(number, raw)


def _row(number: int, raw: bytes) -> Row:
    try:
        head = _HEAD.decode(raw)
    except (ValueError, RecursionError) as error:
        return Unreadable(number, raw, f"no JSON object: {error}")
    kind = head.type or head.topic
    spec = _SPECS.get(kind or "")
    if spec is None:
        said = f"type {kind[:40]!r} is unknown" if kind else "there is no `type`"
        return Unreadable(number, raw, f"{said}; it may be {', '.join(KINDS)}")
    event_type = spec.payload
    try:
        return Mapped(number, _DECODERS[event_type].decode(raw))  # type: ignore[index]  # shop topics carry events
    except (ValueError, RecursionError, OverflowError) as error:
        return Unreadable(number, raw, f"no {kind}: {error}", topic=spec.name)

"""Format ``csv``: any delimited file with a header line, by a column mapping."""

import math
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from stream_app.tools.feeds.column_mapping import ColumnMapping, TimeFormat
from stream_app.tools.feeds.delimited import DelimitedRow, read_delimited
from stream_app.tools.feeds.rows import EventRow, IgnoredRow, Row, UnreadableRow
from topics.events import Action, Click, Event, Feedback, FeedbackKind, OrderLine, Purchase, Search


def rows(lines: Iterable[bytes], name: str, mapping: ColumnMapping) -> Iterator[Row]:
    """Read a delimited file.

    Parameters
    ----------
    name
        Name of the file; part of event ids where no column holds an id.

    Raises
    ------
    UserError
        If the header lacks a column of the mapping.
    """
    for record in read_delimited(
        lines, name=name, delimiter=mapping.delimiter, required_columns=mapping.required_columns
    ):
        yield _row(record, name, mapping)


def parse_milliseconds(text: str, time_format: TimeFormat) -> int:
    """Parse a time as epoch milliseconds.

    Raises
    ------
    ValueError
        If the text is not a time of this format.

    Examples
    --------
    >>> parse_milliseconds("1396437466.94", "s"), parse_milliseconds("2014-04-02T11:17:46.940Z", "rfc3339")
    (1396437466940, 1396437466940)
    """
    if time_format == "rfc3339":
        parsed = datetime.fromisoformat(text.strip())
        if parsed.tzinfo is None:
            raise ValueError(f"the time {text[:40]!r} has no time zone")
        return round(parsed.timestamp() * 1_000)
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]!r} is not a time")
    return round(value * 1_000) if time_format == "s" else round(value)


def _row(record: DelimitedRow, name: str, mapping: ColumnMapping) -> Row:
    if record.problem is not None:
        return UnreadableRow(record.line, record.raw, record.problem)
    try:
        kind = _kind(record.values, mapping)
        ts = parse_milliseconds(record.values[mapping.columns.ts], mapping.time_format)
        if kind == "ignore":
            return IgnoredRow(record.line, kind, ts / 1_000)
        return EventRow(record.line, _event(record, name, mapping, kind, ts))
    except (ValueError, OverflowError) as error:
        return UnreadableRow(record.line, record.raw, str(error))


def _kind(values: dict[str, str], mapping: ColumnMapping) -> str:
    column = mapping.columns.kind
    value = values[column] if column else ""
    kind = mapping.kinds.get(value) if value else None
    kind = kind or mapping.constants.kind or mapping.kinds.get("*")
    if kind is None:
        raise ValueError(f"the mapping's [kinds] does not contain {value[:40]!r}")
    return kind


def _event(record: DelimitedRow, name: str, mapping: ColumnMapping, kind: str, ts: int) -> Event:
    columns, constants = mapping.columns, mapping.constants

    def field(field_name: str) -> str | None:
        column: str | None = getattr(columns, field_name)
        constant: str | None = getattr(constants, field_name, None)
        return (record.values[column] if column else "") or constant

    event_id = field("event_id") or f"{name}-{record.line}"
    common: dict[str, Any] = {
        "event_id": event_id,
        "user_id": record.values[columns.user_id],
        "ts": ts,
        "session_id": field("session_id"),
        "channel": field("channel"),
        "context": {
            key: record.values[column] for key, column in mapping.context.items() if record.values[column]
        },
    }
    query = field("query")
    item_id = field("item_id") or ""
    event_kind, _, qualifier = kind.partition(":")
    if event_kind == "click":
        return Click(**common, item_id=item_id, action=Action(qualifier or Action.VIEW), query=query)
    if event_kind == "search":
        return Search(**common, query=query or "")
    if event_kind == "feedback":
        return Feedback(**common, item_id=item_id, kind=FeedbackKind(qualifier))
    line = OrderLine(
        item_id=item_id, quantity=_number(field("quantity"), 1.0), price=_number(field("price"), 0.0)
    )
    return Purchase(
        **common,
        order_id=field("order_id") or event_id,
        items=[line],
        currency=field("currency"),
        query=query,
    )


def _number(text: str | None, default: float) -> float:
    if text is None:
        return default
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]!r} is not a number")
    return value

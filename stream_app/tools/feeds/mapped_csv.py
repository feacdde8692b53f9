"""Format ``csv``: any delimited file with a header line, by a column mapping."""

import math
from collections.abc import Iterable, Iterator
from datetime import datetime

from stream_app.tools.feeds.column_mapping import ColumnMapping, TimeFormat
from stream_app.tools.feeds.delimited import DelimitedRow, read_delimited
from stream_app.tools.feeds.rows import EventRow, IgnoredRow, Row, UnreadableRow
from topics.events import Action, Click, Event, Feedback, FeedbackKind, OrderLine, Purchase, Search


def rows(lines: Iterable[bytes], name: str, mapping: ColumnMapping) -> Iterator[Row]:
    """Read a delimited file.

    Parameters
    ----------
    lines
        Of the file, header first.
    name
        Of the file: it makes event ids where no column holds one.
    mapping
        Which column is what.

    Raises
    ------
    UserError
        If the header lacks a column that the mapping names.
    """
    for record in read_delimited(
        lines, name=name, delimiter=mapping.delimiter, required_columns=mapping.required_columns
    ):
        yield _row(record, name, mapping)


def parse_milliseconds(text: str, time_format: TimeFormat) -> int:
    """Read a time as epoch milliseconds.

    Raises
    ------
    ValueError
        If it is none.

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
        raise ValueError(f"{text[:40]!r} is no time")
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
        raise ValueError(f"the mapping's [kinds] does not name {value[:40]!r}")
    return kind


def _event(record: DelimitedRow, name: str, mapping: ColumnMapping, kind: str, ts: int) -> Event:
    columns, constants = mapping.columns, mapping.constants

    def field(field_name: str) -> str | None:
        column: str | None = getattr(columns, field_name)
        constant: str | None = getattr(constants, field_name, None)
        return (record.values[column] if column else "") or constant

    user_id = record.values[columns.user_id]
    event_id = field("event_id") or f"{name}-{record.line}"
    session_id, channel, query = field("session_id"), field("channel"), field("query")
    context: dict[str, str | int | float | bool | None] = {
        key: record.values[column] for key, column in mapping.context.items() if record.values[column]
    }
    item_id = field("item_id") or ""
    event_kind, _, qualifier = kind.partition(":")
    if event_kind == "click":
        return Click(
            event_id=event_id, user_id=user_id, ts=ts, session_id=session_id,
            channel=channel, context=context,
            item_id=item_id, action=Action(qualifier or Action.VIEW), query=query,
        )  # fmt: skip
    if event_kind == "search":
        return Search(
            event_id=event_id, user_id=user_id, ts=ts, session_id=session_id,
            channel=channel, context=context,
            query=query or "",
        )  # fmt: skip
    if event_kind == "feedback":
        return Feedback(
            event_id=event_id, user_id=user_id, ts=ts, session_id=session_id,
            channel=channel, context=context,
            item_id=item_id, kind=FeedbackKind(qualifier),
        )  # fmt: skip
    line = OrderLine(
        item_id=item_id, quantity=_number(field("quantity"), 1.0), price=_number(field("price"), 0.0)
    )
    return Purchase(
        event_id=event_id, user_id=user_id, ts=ts, session_id=session_id,
            channel=channel, context=context,
        order_id=field("order_id") or event_id, items=[line], currency=field("currency"), query=query,
    )  # fmt: skip


def _number(text: str | None, default: float) -> float:
    if text is None:
        return default
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]!r} is no number")
    return value

"""Format ``csv``: any delimited file with a header line, by a column mapping."""

import math
from collections.abc import Iterable, Iterator
from datetime import datetime

from stream_app.tools.feeds.column_mapping import Mapping, TimeFormat
from stream_app.tools.feeds.delimited import Record, records
from stream_app.tools.feeds.rows import Ignored, Mapped, Row, Unreadable
from topics.events import Action, Click, Event, Feedback, FeedbackKind, OrderLine, Purchase, Search


def rows(lines: Iterable[bytes], name: str, mapping: Mapping) -> Iterator[Row]:
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
    for record in records(lines, name=name, delimiter=mapping.delimiter, needed=mapping.needed):
        yield _row(record, name, mapping)


def milliseconds(text: str, time_format: TimeFormat) -> int:
    """Read a time as epoch milliseconds.

    Raises
    ------
    ValueError
        If it is none.

    Examples
    --------
    >>> milliseconds("1396437466.94", "s"), milliseconds("2014-04-02T11:17:46.940Z", "rfc3339")
    (1396437466940, 1396437466940)
    """
    if time_format == "rfc3339":
        at = datetime.fromisoformat(text.strip())
        if at.tzinfo is None:
            raise ValueError(f"the time {text[:40]!r} has no time zone")
        return round(at.timestamp() * 1_000)
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]!r} is no time")
    return round(value * 1_000) if time_format == "s" else round(value)


def _row(record: Record, name: str, mapping: Mapping) -> Row:
    if record.problem is not None:
        return Unreadable(record.line, record.raw, record.problem)
    try:
        kind = _kind(record.values, mapping)
        ts = milliseconds(record.values[mapping.columns.ts], mapping.time_format)
        if kind == "ignore":
            return Ignored(record.line, kind, ts / 1_000)
        return Mapped(record.line, _event(record, name, mapping, kind, ts))
    except (ValueError, OverflowError) as error:
        return Unreadable(record.line, record.raw, str(error))


def _kind(values: dict[str, str], mapping: Mapping) -> str:
    column = mapping.columns.kind
    value = values[column] if column else ""
    kind = mapping.kinds.get(value) if value else None
    kind = kind or mapping.constants.kind or mapping.kinds.get("*")
    if kind is None:
        raise ValueError(f"the mapping's [kinds] does not name {value[:40]!r}")
    return kind


def _event(record: Record, name: str, mapping: Mapping, kind: str, ts: int) -> Event:
    columns, constants = mapping.columns, mapping.constants

    def field(which: str) -> str | None:
        column: str | None = getattr(columns, which)
        constant: str | None = getattr(constants, which, None)
        return (record.values[column] if column else "") or constant

    user_id = record.values[columns.user_id]
    event_id = field("event_id") or f"{name}-{record.line}"
    session_id, channel, query = field("session_id"), field("channel"), field("query")
    context: dict[str, str | int | float | bool | None] = {
        key: record.values[column] for key, column in mapping.context.items() if record.values[column]
    }
    item_id = field("item_id") or ""
    base, _, detail = kind.partition(":")
    if base == "click":
        return Click(
            event_id=event_id, user_id=user_id, ts=ts, session_id=session_id,
            channel=channel, context=context,
            item_id=item_id, action=Action(detail or Action.VIEW), query=query,
        )  # fmt: skip
    if base == "search":
        return Search(
            event_id=event_id, user_id=user_id, ts=ts, session_id=session_id,
            channel=channel, context=context,
            query=query or "",
        )  # fmt: skip
    if base == "feedback":
        return Feedback(
            event_id=event_id, user_id=user_id, ts=ts, session_id=session_id,
            channel=channel, context=context,
            item_id=item_id, kind=FeedbackKind(detail),
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

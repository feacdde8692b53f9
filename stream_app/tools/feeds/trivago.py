"""Format ``trivago``: the hotel-search log of the RecSys Challenge 2019.

``interaction item *`` becomes a click, ``search for *`` a search, ``clickout item`` a purchase with the displayed
items; filters and sort orders are ignored. `reference` is used unchanged.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from stream_app.tools.feeds.delimited import DelimitedRow, read_delimited
from stream_app.tools.feeds.rows import EventRow, IgnoredRow, Row, UnreadableRow
from topics.events import Action, Click, Event, OrderLine, Purchase, Search

REQUIRED_COLUMNS: Final = (
    "user_id", "session_id", "timestamp", "step", "action_type", "reference", "platform", "device",
    "impressions", "prices",
)  # fmt: skip
"""Columns that the file must have."""

_ACTION_OF_TYPE: Final = {
    "interaction item image": Action.VIEW,
    "interaction item info": Action.DETAIL,
    "interaction item rating": Action.DETAIL,
    "interaction item deals": Action.DETAIL,
}
_INTERACTION_PREFIX: Final = "interaction item "
_SEARCH_PREFIX: Final = "search for "
_IGNORED_TYPES: Final = frozenset({"filter selection", "change of sort order"})


def rows(lines: Iterable[bytes], name: str) -> Iterator[Row]:
    """Read the log.

    Raises
    ------
    UserError
        If the header is not that of this format.
    """
    for record in read_delimited(lines, name=name, delimiter=",", required_columns=REQUIRED_COLUMNS):
        yield _row(record)


def _row(record: DelimitedRow) -> Row:
    if record.problem is not None:
        return UnreadableRow(record.line, record.raw, record.problem)
    values = record.values
    action = values["action_type"]
    try:
        seconds = int(values["timestamp"])
        if action in _IGNORED_TYPES:
            return IgnoredRow(record.line, action, float(seconds))
        event = _event(values, action, seconds * 1_000)
    except ValueError as error:
        return UnreadableRow(record.line, record.raw, str(error))
    if event is None:
        return UnreadableRow(record.line, record.raw, f"action_type {action[:40]!r} is unknown")
    return EventRow(record.line, event)


def _event(values: dict[str, str], action: str, ts: int) -> Event | None:
    reference = values["reference"]
    # Three rows of the file repeat a (user, session, step) with other content: the time makes the id unique.
    event_id = f"{values['session_id']}-{values['step']}-{values['timestamp']}"
    context: dict[str, str | int | float | bool | None] = {
        name: values[column]
        for name, column in (("country", "platform"), ("device", "device"))
        if values[column]
    }
    common: dict[str, Any] = {
        "event_id": event_id,
        "user_id": values["user_id"],
        "ts": ts,
        "session_id": values["session_id"] or None,
        "channel": values["device"] or "web",
        "context": context,
    }
    if action.startswith(_INTERACTION_PREFIX):
        return Click(**common, item_id=reference, action=_ACTION_OF_TYPE.get(action, Action.VIEW))
    if action.startswith(_SEARCH_PREFIX):
        return Search(**common, query=reference)
    if action == "clickout item":
        displayed = values["impressions"].split("|") if values["impressions"] else []
        prices = [float(price) for price in values["prices"].split("|")] if values["prices"] else []
        if len(prices) != len(displayed):
            raise ValueError(f"{len(displayed)} impressions with {len(prices)} prices")
        price = prices[displayed.index(reference)] if reference in displayed else 0.0
        return Purchase(
            **common,
            order_id=event_id,
            items=[OrderLine(item_id=reference, price=price)],
            shown=displayed,
            shown_prices=prices,
        )
    return None

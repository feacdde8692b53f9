"""The column mapping of the format ``csv``, a small TOML file (described in docs/feeds.md)."""

import tomllib
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from stream_app.errors import UserError
from topics.events import Action, FeedbackKind

TimeFormat = Literal["s", "ms", "rfc3339"]
ROW_KINDS: Final = (
    "click",
    *(f"click:{action}" for action in Action),
    "search",
    "purchase",
    *(f"feedback:{kind}" for kind in FeedbackKind),
    "ignore",
)
"""Kinds of rows: an event kind, with the action of a click or the kind of a feedback after a colon."""


class MappedColumns(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Column by field; all but `user_id` and `ts` are optional.

    Attributes
    ----------
    user_id, item_id, ts, session_id, query, price, quantity, order_id, channel, currency
        As in the events.
    event_id
        Without it, the id is made of the file's name and the row's line number.
    kind
        The column whose value `ColumnMapping.kinds` maps to a kind.
    """

    user_id: str
    ts: str
    item_id: str | None = None
    kind: str | None = None
    price: str | None = None
    quantity: str | None = None
    query: str | None = None
    session_id: str | None = None
    event_id: str | None = None
    order_id: str | None = None
    channel: str | None = None
    currency: str | None = None


class MappedConstants(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Fields that are the same for every row; a non-empty column takes precedence."""

    kind: str | None = None
    item_id: str | None = None
    query: str | None = None
    price: str | None = None
    quantity: str | None = None
    channel: str | None = None
    currency: str | None = None


class ColumnMapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How rows of a delimited file become events.

    Attributes
    ----------
    columns
        Column by field.
    delimiter
        One character.
    time_format
        ``s`` or ``ms`` since the epoch (decimals are fine), or ``rfc3339``.
    kinds
        Kind by value of the kind column; ``"*"`` matches every other value.
    constants
        Fields that are the same for every row.
    context
        Column by name in the event's context.
    """

    columns: MappedColumns
    delimiter: Annotated[str, Meta(min_length=1, max_length=1)] = ","
    time_format: TimeFormat = "s"
    kinds: dict[str, str] = {}
    constants: MappedConstants = MappedConstants()
    context: dict[str, str] = {}

    @property
    def required_columns(self) -> list[str]:
        """The columns that the file must have."""
        column_names = [value for value in msgspec.structs.astuple(self.columns) if value is not None]
        return [*column_names, *self.context.values()]


def parse_mapping(text: str, name: str) -> ColumnMapping:
    """Parse a mapping from TOML.

    Raises
    ------
    UserError
        If the text is not TOML, or the mapping does not determine the kind of every row.

    Examples
    --------
    >>> parse_mapping('''
    ... constants.kind = "click"
    ... [columns]
    ... user_id = "customer"
    ... item_id = "sku"
    ... ts = "at"
    ... ''', "shop.toml").columns.item_id
    'sku'
    """
    try:
        mapping = msgspec.convert(tomllib.loads(text), ColumnMapping)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise UserError(f"{name} is not a column mapping: {error}. docs/feeds.md shows one.") from None
    used_kinds = set(mapping.kinds.values()) | ({mapping.constants.kind} if mapping.constants.kind else set())
    for kind in sorted(used_kinds - set(ROW_KINDS)):
        raise UserError(f"{name}: {kind!r} is not a kind; kinds are {', '.join(ROW_KINDS)}.")
    if mapping.columns.kind is None and mapping.constants.kind is None:
        raise UserError(
            f"{name} does not determine the kind of a row: set constants.kind, or columns.kind and [kinds]."
        )
    if mapping.columns.kind is not None and not mapping.kinds:
        raise UserError(
            f"{name} has a column for the kind but no [kinds]: map the column's values to kinds there."
        )
    items = mapping.columns.item_id or mapping.constants.item_id
    for kind in sorted(used_kinds):
        if items is None and kind not in {"search", "ignore"}:
            raise UserError(f"{name}: a {kind} needs an item, but no column holds the item_id.")
        if kind == "search" and mapping.columns.query is None and mapping.constants.query is None:
            raise UserError(f"{name}: a search needs a query, but no column holds it.")
    return mapping


def read_mapping(path: Path) -> ColumnMapping:
    """Read a mapping file.

    Raises
    ------
    UserError
        If it cannot be read or is invalid.
    """
    try:
        return parse_mapping(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError:
        raise UserError(f"There is no mapping file {path}; check the path.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"The mapping file {path} cannot be read: {error}.") from None

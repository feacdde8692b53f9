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
"""What a row can be: an event kind, with the action of a click or the opinion of a feedback after a colon."""


class MappedColumns(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which column holds what; all but `user_id` and `ts` may be left out.

    Attributes
    ----------
    user_id, item_id, ts, session_id, query, price, quantity, order_id, channel, currency
        As in the events.
    event_id
        Left out, the file's name and the row's line number make one.
    kind
        The column whose value `ColumnMapping.kinds` turns into a kind.
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
    """Fields that are the same for every row; a column wins where it holds a value."""

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
        Which column holds what.
    delimiter
        One character.
    time_format
        ``s`` or ``ms`` since the epoch (decimals are fine), or ``rfc3339``.
    kinds
        Value of the kind column -> kind; ``"*"`` stands for every other value.
    constants
        Fields that are the same for every row.
    context
        Name in the event's context -> column.
    """

    columns: MappedColumns
    delimiter: Annotated[str, Meta(min_length=1, max_length=1)] = ","
    time_format: TimeFormat = "s"
    kinds: dict[str, str] = {}
    constants: MappedConstants = MappedConstants()
    context: dict[str, str] = {}

    @property
    def required_columns(self) -> list[str]:
        """The columns the file must have."""
        column_names = [value for value in msgspec.structs.astuple(self.columns) if value is not None]
        return [*column_names, *self.context.values()]


def parse_mapping(text: str, name: str) -> ColumnMapping:
    """Read a mapping from TOML.

    Raises
    ------
    UserError
        If it is no TOML, or does not say what every row is.

    Examples
    --------
    >>> parse_mapping('''
    ... constants.kind = "click"
    ... [columns]
    ... user_id = "visitor"
    ... item_id = "sku"
    ... ts = "at"
    ... ''', "shop.toml").columns.item_id
    'sku'
    """
    try:
        mapping = msgspec.convert(tomllib.loads(text), ColumnMapping)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise UserError(f"{name} is no column mapping: {error}. docs/feeds.md shows one.") from None
    used_kinds = set(mapping.kinds.values()) | ({mapping.constants.kind} if mapping.constants.kind else set())
    for kind in sorted(used_kinds - set(ROW_KINDS)):
        raise UserError(f"{name}: {kind!r} is no kind; it may be {', '.join(ROW_KINDS)}.")
    if mapping.columns.kind is None and mapping.constants.kind is None:
        raise UserError(
            f"{name} does not say what a row is: set constants.kind, or columns.kind and [kinds]."
        )
    if mapping.columns.kind is not None and not mapping.kinds:
        raise UserError(f"{name} names a column for the kind but no [kinds]: say what its values mean.")
    items = mapping.columns.item_id or mapping.constants.item_id
    for kind in sorted(used_kinds):
        if items is None and kind not in {"search", "ignore"}:
            raise UserError(f"{name}: a {kind} needs an item, but no column holds the item_id.")
        if kind == "search" and mapping.columns.query is None and mapping.constants.query is None:
            raise UserError(f"{name}: a search needs words, but no column holds the query.")
    return mapping


def read_mapping(path: Path) -> ColumnMapping:
    """Read a mapping file.

    Raises
    ------
    UserError
        If it cannot be read or used.
    """
    try:
        return parse_mapping(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError:
        raise UserError(f"There is no mapping file {path}; check the path.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"The mapping file {path} cannot be read: {error}.") from None

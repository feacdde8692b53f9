"""Format ``recbole``: the atomic files of RecBole, in which many public data sets are distributed.

A row of ``NAME.inter`` becomes a click. The files ``NAME.item`` and ``NAME.user`` beside it, plain or with ``.gz``,
are read too if they exist: items become catalog entries as of the first interaction, attributes of users go into the
context of their clicks.
"""

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from stream_app.tools.feeds.delimited import DelimitedRow, read_delimited
from stream_app.tools.feeds.files import lines, open_log_file
from stream_app.tools.feeds.rows import EventRow, Row, UnreadableRow
from topics.events import Action, CatalogItem, Click

REQUIRED_COLUMNS: Final = ("user_id:token", "item_id:token", "timestamp:float")
"""Columns that a file of interactions must have."""

_ITEM_COLUMN: Final = "item_id:token"
_USER_COLUMN: Final = "user_id:token"

_TITLE_NAMES: Final = ("title", "name", "movie_title", "item_name")
_CATEGORY_NAMES: Final = ("class", "genre", "genres", "category", "categories", "category_id")
_OWN_FIELDS: Final = ("brand", "price", "description")

Context = dict[str, str | int | float | bool | None]


def rows(interactions: Iterable[bytes], name: str, path: Path | None = None) -> Iterator[Row]:
    r"""Read interactions, and the catalog and the users from the files beside `path`.

    Raises
    ------
    UserError
        If a header lacks a required column.

    Examples
    --------
    >>> header = b"user_id:token\titem_id:token\trating:float\ttimestamp:float"
    >>> [row] = rows([header, b"196\t242\t3\t881250949"], "ml")
    >>> row.event.user_id, row.event.item_id, row.event.ts
    ('196', '242', 881250949000)
    """
    users = {} if path is None else _read_users(path)
    if path is not None and (items := _sibling_file(path, ".item")) is not None:
        yield from _catalog(items, _oldest(path))
    for record in _records(interactions, name, REQUIRED_COLUMNS):
        yield _interaction(record, name, users)


def _records(raw: Iterable[bytes], name: str, required: tuple[str, ...]) -> Iterator[DelimitedRow]:
    return read_delimited(raw, name=name, delimiter="\t", required_columns=required)


def _interaction(record: DelimitedRow, name: str, users: dict[str, Context]) -> Row:
    if record.problem is not None:
        return UnreadableRow(record.line, record.raw, record.problem)
    values = record.values
    user = values[_USER_COLUMN]
    try:
        click = Click(
            event_id=f"{name}-{record.line}",
            user_id=user,
            ts=round(_finite(values["timestamp:float"]) * 1_000),
            item_id=values[_ITEM_COLUMN],
            action=Action.DETAIL,
            context=users.get(user, {}),
        )
    except (ValueError, OverflowError) as error:
        return UnreadableRow(record.line, record.raw, str(error))
    return EventRow(record.line, click)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]!r} is not a number")
    return value


def _sibling_file(path: Path, extension: str) -> Path | None:
    """``NAME.item`` of ``NAME.inter``, with or without ``.gz``; None if there is none."""
    name, separator, _ = path.name.rpartition(".inter")
    if not separator:
        return None
    found = (path.with_name(f"{name}{extension}{suffix}") for suffix in ("", ".gz"))
    return next((each for each in found if each.is_file()), None)


def _read_users(path: Path) -> dict[str, Context]:
    users = _sibling_file(path, ".user")
    if users is None:
        return {}
    with open_log_file(users) as stream:
        return {
            record.values[_USER_COLUMN]: {
                column.partition(":")[0]: value
                for column, value in record.values.items()
                if column != _USER_COLUMN and value
            }
            for record in _records(lines(stream), users.name, (_USER_COLUMN,))
            if record.problem is None
        }


def _oldest(path: Path) -> float:
    """Smallest time of the interactions, seconds since the epoch; 0 if there is none."""
    oldest = math.inf
    with open_log_file(path) as stream:
        for record in _records(lines(stream), path.name, REQUIRED_COLUMNS):
            try:
                oldest = min(oldest, _finite(record.values["timestamp:float"]))
            except (KeyError, ValueError):
                continue  # an unreadable row, which `rows` reports
    return oldest if math.isfinite(oldest) else 0.0


def _catalog(path: Path, ts: float) -> Iterator[Row]:
    with open_log_file(path) as stream:
        for record in _records(lines(stream), path.name, (_ITEM_COLUMN,)):
            if record.problem is not None:
                yield UnreadableRow(record.line, record.raw, record.problem)
                continue
            try:
                entry = _entry(record.values, round(ts * 1_000))
            except ValueError as error:
                yield UnreadableRow(record.line, record.raw, str(error))
                continue
            yield EventRow(record.line, entry)


def _entry(values: dict[str, str], ts: int) -> CatalogItem:
    """A catalog entry from columns of known names; the values of the others but numbers become tags."""
    fields: dict[str, Any] = {"categories": [], "tags": []}
    for column, value in values.items():
        field, _, kind = column.partition(":")
        if column == _ITEM_COLUMN or not value:
            continue
        words = value.split() if kind == "token_seq" else [value]
        if field in _TITLE_NAMES:
            fields["title"] = value
        elif field in _CATEGORY_NAMES:
            fields["categories"] += words
        elif field in _OWN_FIELDS:
            fields[field] = _finite(value) if field == "price" else value
        elif kind != "float" and not kind.startswith("float_"):
            fields["tags"] += words
    return CatalogItem(ts=ts, item_id=values[_ITEM_COLUMN], **fields)

"""A catalog in a file: one event per line, as in the format ``jsonl`` or as on the topic ``catalog.items``."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec

from stream_app.tools.feeds import jsonl
from stream_app.tools.feeds.files import lines, open_log_file
from stream_app.tools.feeds.rows import EventRow, Row, UnreadableRow
from topics.events import CatalogItem


class _Kind(msgspec.Struct):
    """The fields by which a record of the topic differs from other events without a kind."""

    type: str | None = None
    topic: str | None = None
    user_id: str | None = None


_KIND: Final = msgspec.json.Decoder(_Kind)
_RECORD: Final = msgspec.json.Decoder(CatalogItem)


def read_catalog(path: Path, limit: int | None = None) -> Iterator[Row]:
    """Read a file of events; a line without `type` is a record of ``catalog.items``.

    Parameters
    ----------
    limit
        Read only this number of rows.

    Raises
    ------
    UserError
        If the file cannot be read.
    """
    with open_log_file(path) as stream:
        for row in islice(jsonl.rows(lines(stream), path.name), limit):
            yield _without_type(row) if isinstance(row, UnreadableRow) else row


def count_rows(path: Path, limit: int | None = None) -> int:
    """The number of rows that `read_catalog` yields.

    Raises
    ------
    UserError
        If the file cannot be read.
    """
    with open_log_file(path) as stream:
        return sum(1 for _ in islice((line for line in lines(stream) if not line.isspace()), limit))


def catalog_entries(path: Path) -> Iterator[CatalogItem]:
    """The catalog events of a file.

    Raises
    ------
    UserError
        If the file cannot be read.
    """
    for row in read_catalog(path):
        if isinstance(row, EventRow) and isinstance(row.event, CatalogItem):
            yield row.event


def _without_type(row: UnreadableRow) -> Row:
    try:
        if any(msgspec.structs.astuple(_KIND.decode(row.raw))):
            return row
    except (ValueError, RecursionError):
        return row
    try:
        return EventRow(row.line, _RECORD.decode(row.raw))
    except (ValueError, RecursionError, OverflowError) as error:
        return UnreadableRow(row.line, row.raw, f"not a valid catalog event: {error}", row.topic)

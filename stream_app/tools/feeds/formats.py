"""The registry of log formats."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

from stream_app.errors import UserError
from stream_app.tools.feeds import jsonl, mapped_csv, trivago
from stream_app.tools.feeds.column_mapping import read_mapping
from stream_app.tools.feeds.rows import Row

ReadRows = Callable[[Iterable[bytes], str], Iterator[Row]]
"""Reads rows from the lines of a file, given also its name."""

MakeReader = Callable[[Path | None], ReadRows]
"""Makes the reader of a format from the path of the column mapping, or None."""


def _reject_mapping(read: ReadRows) -> MakeReader:
    def make(mapping: Path | None) -> ReadRows:
        if mapping is not None:
            raise UserError("Only the format csv takes a --mapping; leave it out, or give --format csv.")
        return read

    return make


def _csv(mapping: Path | None) -> ReadRows:
    if mapping is None:
        raise UserError(
            "The format csv needs a --mapping FILE.toml that maps columns to fields (docs/feeds.md)."
        )
    return partial(mapped_csv.rows, mapping=read_mapping(mapping))


FORMATS: Final[dict[str, MakeReader]] = {
    "jsonl": _reject_mapping(jsonl.rows),
    "csv": _csv,
    "trivago": _reject_mapping(trivago.rows),
}
"""Formats by their name on the command line."""


def reader(name: str, mapping: Path | None = None) -> ReadRows:
    """The reader of a format.

    Parameters
    ----------
    name
        A key of `FORMATS`.
    mapping
        The column mapping; required by csv, rejected by the others.

    Raises
    ------
    UserError
        If there is no such format, or its mapping is missing or superfluous.

    Examples
    --------
    >>> [row] = reader("jsonl")([b'{"type":"erasure","event_id":"e","user_id":"u","ts":0}'], "log")
    >>> row.event.user_id
    'u'
    """
    if name not in FORMATS:
        raise UserError(f"There is no log format {name!r}; there are {', '.join(FORMATS)}.")
    return FORMATS[name](mapping)

"""The registry of log formats."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

from stream_app.errors import UserError
from stream_app.tools.feeds import jsonl, mapped_csv, recbole, trivago
from stream_app.tools.feeds.column_mapping import read_mapping
from stream_app.tools.feeds.rows import Row

ReadRows = Callable[[Iterable[bytes], str], Iterator[Row]]
"""Reads rows from the lines of a file, given also its name."""

MakeReader = Callable[[Path | None, Path | None], ReadRows]
"""Makes the reader of a format from the paths of the column mapping and of the log, or None."""


def _reject_mapping(read: ReadRows) -> MakeReader:
    def make(mapping: Path | None, path: Path | None) -> ReadRows:
        del path
        _check_no_mapping(mapping)
        return read

    return make


def _check_no_mapping(mapping: Path | None) -> None:
    if mapping is not None:
        raise UserError("Only the format csv takes a --mapping; leave it out, or give --format csv.")


def _recbole(mapping: Path | None, path: Path | None) -> ReadRows:
    _check_no_mapping(mapping)
    return partial(recbole.rows, path=path)


def _csv(mapping: Path | None, path: Path | None) -> ReadRows:
    del path
    if mapping is None:
        raise UserError(
            "The format csv needs a --mapping FILE.toml that maps columns to fields (docs/feeds.md)."
        )
    return partial(mapped_csv.rows, mapping=read_mapping(mapping))


FORMATS: Final[dict[str, MakeReader]] = {
    "jsonl": _reject_mapping(jsonl.rows),
    "csv": _csv,
    "trivago": _reject_mapping(trivago.rows),
    "recbole": _recbole,
}
"""Formats by their name on the command line."""


def reader(name: str, mapping: Path | None = None, path: Path | None = None) -> ReadRows:
    """The reader of a format.

    Parameters
    ----------
    name
        A key of `FORMATS`.
    mapping
        The column mapping; required by csv, rejected by the others.
    path
        The log; recbole reads the files of items and users beside it.

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
    return FORMATS[name](mapping, path)

"""Rows of a delimited file with a header line, each with its original bytes."""

import csv
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from stream_app.errors import UserError

_BOM: Final = "\ufeff"


class DelimitedRow(msgspec.Struct, frozen=True):
    """One row: its line, its bytes, its values by column; `problem` is set where the values are invalid."""

    line: int
    raw: bytes
    values: dict[str, str]
    problem: str | None = None


class _LineRecorder:
    """Passes text lines to the csv reader and keeps the bytes of the current row."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._lines = iter(lines)
        self._lines_of_row: list[bytes] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self._lines_of_row.append(line)
        # Invalid UTF-8 must not stop the reader: `_problem` marks the row.
        return line.decode("utf-8", "surrogateescape")

    def pop_row_bytes(self) -> bytes:
        raw = b"".join(self._lines_of_row).rstrip(b"\r\n")
        self._lines_of_row.clear()
        return raw


def read_delimited(
    lines: Iterable[bytes], *, name: str, delimiter: str, required_columns: Iterable[str]
) -> Iterator[DelimitedRow]:
    """Read rows as values by column name.

    Parameters
    ----------
    lines
        Lines of the file, header first.
    name
        Name of the file, for error messages.
    delimiter
        One character.

    Raises
    ------
    UserError
        If the header lacks a required column. An unreadable row raises nothing; it has a `problem`.

    Examples
    --------
    >>> rows = read_delimited([b"a,b", b"1,2"], name="x", delimiter=",", required_columns=["a"])
    >>> [row.values for row in rows]
    [{'a': '1', 'b': '2'}]
    """
    recorder = _LineRecorder(lines)
    reader = csv.reader(recorder, delimiter=delimiter)
    try:
        header = [column.removeprefix(_BOM).strip() for column in next(reader, [])]
    except csv.Error as error:
        raise UserError(f"{name} has no readable header line: {error}.") from None
    missing = [column for column in required_columns if column not in header]
    if missing:
        raise UserError(
            f"{name} has no column {', '.join(map(repr, missing))}; its header names "
            f"{', '.join(map(repr, header)) or 'nothing'}. Is the format (or the delimiter) the right one?"
        )
    recorder.pop_row_bytes()
    while True:
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield DelimitedRow(reader.line_num, recorder.pop_row_bytes(), {}, str(error))
            continue
        raw = recorder.pop_row_bytes()
        if not fields:
            continue
        yield DelimitedRow(
            reader.line_num, raw, dict(zip(header, fields, strict=False)), _problem(raw, fields, header)
        )


def _problem(raw: bytes, fields: list[str], header: list[str]) -> str | None:
    if len(fields) != len(header):
        return f"{len(fields)} columns where the header has {len(header)}"
    try:
        raw.decode()
    except UnicodeDecodeError:
        return "not UTF-8"
    return None

"""Rows of a delimited file with a header line, each with the bytes it was read from."""

import csv
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from stream_app.errors import UserError

_BOM: Final = "\ufeff"


class DelimitedRow(msgspec.Struct, frozen=True):
    """One row: its line, its bytes, its values by column; `problem` says why there are no values."""

    line: int
    raw: bytes
    values: dict[str, str]
    problem: str | None = None


class _LineRecorder:
    """Hands text lines to the csv reader and keeps the bytes of the row being read."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._lines = iter(lines)
        self._lines_of_row: list[bytes] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self._lines_of_row.append(line)
        # Bytes that are no UTF-8 must not stop the reader: `_problem` tells their row apart.
        return line.decode("utf-8", "surrogateescape")

    def pop_row_bytes(self) -> bytes:
        raw = b"".join(self._lines_of_row).rstrip(b"\r\n")
        self._lines_of_row.clear()
        return raw


def read_delimited(
    lines: Iterable[bytes], *, name: str, delimiter: str, required_columns: Iterable[str]
) -> Iterator[DelimitedRow]:
    """Read rows by the names in the header line.

    Parameters
    ----------
    lines
        Of the file, header first.
    name
        Of the file, for error messages.
    delimiter
        One character.
    required_columns
        Columns that must be in the header.

    Raises
    ------
    UserError
        If the header lacks a needed column; an unreadable row is a record with a problem instead.

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

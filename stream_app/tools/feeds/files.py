"""Read log files, plain or gzip, line by line, with a limit on the length of a line."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, cast

from stream_app.errors import UserError

MAX_LINE_BYTES: Final = 2 * 1024 * 1024
"""A longer line is truncated, so that it cannot fill the memory; its row is then most likely unreadable."""

_GZIP_MAGIC: Final = b"\x1f\x8b"


@contextmanager
def open_log_file(path: Path) -> Iterator[BinaryIO]:
    """Open a log for reading; gzip is detected by its first bytes, not by the name.

    Raises
    ------
    UserError
        If the file does not exist, cannot be read, or its gzip data is corrupt.
    """
    try:
        with path.open("rb") as plain:
            is_gzip = plain.read(2) == _GZIP_MAGIC
            plain.seek(0)
            if not is_gzip:
                yield plain
                return
            with gzip.GzipFile(fileobj=plain) as decompressed:
                yield cast("BinaryIO", decompressed)
    except FileNotFoundError:
        raise UserError(f"There is no file {path}; check the path.") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{path} is corrupt gzip data ({error}); download it again.") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}.") from None


def lines(stream: BinaryIO) -> Iterator[bytes]:
    r"""Lines of a stream with their line ends, none longer than `MAX_LINE_BYTES`.

    Examples
    --------
    >>> import io
    >>> list(lines(io.BytesIO(b"a\nb")))
    [b'a\n', b'b']
    """
    while line := stream.readline(MAX_LINE_BYTES):
        yield line
        while len(line) == MAX_LINE_BYTES and not line.endswith(b"\n"):
            line = stream.readline(MAX_LINE_BYTES)

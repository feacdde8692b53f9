"""Files that a command writes at its end: checked before a long run, written as JSON after it."""

from pathlib import Path

import msgspec

from stream_app.errors import UserError


def check_writable(path: Path, option: str = "--report") -> None:
    """Check before a long run that a file can be written at its end; no new file stays behind.

    Raises
    ------
    UserError
        If the path is a folder, or its folder does not exist or is not writable.
    """
    if path.is_dir():
        raise UserError(f"{option} {path} is a folder; name a file in it.")
    existed = path.exists()
    try:
        with path.open("ab"):
            pass
    except OSError as error:
        raise UserError(
            f"{option} {path} cannot be written: {error.strerror or error}; name another file."
        ) from None
    if not existed:
        path.unlink()


def write_report(report: msgspec.Struct, path: Path) -> None:
    """Write a report as indented JSON.

    Raises
    ------
    UserError
        If the file cannot be written.
    """
    try:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    except OSError as error:
        raise UserError(
            f"The report cannot be written to {path}: {error.strerror or error}; name another file."
        ) from None

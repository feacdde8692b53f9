"""The certificates of one side of a connection."""

from pathlib import Path
from typing import NamedTuple

from stream_app.errors import UserError


class Credentials(NamedTuple):
    """PEM texts: the certificate of this side, its key, and the root certificate that signed that of the other."""

    certificate: bytes
    private_key: bytes
    root: bytes


def read_pem(option: str, path: Path) -> bytes:
    """Read a PEM file that an option names.

    Raises
    ------
    UserError
        If it cannot be read, or is no PEM file.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{option} {path} cannot be read: {error.strerror or error}.") from None
    if b"-----BEGIN " not in data:
        raise UserError(f"{option} {path} is not a PEM file.")
    return data

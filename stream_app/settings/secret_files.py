"""Settings whose values are in files, as Docker and Kubernetes mount secrets."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from stream_app.errors import UserError
from stream_app.settings.base import FILE_SUFFIX

MAX_BYTES: Final = 65_536


class SettingsError(UserError):
    """A setting is invalid; the message is one sentence for the user who set it."""


def read_secret_files(names: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """Read the settings that name a file.

    Parameters
    ----------
    names
        Variable of each setting that a file may hold, and the name of its field.
    environment
        ``HEADRACE_PASSWORD_FILE`` names the file of ``HEADRACE_PASSWORD``.

    Returns
    -------
    dict
        Content of the files by field, without line ends at the end.

    Raises
    ------
    SettingsError
        If a file cannot be read or is empty, or if the variable itself is set, too.
    """
    values = {}
    for variable, field in names.items():
        path = environment.get(variable + FILE_SUFFIX)
        if not path:
            continue
        if environment.get(variable):
            raise SettingsError(f"{variable} and {variable}{FILE_SUFFIX} are both set: unset one of them.")
        values[field] = _read(variable + FILE_SUFFIX, Path(path))
    return values


def _read(variable: str, path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        text = content.decode().rstrip("\r\n")
    except OSError as error:
        raise SettingsError(f"{variable}: {path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{variable}: {path} is not a text in UTF-8.") from None
    if len(content) > MAX_BYTES:
        raise SettingsError(f"{variable}: {path} has more than {MAX_BYTES:,} bytes and is no secret.")
    if not text:
        raise SettingsError(f"{variable}: {path} is empty.")
    return text

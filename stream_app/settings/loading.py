"""Reads the settings from the environment, and passes them on to child processes."""

import json
import os
import re
from difflib import get_close_matches
from urllib.parse import urlsplit

from pydantic import ValidationError
from pydantic_settings import SettingsError as PydanticSettingsError

from stream_app.errors import UserError
from stream_app.settings.groups import Settings


class SettingsError(UserError):
    """A setting is invalid; the message is one sentence for the user who set it."""


def load_settings(**overrides: object) -> Settings:
    """Read the environment.

    Parameters
    ----------
    **overrides
        Fields that take precedence over the environment; None defers to the environment.

    Raises
    ------
    SettingsError
        If a value is invalid or a variable is unknown, with one sentence that names the variable.

    Examples
    --------
    >>> load_settings(list_length="many")
    Traceback (most recent call last):
    stream_app.settings.loading.SettingsError: HEADRACE_LIST_LENGTH: Input should be a valid integer, ...
    """
    values = {name: value for name, value in overrides.items() if value is not None}
    known = {f"HEADRACE_{name.upper()}" for name in Settings.model_fields} | {
        "HEADRACE_DATA",
        "HEADRACE_CACHE",
    }
    for variable in sorted(os.environ):
        if variable.startswith("HEADRACE_") and variable not in known:
            close_matches = get_close_matches(variable, known, n=1)
            suggestion = f" Did you mean {close_matches[0]}?" if close_matches else ""
            raise SettingsError(
                f"{variable} is not a setting.{suggestion} `headrace settings` lists all settings."
            )
    try:
        return Settings(**values)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]).upper() if first["loc"] else "?"
        message = f"HEADRACE_{name.removeprefix('HEADRACE_')}: {first['msg']} (got {first.get('input')!r})."
        raise SettingsError(message + " `headrace settings` lists all settings.") from None
    except PydanticSettingsError as error:
        # Invalid JSON: pydantic's error names the field, but not the error in its text.
        match = re.search(r'field "(\w+)"', str(error))
        name = match[1].upper() if match else "?"
        expected = {
            "MODEL_PARAMETERS": 'a JSON object, such as \'{"session_knn": {"repeat": 1.9}}\'',
            "NEURAL_OPTIONS": 'a JSON object, such as \'{"encoder": "gru"}\'',
            "POLICIES": 'a JSON object, such as \'{"thompson": 0.9, "fixed": 0.1}\'',
            "POLICY_PARAMETERS": 'a JSON object, such as \'{"thompson": {"exploration": 0.5}}\'',
            "REWARD_WEIGHTS": "a JSON object, such as '{\"purchase\": 20}'",
            "REWARD_WINDOWS": "a JSON object, such as '{\"click\": 3600}'",
        }.get(name, "a JSON list, such as '[\"popularity\"]'")
        raise SettingsError(
            f"HEADRACE_{name}: Input should be {expected} "
            f"(got {os.environ.get(f'HEADRACE_{name}')!r}). `headrace settings` lists all settings."
        ) from None


def without_password(url: str) -> str:
    """A Redis URL without its password, for display.

    Examples
    --------
    >>> without_password("redis://:secret@cache:6379/0")
    'redis://cache:6379/0'
    """
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def embedded_override(name: str) -> str | None:
    """The address of a real server that replaces an embedded one, if the environment names one.

    Parameters
    ----------
    name
        ``BROKER`` or ``REDIS``.

    Raises
    ------
    SettingsError
        If the address is invalid.
    """
    if not os.environ.get(f"HEADRACE_{name}"):
        return None
    return str(getattr(load_settings(), name.lower()))


def child_environment(**settings: object) -> dict[str, str]:
    """The environment of a child process: this environment, plus `settings` as ``HEADRACE_*`` variables."""
    variables = {
        f"HEADRACE_{name.upper()}": json.dumps(value) if isinstance(value, dict | list) else str(value)
        for name, value in settings.items()
    }
    return {**os.environ, **variables}

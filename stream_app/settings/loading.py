"""Reads the settings from the environment, and passes them on to child processes."""

import json
import os
import re
from collections.abc import Collection
from difflib import get_close_matches
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from pydantic import ValidationError
from pydantic_settings import SettingsError as PydanticSettingsError

from stream_app.settings.base import FILE_SUFFIX, is_confidential
from stream_app.settings.groups import Settings
from stream_app.settings.secret_files import SettingsError, read_secret_files
from topics.kafka_connection import KafkaConnection, SecurityProtocol
from topics.secret import Secret

_LIST_HINT: Final = " `headrace settings` lists all settings."


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
    stream_app.settings.secret_files.SettingsError: HEADRACE_LIST_LENGTH: Input should be a valid integer, ...
    """
    values = {name: value for name, value in overrides.items() if value is not None}
    confidential = {
        variable_of(name): name for name, field in Settings.model_fields.items() if is_confidential(field)
    }
    _check_names(confidential)
    from_files = {variable: name for variable, name in confidential.items() if name not in values}
    values |= read_secret_files(from_files, os.environ)
    try:
        settings = Settings(**values)  # type: ignore[arg-type]
    except ValidationError as error:
        raise SettingsError(_message(error.errors()[0], confidential)) from None
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
            f"(got {os.environ.get(f'HEADRACE_{name}')!r}).{_LIST_HINT}"
        ) from None
    check_together(settings)
    return settings


def check_together(settings: Settings) -> None:
    """Check settings that must fit together.

    Raises
    ------
    SettingsError
        If they contradict each other.
    """
    settings.kafka  # noqa: B018  # making the connection checks them
    try:
        settings.capacities  # noqa: B018  # so does fitting them
    except ValueError as error:
        raise SettingsError(
            f"HEADRACE_MEMORY_BUDGET: {error} (got {settings.memory_budget} MiB). Give the worker more, or fewer "
            f"HEADRACE_MODELS.{_LIST_HINT}"
        ) from None


def variable_of(name: str) -> str:
    """The variable of a setting.

    Examples
    --------
    >>> variable_of("list_length")
    'HEADRACE_LIST_LENGTH'
    """
    return f"HEADRACE_{name.upper()}"


def _check_names(confidential: Collection[str]) -> None:
    """Reject an unknown variable."""
    known = {variable_of(name) for name in Settings.model_fields}
    known |= {variable + FILE_SUFFIX for variable in confidential} | {"HEADRACE_DATA", "HEADRACE_CACHE"}
    for variable in sorted(os.environ):
        if variable.startswith("HEADRACE_") and variable not in known:
            close_matches = get_close_matches(variable, known, n=1)
            suggestion = f" Did you mean {close_matches[0]}?" if close_matches else ""
            raise SettingsError(f"{variable} is not a setting.{suggestion}{_LIST_HINT}")


def _message(error: Any, confidential: Collection[str]) -> str:
    """One sentence for an error of pydantic; it quotes no value that may contain a secret."""
    if not error["loc"]:  # a check of several settings, whose message names them
        return f"{error['msg']}.{_LIST_HINT}"
    variable = variable_of(str(error["loc"][0]).removeprefix("HEADRACE_"))
    value = error.get("input")
    if variable in confidential:
        return f"{variable}: {error['msg']}.{_LIST_HINT}"
    displayed = without_password(value) if isinstance(value, str) else value
    return f"{variable}: {error['msg']} (got {displayed!r}).{_LIST_HINT}"


def without_password(url: str) -> str:
    """A URL without its user and password, for display; any other text as it is.

    Examples
    --------
    >>> without_password("redis://:secret@cache:6379/0?password=secret&db=1")
    'redis://cache:6379/0?db=1'
    """
    if "://" not in url:
        return url
    try:
        parts = urlsplit(url)
    except ValueError:  # such as an unclosed bracket
        return url.partition("://")[0] + "://..."
    if "@" in parts.path + parts.query + parts.fragment:  # a password with "/", "?" or "#"
        return f"{parts.scheme}://..."
    query = [(name, value) for name, value in parse_qsl(parts.query) if "password" not in name.lower()]
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query=urlencode(query)).geturl()


def external_broker() -> KafkaConnection | None:
    """The Kafka that replaces an embedded one, if the environment names one.

    Raises
    ------
    SettingsError
        If its settings are invalid, or there are some for the embedded one, which has no security.
    """
    address, settings = embedded_override("BROKER"), load_settings()
    if address is not None:
        return settings.kafka
    if settings.kafka_security_protocol is not SecurityProtocol.PLAINTEXT:
        raise SettingsError(
            "HEADRACE_KAFKA_SECURITY_PROTOCOL is set without HEADRACE_BROKER: an embedded broker has no security. "
            "Set HEADRACE_BROKER, too, or unset it."
        )
    return None


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
    if not (os.environ.get(f"HEADRACE_{name}") or os.environ.get(f"HEADRACE_{name}{FILE_SUFFIX}")):
        return None
    return str(getattr(load_settings(), name.lower()))


def child_environment(**settings: object) -> dict[str, str]:
    """The environment of a child process: this environment, plus `settings` as ``HEADRACE_*`` variables."""
    variables = {variable_of(name): _as_text(value) for name, value in settings.items()}
    files = {variable + FILE_SUFFIX for variable in variables}
    inherited = {name: value for name, value in os.environ.items() if name not in files}
    return {**inherited, **variables}


def _as_text(value: object) -> str:
    if isinstance(value, Secret):
        return value.reveal()
    return json.dumps(value) if isinstance(value, dict | list) else str(value)

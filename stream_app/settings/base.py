"""The base of all groups of settings, and types of their fields."""

from typing import Annotated, Final, Literal

from pydantic import Field, PlainSerializer, PlainValidator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

from topics.secret import Secret

PositiveInt = Annotated[int, Field(gt=0)]
NonNegativeInt = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0.001, allow_inf_nan=False)]
NonNegativeSeconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
AppId = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$", max_length=200)]
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
LogFormat = Literal["text", "json"]

FILE_SUFFIX: Final = "_FILE"


class FromFile:
    """Marks a setting that contains a secret, or may: ``HEADRACE_<NAME>_FILE`` can name a file with its value.

    No error contains its value.
    """


def is_confidential(field: FieldInfo) -> bool:
    """Whether a setting is marked by `FromFile`."""
    return any(isinstance(mark, FromFile) for mark in field.metadata)


def _as_secret(value: object) -> Secret:
    if isinstance(value, Secret):
        return value
    if isinstance(value, str):
        return Secret(value)
    raise PydanticCustomError("secret", "Input should be text")


SecretText = Annotated[Secret, PlainValidator(_as_secret), PlainSerializer(str), FromFile()]
"""The type of a setting that is a password, a key or a token."""


class SettingsGroup(BaseSettings):
    """Settings of one subject."""

    model_config = SettingsConfigDict(
        env_prefix="HEADRACE_", extra="forbid", frozen=True, hide_input_in_errors=True
    )

"""Settings of secured connections to Kafka, named as librdkafka's properties are."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field

from stream_app.kafka.client_credentials import ClientCredentials
from stream_app.settings.base import SecretText, SettingsGroup
from stream_app.settings.secret_files import SettingsError
from topics.kafka_connection import (
    CredentialsError,
    KafkaSecurity,
    SaslMechanism,
    SecurityProtocol,
    TokenProvider,
    ssl_context,
)
from topics.secret import Secret

PROVIDER_GROUP: Final = "headrace.token_providers"
"""Group of entry points in which a shop's package registers its token provider."""


class KafkaSettings(SettingsGroup):
    """Encryption and authentication of connections to Kafka."""

    kafka_security_protocol: Annotated[
        SecurityProtocol, BeforeValidator(lambda value: value or SecurityProtocol.PLAINTEXT)
    ] = Field(
        SecurityProtocol.PLAINTEXT,
        description="Encryption and authentication of Kafka's listener: `PLAINTEXT`, `SSL`, `SASL_PLAINTEXT` or "
        "`SASL_SSL` (docs/security.md).",
    )
    kafka_sasl_mechanism: Annotated[SaslMechanism | None, BeforeValidator(lambda value: value or None)] = (
        Field(None, description="SASL mechanism: `PLAIN`, `SCRAM-SHA-256`, `SCRAM-SHA-512` or `OAUTHBEARER`.")
    )
    kafka_sasl_username: str = Field("", description="User of PLAIN or SCRAM.")
    kafka_sasl_password: SecretText = Field(Secret(""), description="Password of this user.")
    kafka_ssl_ca_location: str = Field(
        "",
        description="PEM file of the authorities that sign the brokers' certificates; empty for those of the system.",
    )
    kafka_ssl_certificate_location: str = Field(
        "", description="PEM file of the client's certificate, if the brokers ask for one (mutual TLS)."
    )
    kafka_ssl_key_location: str = Field("", description="PEM file of the key of this certificate.")
    kafka_ssl_key_password: SecretText = Field(
        Secret(""), description="Password of this key, if it is encrypted."
    )
    kafka_sasl_oauthbearer_token_provider: str = Field(
        "",
        description="Function that returns a token of OAUTHBEARER: `module:function`, or a name that an installed "
        "package registers as `headrace.token_providers`.",
    )
    kafka_sasl_oauthbearer_token_endpoint_url: str = Field(
        "", description="URL that returns tokens of OAUTHBEARER for client credentials (OAuth 2.0)."
    )
    kafka_sasl_oauthbearer_client_id: str = Field("", description="Client id for this URL.")
    kafka_sasl_oauthbearer_client_secret: SecretText = Field(
        Secret(""), description="Client secret for this URL."
    )
    kafka_sasl_oauthbearer_scope: str = Field("", description="Scope of the tokens; empty for the default.")


def security_of(settings: KafkaSettings) -> KafkaSecurity:
    """The security of connections.

    Raises
    ------
    SettingsError
        If settings contradict each other, or a file or a token provider cannot be used: one sentence.
    """
    message = _contradiction(settings)
    if message is not None:
        raise SettingsError(message)
    security = KafkaSecurity(
        protocol=settings.kafka_security_protocol,
        mechanism=settings.kafka_sasl_mechanism,
        username=settings.kafka_sasl_username,
        password=settings.kafka_sasl_password,
        ca_location=settings.kafka_ssl_ca_location,
        certificate_location=settings.kafka_ssl_certificate_location,
        key_location=settings.kafka_ssl_key_location,
        key_password=settings.kafka_ssl_key_password,
        token_provider=_token_provider(settings),
    )
    try:
        ssl_context(security)
    except CredentialsError as error:
        raise SettingsError(str(error)) from None
    return security


def _contradiction(settings: KafkaSettings) -> str | None:
    """What does not fit together, with what to do; None if all does."""
    protocol, mechanism = settings.kafka_security_protocol, settings.kafka_sasl_mechanism
    return (
        _unused(settings, "kafka_ssl_", protocol.uses_tls, "SSL or SASL_SSL")
        or _unused(settings, "kafka_sasl_", protocol.uses_sasl, "SASL_SSL or SASL_PLAINTEXT")
        or _wrong_files(settings)
        or (_wrong_sasl(settings, mechanism) if protocol.uses_sasl else None)
    )


def _unused(settings: KafkaSettings, prefix: str, is_used: bool, protocols: str) -> str | None:
    if is_used:
        return None
    for name in KafkaSettings.model_fields:
        if name.startswith(prefix) and getattr(settings, name):
            return (
                f"{_variable(name)} has no effect with HEADRACE_KAFKA_SECURITY_PROTOCOL="
                f"{settings.kafka_security_protocol}: set the protocol to {protocols}, or unset the variable."
            )
    return None


def _wrong_files(settings: KafkaSettings) -> str | None:
    for name in ("kafka_ssl_ca_location", "kafka_ssl_certificate_location", "kafka_ssl_key_location"):
        path = getattr(settings, name)
        if path and not Path(path).is_file():
            return f"{_variable(name)}: there is no file {path}."
    if settings.kafka_ssl_key_location and not settings.kafka_ssl_certificate_location:
        return (
            "HEADRACE_KAFKA_SSL_KEY_LOCATION is set without HEADRACE_KAFKA_SSL_CERTIFICATE_LOCATION: a key belongs "
            "to a certificate."
        )
    if settings.kafka_ssl_certificate_location and not settings.kafka_ssl_key_location:
        try:
            content = Path(settings.kafka_ssl_certificate_location).read_bytes()
        except OSError as error:
            return f"HEADRACE_KAFKA_SSL_CERTIFICATE_LOCATION: the file cannot be read: {error.strerror}."
        if b"PRIVATE KEY-----" not in content:
            return (
                "HEADRACE_KAFKA_SSL_CERTIFICATE_LOCATION is set without HEADRACE_KAFKA_SSL_KEY_LOCATION, and its "
                "file has no key."
            )
    if settings.kafka_ssl_key_password and not settings.kafka_ssl_certificate_location:
        return "HEADRACE_KAFKA_SSL_KEY_PASSWORD is set without HEADRACE_KAFKA_SSL_KEY_LOCATION."
    return None


def _wrong_sasl(settings: KafkaSettings, mechanism: SaslMechanism | None) -> str | None:
    if mechanism is None:
        return (
            f"HEADRACE_KAFKA_SECURITY_PROTOCOL={settings.kafka_security_protocol} needs "
            f"HEADRACE_KAFKA_SASL_MECHANISM: one of {', '.join(SaslMechanism)}."
        )
    if mechanism is SaslMechanism.OAUTHBEARER:
        return _wrong_tokens(settings)
    return _wrong_password(settings, mechanism)


def _wrong_tokens(settings: KafkaSettings) -> str | None:
    for name in ("kafka_sasl_username", "kafka_sasl_password"):
        if getattr(settings, name):
            return f"{_variable(name)} has no effect with OAUTHBEARER, which takes tokens: unset it."
    provider = settings.kafka_sasl_oauthbearer_token_provider
    url = settings.kafka_sasl_oauthbearer_token_endpoint_url
    if bool(provider) == bool(url):
        return (
            "OAUTHBEARER needs either HEADRACE_KAFKA_SASL_OAUTHBEARER_TOKEN_PROVIDER or "
            f"HEADRACE_KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL: {'both are' if url else 'neither is'} set."
        )
    client = settings.kafka_sasl_oauthbearer_client_id, settings.kafka_sasl_oauthbearer_client_secret
    if url and not all(client):
        return (
            "HEADRACE_KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL needs HEADRACE_KAFKA_SASL_OAUTHBEARER_CLIENT_ID and "
            "HEADRACE_KAFKA_SASL_OAUTHBEARER_CLIENT_SECRET."
        )
    if url and (not url.startswith(("https://", "http://")) or "@" in url):
        return (
            "HEADRACE_KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL must begin with https:// or http://, and have no "
            "user or password: these are the client id and the client secret."
        )
    return None


def _wrong_password(settings: KafkaSettings, mechanism: SaslMechanism) -> str | None:
    for name in KafkaSettings.model_fields:
        if name.startswith("kafka_sasl_oauthbearer_") and getattr(settings, name):
            return f"{_variable(name)} has no effect with {mechanism}: it is for OAUTHBEARER."
    for name in ("kafka_sasl_username", "kafka_sasl_password"):
        if not getattr(settings, name):
            file = f" (or {_variable(name)}_FILE)" if name.endswith("password") else ""
            return f"HEADRACE_KAFKA_SASL_MECHANISM={mechanism} needs {_variable(name)}{file}."
    return None


def _variable(name: str) -> str:
    return f"HEADRACE_{name.upper()}"


def _token_provider(settings: KafkaSettings) -> TokenProvider | None:
    if settings.kafka_sasl_oauthbearer_token_endpoint_url:
        return ClientCredentials(
            settings.kafka_sasl_oauthbearer_token_endpoint_url,
            settings.kafka_sasl_oauthbearer_client_id,
            settings.kafka_sasl_oauthbearer_client_secret,
            settings.kafka_sasl_oauthbearer_scope,
        ).token
    name = settings.kafka_sasl_oauthbearer_token_provider
    return _load_provider(name) if name else None


def _load_provider(name: str) -> Callable[[], Any]:
    variable = "HEADRACE_KAFKA_SASL_OAUTHBEARER_TOKEN_PROVIDER"
    from importlib.metadata import entry_points  # noqa: PLC0415  # slow, and few need it

    registered = [] if ":" in name else list(entry_points(group=PROVIDER_GROUP, name=name))
    if ":" not in name and not registered:
        raise SettingsError(
            f"{variable}: no installed package registers {name!r} as {PROVIDER_GROUP}; a function is named "
            "as module:function."
        )
    module, _, function = name.partition(":")
    try:
        found = registered[0].load() if registered else getattr(import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise SettingsError(
            f"{variable}: {name} cannot be imported ({type(error).__name__}: {error})."
        ) from None
    except Exception as error:  # noqa: BLE001  # the shop's module; its message may contain a secret
        raise SettingsError(f"{variable}: {name} cannot be imported ({type(error).__name__}).") from None
    if not callable(found):
        raise SettingsError(f"{variable}: {name} is no function.")
    provider: Callable[[], Any] = found
    return provider

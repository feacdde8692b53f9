"""The arguments of Kafka clients for a connection."""

import logging
from collections.abc import Callable
from typing import Any, Final

from kafka.net.sasl.oauth import AbstractTokenProvider

from topics.kafka_connection import (
    Broker,
    KafkaSecurity,
    SecurityProtocol,
    TokenProvider,
    connection_of,
    ssl_context,
    valid_token,
)


def client_arguments(broker: Broker) -> dict[str, Any]:
    """The arguments of kafka-python's clients for their connection.

    Raises
    ------
    CredentialsError
        If certificates or keys cannot be used.
    """
    return connection_arguments(broker, _Tokens)


def connection_arguments(broker: Broker, tokens: Callable[[TokenProvider], Any]) -> dict[str, Any]:
    """The arguments of a client for its connection: kafka-python and aiokafka have the same names for them.

    Parameters
    ----------
    tokens
        Makes what the client asks for tokens.

    Raises
    ------
    CredentialsError
        If certificates or keys cannot be used.
    """
    connection = connection_of(broker)
    security = connection.security
    arguments: dict[str, Any] = {"bootstrap_servers": connection.addresses}
    if security.protocol is SecurityProtocol.PLAINTEXT:
        return arguments
    keep_secrets_out_of_logs()
    arguments["security_protocol"] = str(security.protocol)
    if security.protocol.uses_tls:
        arguments["ssl_context"] = ssl_context(security)
    if security.protocol.uses_sasl:
        arguments |= _sasl_arguments(security, tokens)
    return arguments


def sasl_arguments(security: KafkaSecurity) -> dict[str, Any]:
    """The arguments of kafka-python for SASL."""
    return _sasl_arguments(security, _Tokens)


def _sasl_arguments(security: KafkaSecurity, tokens: Callable[[TokenProvider], Any]) -> dict[str, Any]:
    arguments: dict[str, Any] = {"sasl_mechanism": str(security.mechanism)}
    if security.token_provider is not None:
        arguments["sasl_oauth_token_provider"] = tokens(security.token_provider)
    else:
        arguments["sasl_plain_username"] = security.username
        arguments["sasl_plain_password"] = security.password.reveal()
    return arguments


class _Tokens(AbstractTokenProvider):  # type: ignore[misc]  # kafka-python is untyped
    """Tokens for kafka-python."""

    def __init__(self, provider: TokenProvider) -> None:
        super().__init__()
        self._provider = provider

    def token(self) -> str:
        return valid_token(self._provider)


_CHATTY_LOGGERS: Final = ("kafka", "aiokafka")


def keep_secrets_out_of_logs() -> None:
    """Drop the debug lines of both Kafka clients: they contain configurations and the bytes of SASL."""
    for name in _CHATTY_LOGGERS:
        logger = logging.getLogger(name)
        if logger.level < logging.INFO:
            logger.setLevel(logging.INFO)

"""The arguments of aiokafka's clients for a connection."""

import asyncio
from typing import Any

from aiokafka.abc import AbstractTokenProvider

from topics.client_arguments import keep_secrets_out_of_logs
from topics.kafka_connection import (
    Broker,
    SecurityProtocol,
    TokenProvider,
    connection_of,
    ssl_context,
    valid_token,
)


class Tokens(AbstractTokenProvider):  # type: ignore[misc]  # aiokafka is untyped
    """Tokens for aiokafka; a provider may wait for a server, and the event loop goes on meanwhile."""

    def __init__(self, provider: TokenProvider) -> None:
        self._provider = provider

    async def token(self) -> str:
        """A token that is valid now."""
        return await asyncio.to_thread(valid_token, self._provider)


def aiokafka_arguments(broker: Broker) -> dict[str, Any]:
    """The arguments of aiokafka's clients for their connection.

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
        arguments["sasl_mechanism"] = str(security.mechanism)
        if security.token_provider is not None:
            arguments["sasl_oauth_token_provider"] = Tokens(security.token_provider)
        else:
            arguments["sasl_plain_username"] = security.username
            arguments["sasl_plain_password"] = security.password.reveal()
    return arguments

"""The arguments of aiokafka's clients for a connection."""

import asyncio
from typing import Any

from aiokafka.abc import AbstractTokenProvider

from topics.client_arguments import connection_arguments
from topics.kafka_connection import Broker, TokenProvider, valid_token


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
    return connection_arguments(broker, Tokens)

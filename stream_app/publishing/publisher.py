"""The port to the store of published documents, with a Redis and an in-memory adapter."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Document(NamedTuple):
    """A key and its value.

    Attributes
    ----------
    key
        A key of `stream_app.client.redis_contract`.
    value
        The whole JSON document.
    """

    key: str
    value: bytes


class PublisherUnavailableError(ConnectionError):
    """The store did not acknowledge: any part of a flush may have been written, and the flush can be retried."""


class Publisher(Protocol):
    """Writes documents, in one round trip per flush."""

    async def publish(self, documents: Sequence[Document]) -> None:
        """Write all documents with their time to live; return when all are acknowledged.

        Raises
        ------
        PublisherUnavailableError
            If the store is unavailable or refuses. A retry may write the same documents again.
        """

    async def delete(self, keys: Sequence[str]) -> None:
        """Remove keys; keys that do not exist are ignored.

        Raises
        ------
        PublisherUnavailableError
            If the store is unavailable.
        """

    async def close(self) -> None:
        """Close the connections."""

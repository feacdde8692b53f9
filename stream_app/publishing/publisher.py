"""What a publisher does, whatever is behind it."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Document(NamedTuple):
    """One key to write.

    Attributes
    ----------
    key
        By `stream_app.client.redis_contract`.
    value
        JSON bytes, written whole.
    """

    key: str
    value: bytes


class PublisherUnavailableError(ConnectionError):
    """The store did not acknowledge; nothing is known to be written, and the flush can be tried again."""


class Publisher(Protocol):
    """Writes documents in one round trip a flush."""

    async def publish(self, documents: Sequence[Document]) -> None:
        """Write all documents, each with the time to live; return when all are acknowledged.

        Raises
        ------
        PublisherUnavailableError
            If the store is away or refuses; writing the same documents again is harmless.
        """

    async def delete(self, keys: Sequence[str]) -> None:
        """Remove keys; those that do not exist are fine.

        Raises
        ------
        PublisherUnavailableError
            If the store is away.
        """

    async def close(self) -> None:
        """Let go of connections."""

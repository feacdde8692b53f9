"""The port to the store of published documents, with a Redis and an in-memory adapter."""

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple, Protocol


class Document(NamedTuple):
    """A key and its value.

    Attributes
    ----------
    key
        A key of `stream_app.client.redis_contract`.
    value
        The whole JSON document.
    partition
        The partition whose owner alone may write the document; None if any worker may.
    """

    key: str
    value: bytes
    partition: int | None = None


class OwnedKey(NamedTuple):
    """A key, and the partition whose owner alone may write it; None if any worker may."""

    key: str
    partition: int | None = None


class Ownership(Protocol):
    """The partitions that this worker owns."""

    @property
    def generation(self) -> int:
        """Changes with each assignment."""

    def owns(self, partition: int) -> bool:
        """Whether this worker owns a partition, as far as it knows: another may have taken it over."""

    def holds_lease(self) -> bool:
        """Whether no other worker can have taken over a partition, by the clock of the group's session."""

    async def confirm(self, partitions: Collection[int]) -> None:
        """Return once Kafka has acknowledged a record that this worker appended to each partition as its owner.

        Raises
        ------
        PublisherUnavailableError
            If Kafka refused it.
        """

    def on_refused(self, n_documents: int) -> None:
        """Count documents that the store refused, because a later owner had written them."""


class PublisherUnavailableError(ConnectionError):
    """The store did not acknowledge: any part of a flush may have been written, and the flush can be retried."""


class OwnershipUnconfirmedError(PublisherUnavailableError):
    """The worker cannot show that it still owns the partitions of the documents; the store may be available."""


class StoreRestartedError(PublisherUnavailableError):
    """The store was restarted, and lost what the worker had prepared in it; a retry prepares it again."""


class StoreForbiddenError(PublisherUnavailableError):
    """The store refuses a command for want of a right: so it will each attempt, until somebody grants it."""


class Publisher(Protocol):
    """Writes documents, in one round trip per flush.

    Attributes
    ----------
    ownership
        The partitions whose documents may be written; None to write all.
    on_reconnect
        Called when the store may have lost the newest writes that it acknowledged.
    """

    ownership: Ownership | None
    on_reconnect: Callable[[], None]

    async def publish(self, documents: Sequence[Document]) -> None:
        """Write all documents with their time to live; return when all are acknowledged.

        Raises
        ------
        PublisherUnavailableError
            If the store is unavailable or refuses. A retry may write the same documents again.
        """

    async def erase(self, keys: Sequence[OwnedKey]) -> None:
        """Remove keys of erased users, and refuse later writes to them by former owners of their partitions.

        Raises
        ------
        PublisherUnavailableError
            If the store is unavailable.
        """

    async def delete(self, keys: Sequence[OwnedKey]) -> None:
        """Remove keys; keys that do not exist, or that a later owner has written, are left as they are.

        Raises
        ------
        PublisherUnavailableError
            If the store is unavailable.
        """

    async def close(self) -> None:
        """Close the connections."""

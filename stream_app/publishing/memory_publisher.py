"""A publisher that stores documents in a dict: for tests and for evaluation."""

from collections.abc import Callable, Sequence

from stream_app.publishing.publisher import Document, OwnedKey, Ownership, PublisherUnavailableError


class MemoryPublisher:
    """Stores documents in `documents`; with `available` set to False it fails like an unavailable store.

    Examples
    --------
    >>> import asyncio
    >>> publisher = MemoryPublisher()
    >>> asyncio.run(publisher.publish([Document("k", b"v")]))
    >>> publisher.documents
    {'k': b'v'}
    """

    def __init__(self) -> None:
        self.documents: dict[str, bytes] = {}
        self.flush_sizes: list[int] = []
        self.available = True
        self.ownership: Ownership | None = None
        self.on_reconnect: Callable[[], None] = lambda: None

    async def publish(self, documents: Sequence[Document]) -> None:
        """Store all documents."""
        self._require_available()
        self.documents.update((each.key, each.value) for each in documents)
        self.flush_sizes.append(len(documents))

    async def erase(self, keys: Sequence[OwnedKey]) -> None:
        """Remove keys of erased users."""
        await self.delete(keys)

    async def delete(self, keys: Sequence[OwnedKey]) -> None:
        """Remove keys."""
        self._require_available()
        for each in keys:
            self.documents.pop(each.key, None)

    async def close(self) -> None:
        """Do nothing: there are no connections."""

    def _require_available(self) -> None:
        if not self.available:
            raise PublisherUnavailableError("the memory publisher is set to unavailable")

"""A publisher that keeps the documents in a dict: for tests and for evaluation."""

from collections.abc import Sequence

from stream_app.publishing.publisher import Document, PublisherUnavailableError


class MemoryPublisher:
    """Documents in `documents`; `available` can be set to False to act as an absent store.

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

    async def publish(self, documents: Sequence[Document]) -> None:
        """Keep all documents."""
        self._require_available()
        self.documents.update(documents)
        self.flush_sizes.append(len(documents))

    async def delete(self, keys: Sequence[str]) -> None:
        """Drop keys."""
        self._require_available()
        for key in keys:
            self.documents.pop(key, None)

    async def close(self) -> None:
        """Nothing is held."""

    def _require_available(self) -> None:
        if not self.available:
            raise PublisherUnavailableError("the memory publisher is set to unavailable")
